"""Read the gaze recordings of a file or a folder, and tell what is skipped or looks wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.disk.wording import counted, first_few
from gazekit.errors import DataError
from gazekit.gaze.formats import GazeFile, files_beside, gaze_files, nothing_read
from gazekit.gaze.image_names import named_by, read_names
from gazekit.gaze.lost import doubts_of_reading
from gazekit.gaze.readers import of_readers
from gazekit.gaze.remedies import remedy_of
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader

LINES = 8
"""Maximum number of warnings of one sort."""
_ALL = "like these; gazekit gaze validate --json lists all"


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file of a folder, or a folder in it, that gives no gaze.

    Args:
        path: the file.
        reason: why, without its path.
        beside: other files that its reader reads, which the reason may name.
        is_gaze: it fits a format, and cannot be read.
    """

    path: Path
    reason: str
    beside: tuple[Path, ...] = ()
    is_gaze: bool = False


def _ignore(_skipped: SkippedFile) -> None:
    """Do nothing."""


def find_files(
    source: Path,
    readers: "Mapping[str, GazeReader]",
    warn: Callable[[str], None],
    skip: Callable[[SkippedFile], None] = _ignore,
    *,
    strict: bool = False,
) -> list[GazeFile]:
    """Find the gaze files of a file or folder; warn of files that fit no format, and of folders that cannot be listed.

    Raises: DataError; with ``strict``, also a folder that cannot be listed.
    """

    def unlisted(folder: Path, reason: str) -> None:
        warn(f"{folder}: {reason}; what lies in it is skipped")
        skip(SkippedFile(folder, reason, is_gaze=True))

    found, others = gaze_files(source, readers, None if strict else unlisted)
    for path in others:
        reason = (remedy_of(path) or f"{path}: fits no format of gaze").removeprefix(f"{path}: ")
        skip(SkippedFile(path, reason))
    if others:
        names = first_few(path.name for path in others)
        warn(f"{counted(len(others), 'file')} in {source} without gaze recordings, skipped: {names}")
        for remedy in list(filter(None, map(remedy_of, others)))[:LINES]:
            warn(remedy)
    return found


def read_files(
    source: Path, files: Sequence[GazeFile], skip: Callable[[SkippedFile], None] = _ignore
) -> tuple[list[Recording], list[str]]:
    """Read the recordings of all files, with a sentence per unreadable file. Raises: DataError: there is none."""
    found: list[Recording] = []
    faults = []
    for file in files:
        try:
            found += file.read()
        except DataError as error:
            faults.append(str(error))
            reason = str(error).removeprefix(f"{file.path}: ").removeprefix(f"{file.path} ")
            skip(SkippedFile(file.path, reason, tuple(files_beside(file.reader, file.path)), is_gaze=True))
    if not found:
        raise DataError(faults[0]) if faults else nothing_read(source, files)
    return found, faults


def read_all(
    source: Path,
    readers: "Mapping[str, GazeReader]",
    warn: Callable[[str], None],
    *,
    names: Path | None = None,
    wanted: Sequence[str] = (),
    strict: bool = False,
    skip: Callable[[SkippedFile], None] = _ignore,
) -> list[Recording]:
    """Read all recordings; files that cannot be read are skipped with a warning, and doubts about the others are told.

    Args:
        source: a gaze file, or a folder of them.
        readers: name of a format → its reader.
        warn: told what is skipped and what looks wrong, in one line each.
        names: table of the images that names in the recordings stand for.
        wanted: names of the readers whose recordings are used; empty takes all.
        strict: raise at a file that cannot be read, instead of skipping it.
        skip: told of each file that is skipped.

    Raises:
        DataError: no recording; a reader has none; with ``strict``, a file that cannot be read.
    """
    meant = read_names(names) if names else {}
    found, faults = read_files(source, find_files(source, readers, warn, skip, strict=strict), skip)
    if strict and faults:
        raise DataError(faults[0])
    _warn_each([f"{fault}; skipped" for fault in faults], warn)
    try:
        found = of_readers(named_by(found, meant) if names else found, wanted)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    doubts = [
        f"{about[0]}: {sentence}" + (f" (and {len(about) - 1} more)" if len(about) > 1 else "")
        for sentence, about in doubts_of_reading(found).items()
    ]
    _warn_each(doubts, warn)
    return found


def _warn_each(lines: Sequence[str], warn: Callable[[str], None]) -> None:
    for line in lines[:LINES]:
        warn(line)
    if len(lines) > LINES:
        warn(f"and {len(lines) - LINES} more {_ALL}")
