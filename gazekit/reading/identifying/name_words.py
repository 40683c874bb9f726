"""Find view, side and exam in the names of an image file and its folders."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gazekit.reading.identifying.view_names import Spoken, ViewNames

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The parts of an image file's name.

    Args:
        path: the file.
        folders: names of its folders, from the one where the search began.
        view: one of the preset's views; empty if neither the file nor a folder names one.
        side: ``"L"`` or ``"R"``, else empty.
        exam: folders and the rest of the name; equal for files that differ only in the view.
        rest: the file's name without its view; may be empty.
    """

    path: Path
    folders: tuple[str, ...]
    view: str
    side: str
    exam: tuple[tuple[str, ...], str]
    rest: str


def stem(path: Path) -> str:
    """Return the name without its suffix, ``.gz`` included."""
    return Path(path.name.removesuffix(".gz")).stem


def read_name(path: Path, folder: Path, views: ViewNames, understood: Collection[str] = ()) -> NamedFile:
    """Parse the name of a file, then those of its folders from the nearest up.

    Args:
        path: the file.
        folder: where the search began; its name and those above it are ignored.
        views: the possible views.
        understood: lower-case words that describe the image otherwise and do not name the exam.
    """
    below = path.parent.relative_to(folder).parts
    names = [stem(path), *reversed(below)]
    spoken = [_read(name, views, understood) for name in names]
    at = next((position for position, (found, _) in enumerate(spoken) if found.view), None)
    side = next((found.side for found, _ in spoken if found.side), "")
    above = folder.parts
    if at is None:
        view, rest = _sided(names, views, side), stem(path)
        exam = ((*above, *below), rest if view else "")
    else:
        view = spoken[at][0].view
        cleaned = [spoken[at][1] if position == at else name for position, name in enumerate(names)]
        rest = cleaned[0] if at == 0 else _read(names[0], views, understood)[1]
        folders = tuple(name for name in reversed(cleaned[1:]) if name)
        exam = ((*above, *folders), rest)
    return NamedFile(path, below, view, side, exam, rest)


def _sided(names: list[str], views: ViewNames, side: str) -> str:
    """Match a view that includes its side, if a folder names the side and another name the view."""
    if not views.sided or not side:
        return ""
    found = (views.find(_words(name), side).view for name in names)
    return next(filter(None, found), "")


def _words(name: str) -> list[str]:
    return [match[0].lower() for match in _WORD.finditer(name)]


def _read(name: str, views: ViewNames, understood: Collection[str]) -> tuple[Spoken, str]:
    """Parse one name; return the findings and the name without the words found."""
    places = [match for match in _WORD.finditer(name) if match[0].lower() not in understood]
    found = views.find([match[0].lower() for match in places])
    kept = [match for position, match in enumerate(places) if position not in found.words]
    if len(kept) == len(list(_WORD.finditer(name))):
        return found, name
    gone = [match.span() for match in _WORD.finditer(name) if match.span() not in {k.span() for k in kept}]
    rest = name
    for start, end in reversed(gone):
        rest = f"{rest[:start]}\0{rest[end:]}"
    rest = re.sub(r"[-_ .]*\0[-_ .]*(?:\0[-_ .]*)*", lambda match: _joint(match[0]), rest)
    return found, rest.strip("-_ .")


def _joint(gap: str) -> str:
    """Join the two parts of a name around removed words."""
    separators = gap.replace("\0", "")
    return separators[0] if separators else "_"
