"""All that can be known of an image file without its pixels: from data sources, its header, its name and folders."""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class ImageLook:
    """What is known of a file.

    Args:
        path: the file.
        view: a name of the preset's; empty where it cannot be told, or is none of them.
        side: ``"L"`` or ``"R"``, else empty.
        identity: by data sources and header.
        name: what its name says.
        header: of a DICOM file.
        damage: why the header of a DICOM file cannot be read, without the file's name; else empty.
    """

    path: Path
    view: str
    side: str
    identity: ImageIdentity
    name: NamedFile
    header: ImageHeader | None = None
    damage: str = ""


def look_at(path: Path, folder: Path, views: ViewNames, rules: Mapping[str, IdentityRule]) -> ImageLook:
    """Look at a file: data sources and header are believed first, then the header's texts, then names.

    Args:
        path: the file.
        folder: above it; the names of the folders below count.
        views: that there may be.
        rules: of the data sources that know their own files.
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
