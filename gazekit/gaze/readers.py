"""Name the readers of recordings and choose among them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.disk.plain_text import visible
from gazekit.errors import DataError
from gazekit.gaze.formats import files_beside, recordings_of
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader


def reader_names(recordings: Sequence[Recording]) -> list[str]:
    """Name the reader of each recording of one image, in printable characters.

    Unnamed readers are counted from 1. Unnamed recordings of one file are of one reader, who looked again.
    """
    names = [None if each.reader is None else visible(each.reader) for each in recordings]
    taken = set(names)
    numbers = (str(number) for number in count(1) if str(number) not in taken)
    files = dict.fromkeys(each.file for each in recordings if each.reader is None)
    numbered = dict(zip(files, numbers, strict=False))
    return [
        numbered[each.file] if name is None else name for name, each in zip(names, recordings, strict=True)
    ]


def of_readers(recordings: Iterable[Recording], wanted: Sequence[str]) -> list[Recording]:
    """Return the recordings of the chosen readers, or all recordings if none is chosen.

    Raises:
        DataError: a reader has no recording.
    """
    every = list(recordings)
    if not wanted:
        return every
    there = {each.reader for each in every}
    missing = [name for name in wanted if name not in there]
    if missing:
        named = sorted(name for name in there if name is not None)
        known = f"there are {', '.join(named[:12])}" if named else "the recordings name no reader"
        raise DataError(f"no recording of reader {', '.join(missing)}; {known}")
    return [each for each in every if each.reader in wanted]


@dataclass(frozen=True, slots=True)
class OfReaders:
    """A gaze format limited to the recordings of some readers; a file without them yields nothing.

    Args:
        format: reads the files.
        wanted: names of the readers.
    """

    format: "GazeReader"
    wanted: tuple[str, ...]

    def fits(self, path: Path) -> bool:
        """Whether the format fits."""
        return self.format.fits(path)

    def beside(self, path: Path) -> list[Path]:
        """Return the other files that the format reads."""
        return files_beside(self.format, path)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings of the chosen readers. Raises: DataError."""
        return (each for each in recordings_of(self.format, path) if each.reader in self.wanted)


def only_readers(formats: "Mapping[str, GazeReader]", wanted: Sequence[str]) -> "Mapping[str, GazeReader]":
    """Limit formats to the recordings of the chosen readers, or leave them if none is chosen."""
    if not wanted:
        return formats
    return {name: OfReaders(each, tuple(wanted)) for name, each in formats.items()}
