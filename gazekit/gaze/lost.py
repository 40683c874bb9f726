"""Treat certain places as lost samples: those given by the user; point out suspects."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gazekit.gaze.formats import files_beside, recordings_of
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import GazeReader

Place = tuple[float, float]
"""x and y as in the recording."""

SHARE, FEWEST = 0.05, 5
"""Share and number of rows from which one repeated place, exact to a fraction of a pixel, is not chance."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeated place, and its share of the rows that have a place."""

    x: float
    y: float
    share: float

    def __str__(self) -> str:
        """Describe the place to the user, with the option that marks it as lost."""
        place = f"{self.x:g}, {self.y:g}"
        return (
            f"{100 * self.share:.0f} % of the samples are at exactly the same place, ({place}); if it means lost, "
            f'--set "lost=[{place}]" (--gaze-set in data prepare)'
        )


def repeated_place(recording: Recording) -> Repeated | None:
    """Return the commonest place if it has 5 % of the rows or more; None if all rows are at one place."""
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
    """Map each remark on how recordings were read, repeated places included, to the recordings concerned."""
    found: dict[str, list[str]] = {}
    for recording in recordings:
        repeated = repeated_place(recording)
        for sentence in (*recording.notes, *([] if repeated is None else [str(repeated)])):
            found.setdefault(sentence, []).append(str(recording))
    return found


@dataclass(frozen=True, slots=True)
class WithLost:
    """A gaze format in which some places mean a lost sample.

    Args:
        format: reads the files.
        places: in the pixel units of the recordings as read.
    """

    format: "GazeReader"
    places: tuple[Place, ...]

    def fits(self, path: Path) -> bool:
        """Whether the format fits."""
        return self.format.fits(path)

    def beside(self, path: Path) -> list[Path]:
        """Return the other files that the format reads."""
        return files_beside(self.format, path)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the recordings, with those places marked as lost. Raises: DataError."""
        for recording in recordings_of(self.format, path):
            x, y = recording.x, recording.y
            for across, down in self.places:
                gone = (np.abs(x - across) <= _ROUNDING) & (np.abs(y - down) <= _ROUNDING)
                x, y = np.where(gone, np.nan, x), np.where(gone, np.nan, y)
            yield replace(recording, x=x, y=y)
