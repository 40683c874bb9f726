"""Places that stand for lost samples: told by the user, or suspected."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader

Place = tuple[float, float]
"""x and y as the recording has them."""

SHARE, FEWEST = 0.05, 5
"""Share and number of the rows from which on one place is no chance: the same fraction of a pixel, again and again."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Repeated:
    """A place that comes again and again, and the share of the rows with a place that lie there."""

    x: float
    y: float
    share: float

    def __str__(self) -> str:
        """Say it to the user, with the option that says which place means lost."""
        place = f"{self.x:g}, {self.y:g}"
        return (
            f"{100 * self.share:.0f} % of the samples lie at the very same place, ({place}); if it means lost, "
            f'--set "lost=[{place}]" (--gaze-set in data prepare)'
        )


def repeated_place(recording: Recording) -> Repeated | None:
    """The commonest place where it has 5 % of the rows or more; None for rows that are all at one place."""
    there = np.isfinite(recording.x) & np.isfinite(recording.y)
    places, counts = np.unique(recording.x[there] + 1j * recording.y[there], return_counts=True)
    if len(places) < 2:
        return None
    most = int(counts.argmax())
    share = float(counts[most] / counts.sum())
    if share < SHARE or counts[most] < FEWEST:
        return None
    return Repeated(float(places[most].real), float(places[most].imag), share)


def doubts_of_reading(recordings: Iterable[Recording]) -> dict[str, list[str]]:
    """Sentence → the recordings of which it holds: how they were read, and places that come again and again."""
    found: dict[str, list[str]] = {}
    for recording in recordings:
        repeated = repeated_place(recording)
        for sentence in (*recording.notes, *([] if repeated is None else [str(repeated)])):
            found.setdefault(sentence, []).append(str(recording))
    return found


@dataclass(frozen=True, slots=True)
class WithLost:
    """A gaze format in whose recordings some places mean that the sample was lost.

    Args:
        format: what reads the files.
        places: in the pixels that the recordings are in when they are read.
    """

    format: "GazeReader"
    places: tuple[Place, ...]

    def fits(self, path: Path) -> bool:
        """Whether the format fits."""
        return self.format.fits(path)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings, those places lost. Raises: DataError."""
        for recording in self.format.read(path):
            x, y = recording.x, recording.y
            for across, down in self.places:
                gone = (np.abs(x - across) <= _ROUNDING) & (np.abs(y - down) <= _ROUNDING)
                x, y = np.where(gone, np.nan, x), np.where(gone, np.nan, y)
            yield replace(recording, x=x, y=y)
