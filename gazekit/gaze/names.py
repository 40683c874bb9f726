"""A table that says which image is meant by the names that recordings use."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from gazekit.data.table import open_table
from gazekit.errors import DataError
from gazekit.gaze.recording import Recording

COLUMNS = ("name", "exam_id", "view")


def read_names(path: Path) -> dict[str, tuple[str, str]]:
    """Read ``name,exam_id,view``: the name of a recording's image or file, and the image that it stands for.

    Returns:
        The name in small letters → (exam_id, view).

    Raises:
        DataError: not readable, a column missing, an empty cell, a name that comes twice (with row).
    """
    names: dict[str, tuple[str, str]] = {}
    for row in open_table(path, COLUMNS).rows():
        name = row.word("name").casefold()
        if name in names:
            raise DataError(f"{row.where}: name {row['name'][:60]!r} comes again; expected each once")
        names[name] = row.word("exam_id"), row.word("view")
    if not names:
        raise DataError(f"{path}: no rows below the header; expected one per name")
    return names


def named_by(recordings: Iterable[Recording], names: dict[str, tuple[str, str]]) -> list[Recording]:
    """The recordings with the exam and view that the table gives their image, else their file; others as they are.

    A name counts whole, or without its suffix; case does not matter.
    """
    return [_named(recording, names) for recording in recordings]


def looking_at(recordings: Sequence[Recording], image: Path) -> list[Recording]:
    """The recordings that name an image file, with or without its suffix; all of them where none does.

    Case and folders do not matter.
    """
    wanted = {image.name.casefold(), image.stem.casefold()}
    found = []
    for recording in recordings:
        path = PureWindowsPath(recording.image or "")  # splits at / and at \
        if wanted & {path.name.casefold(), path.stem.casefold()}:
            found.append(recording)
    return found or list(recordings)


def _named(recording: Recording, names: dict[str, tuple[str, str]]) -> Recording:
    for used in filter(None, (recording.image, recording.source.name)):
        path = PureWindowsPath(used)  # splits at / and at \
        for name in (path.name.casefold(), path.stem.casefold()):
            if name in names:
                exam, view = names[name]
                return replace(recording, exam_id=exam, view=view)
    return recording
