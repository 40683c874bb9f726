"""Look at an image file without reading its pixels: data source, header, file name and folders."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.content import is_dicom
from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.identifying.identity import Disagreement, identify
from gazekit.reading.identifying.name_words import NamedFile, read_name
from gazekit.reading.identifying.view_names import ViewNames, split_words
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


def contradictions(
    looks: Mapping[str, ImageLook], sides: Mapping[str, str], views: ViewNames
) -> Iterator[tuple[str, str]]:
    """Yield a view and a sentence without its subject, the image, where a header contradicts the table of exams.

    Args:
        looks: view → image of one exam, as the table says.
        sides: view → side, as far as the table says it.
        views: the possible views.
    """
    with_header = {view: look for view, look in looks.items() if look.header is not None}
    for view, look in with_header.items():
        named, side = views.match(look.identity.view, look.side), look.identity.side
        if named and named != view:
            yield view, f"is an image of view {named} by its header: check the table"
        if side and sides.get(view, side) != side:
            yield (
                view,
                f"is an image of side {side} by its header, of side {sides[view]} by the table: check both",
            )
    told = {view: look.identity.patient for view, look in with_header.items()}
    for view, first in _unlike_the_first(told):
        yield view, f"is an image of another patient than view {first} by their headers: check the table"
    if not views.sided:
        told = {
            view: look.identity.side
            for view, look in with_header.items()
            if not sides.get(view) and views.match(look.identity.view)  # not a view called left or OD
        }
        for view, first in _unlike_the_first(told):
            yield view, f"is an image of another side than view {first} by their headers: check the table"


def _unlike_the_first(told: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the views of which something else is told than of the first view of which it is told, and that view."""
    known = {view: value for view, value in told.items() if value}
    first = next(iter(known), "")
    yield from ((view, first) for view, value in known.items() if value != known[first])
