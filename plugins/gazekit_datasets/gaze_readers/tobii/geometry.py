"""Compute pixels per degree of visual angle from Tobii's records of screen and eyes."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row
from gazekit.records.arrays import Floats

LOOKED_AT = 5000
"""Rows that represent a recording, or a media of it."""
_FEWEST = 10
Key = tuple[str, ...]
"""Participant, recording and media; empty where the export does not say."""


@dataclass(slots=True)
class ViewingGeometry:
    """Records of the screen and the eyes, by recording and media.

    Args:
        eyes: participant and recording → rows of the left eye's gaze point across in pixels of the screen and in mm,
            and of its distance from the screen in mm.
        media: participant, recording and media → its presentations, each with rows of x in pixels of the screen and
            of the media.
        faults: participant, recording and media → why a row of it cannot be read.
    """

    eyes: dict[Key, "array[float]"] = field(default_factory=dict)
    media: dict[Key, list["array[float]"]] = field(default_factory=dict)
    faults: dict[Key, DataError] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rows: Iterable[tuple[Key, Row]], eye: tuple[str, str, str], across: tuple[str, str] | None = None
    ) -> "ViewingGeometry":
        """Collect the first complete rows of every recording and media.

        Args:
            rows: of the eye tracker.
            eye: columns of the eye's gaze point across in pixels of the screen and in mm, and of its distance in mm.
            across: columns of x in pixels of the screen and of the media; None if the wanted pixels are the screen's.
        """
        found, before = cls(), None
        for key, row in rows:
            try:
                _add(found.eyes.setdefault(key[:-1], array("d")), row, eye)
                if across is not None and key[-1]:
                    presentations = found.media.setdefault(key, [])
                    if key != before:
                        presentations.append(array("d"))
                    _add(presentations[-1], row, across)
            except DataError as error:
                found.faults.setdefault(key, error)
            before = key
        return found

    def pixels_per_degree(self, key: Key) -> float | None:
        """Compute pixels per degree of a recording and media, at the median eye distance; None if unknown.

        One degree is ``distance * tan(1 degree)`` mm. Gaze points given in both mm and screen pixels convert mm to
        screen pixels. A media lies elsewhere on the screen each time it is shown, so the slope that converts these to
        its own pixels is that within its presentations.

        Raises:
            DataError: one of these cells is no number.
        """
        if key in self.faults:
            raise self.faults[key]
        values = np.array(self.eyes.get(key[:-1], ()), dtype=np.float64).reshape(-1, 3)
        if len(values) < _FEWEST:
            return None
        scale = _slope([values[:, 1::-1]])
        if self.media:
            scale *= _slope([np.array(rows).reshape(-1, 2) for rows in self.media.get(key, ()) if rows])
        found = float(np.median(values[:, 2])) * math.tan(math.radians(1)) * scale
        return found if math.isfinite(found) and 1 < found < 1e4 else None


def _add(rows: "array[float]", row: Row, columns: Sequence[str]) -> None:
    """Append the numbers of a row, unless one is lost or there are rows enough. Raises: DataError."""
    if len(rows) < LOOKED_AT * len(columns):
        values = [row.number(name, may_be_lost=True) for name in columns]
        if not any(map(math.isnan, values)):
            rows.extend(values)


def _slope(groups: Sequence[Floats]) -> float:
    """Fit the slope that lines through groups of (x, y) share; NaN if each group has one x."""
    if not groups:
        return math.nan
    x, y = np.concatenate([group - group.mean(axis=0) for group in groups]).T
    with np.errstate(all="ignore"):
        return float((x * y).sum() / (x * x).sum())
