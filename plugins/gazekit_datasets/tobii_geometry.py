"""How many pixels one degree of visual angle is, from what Tobii's programs note of screen and eyes."""

import math
from collections.abc import Iterable
from itertools import islice

import numpy as np

from gazekit.reading.table import Row

LOOKED_AT = 5000
"""Rows whose median stands for the recording."""
_FEWEST = 10


def pixels_per_degree(rows: Iterable[Row], eye: tuple[str, str, str], gaze: str, screen: str) -> float | None:
    """Pixels of the column ``gaze`` per degree, at the median distance of an eye; None when it cannot be told.

    One degree is ``distance * tan(1 degree)`` mm; mm become pixels of the screen by where the same gaze point lies in
    both, and those become pixels of the media by the slope between the two columns.

    Args:
        rows: of the eye tracker.
        eye: columns of the eye's gaze point across in pixels of the screen and in mm, and of its distance in mm.
        gaze, screen: x in the pixels asked for, and in pixels of the screen.

    Raises:
        DataError: a cell that is no number.
    """
    columns = (*eye, gaze, screen)
    read = ([row.number(name, may_be_lost=True) for name in columns] for row in islice(rows, LOOKED_AT))
    values = np.array([row for row in read if not any(map(math.isnan, row))], dtype=np.float64)
    if len(values) < _FEWEST:
        return None
    left_px, left_mm, distance, wanted, on_screen = values.T  # [N]
    scales = _slope(left_mm, left_px) * _slope(on_screen, wanted)
    found = float(np.median(distance)) * math.tan(math.radians(1)) * scales
    return found if math.isfinite(found) and 1 < found < 1e4 else None


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the line through the points; NaN when all lie at one x."""
    with np.errstate(all="ignore"):
        x = x - x.mean()
        return float((x * (y - y.mean())).sum() / (x * x).sum())
