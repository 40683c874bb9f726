"""Name the readers of recordings and choose among them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.errors import DataError
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader


def reader_names(recordings: Sequence[Recording]) -> list[str]:
    """Name the reader of each recording of one image; unnamed readers are counted from 1."""
    taken = {each.reader for each in recordings}
    numbers = (str(number) for number in count(1) if str(number) not in taken)
    return [each.reader if each.reader is not None else next(numbers) for each in recordings]


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

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings of the chosen readers. Raises: DataError."""
        return (each for each in self.format.read(path) if each.reader in self.wanted)
