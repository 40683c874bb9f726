"""Look at an image file without reading its pixels: data source, header, file name and folders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.content import is_dicom
from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.identity import Disagreement, identify
from gazekit.reading.name_words import NamedFile, read_name
from gazekit.reading.view_names import ViewNames, split_words
from gazekit.records.identity import IdentityRule, ImageIdentity
from gazekit.records.image_header import ImageHeader

Looked = Callable[[int, int | None], None]
"""Told, now and then, how many images or exams were looked at, and of how many; None = not known."""
SOME = 100
"""Images or exams after which it is told."""


@dataclass(frozen=True, slots=True)
class ImageLook:
    """Facts about an image file, known without its pixels.

    Args:
        path: the file.
        view: one of the preset's view names; empty if unknown or none of them.
        side: ``"L"`` or ``"R"``; empty if unknown.
        identity: from data sources and header.
        name: identity from the file name.
        header: of a DICOM file, else None.
        damage: why the header of a DICOM file cannot be read, without the file name; else empty.
    """

    path: Path
    view: str
    side: str
    identity: ImageIdentity
    name: NamedFile
    header: ImageHeader | None = None
    damage: str = ""


def look_at(path: Path, folder: Path, views: ViewNames, rules: Mapping[str, IdentityRule]) -> ImageLook:
    """Look at a file; data sources and header win over the header's free text, which wins over names.

    Args:
        path: the file.
        folder: a folder above the file; folder names below it count.
        views: the possible views.
        rules: how data sources identify their own files.
    """
    header, damage = None, ""
    try:
        header = read_image_header(path) if is_dicom(path) else None
    except DataError as error:
        damage = str(error).replace(f"{path}: ", "")
    try:
        identity = identify(header, path, rules)
    except Disagreement as error:
        identity = ImageIdentity(unfit=str(error))
    name = read_name(path, folder, views, identity.name_words)
    texts = [split_words(text) for text in header.texts()] if header else []
    sides = (identity.side, *(views.find(words).side for words in texts), name.side)
    side = next(filter(None, sides), "")
    view = views.match(identity.view, side)
    if not identity.view:
        spoken = (views.find(words, side).view for words in texts)
        view = next(filter(None, spoken), "") or name.view
    if not view and not identity.view and not damage and len(views.views) == 1:
        view = views.views[0]
    own = views.side_of(view) if view else ""
    return ImageLook(path, view, own or side, identity, name, header, damage)
