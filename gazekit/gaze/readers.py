"""Who looked: the names of readers, and the choice among them."""

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
    """The reader of each recording of one image; those whom the files do not name are counted from 1."""
    taken = {each.reader for each in recordings}
    numbers = (str(number) for number in count(1) if str(number) not in taken)
    return [each.reader if each.reader is not None else next(numbers) for each in recordings]


def of_readers(recordings: Iterable[Recording], wanted: Sequence[str]) -> list[Recording]:
    """The recordings of the readers asked for; all of them when none is.

    Raises:
        DataError: there is no recording of one of them.
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
    """A gaze format of which only some readers' recordings are taken; a file without any of them has none.

    Args:
        format: what reads the files.
        wanted: names of the readers.
    """

    format: "GazeReader"
    wanted: tuple[str, ...]

    def fits(self, path: Path) -> bool:
        """Whether the format fits."""
        return self.format.fits(path)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings of the readers asked for. Raises: DataError."""
        return (each for each in self.format.read(path) if each.reader in self.wanted)
