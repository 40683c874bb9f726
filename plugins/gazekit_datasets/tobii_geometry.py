"""Compute pixels per degree of visual angle from Tobii's records of screen and eyes."""

import math
from collections.abc import Iterable
from itertools import islice

import numpy as np

from gazekit.reading.table import Row

LOOKED_AT = 5000
"""Rows whose median represents the recording."""
_FEWEST = 10


def pixels_per_degree(rows: Iterable[Row], eye: tuple[str, str, str], gaze: str, screen: str) -> float | None:
    """Compute pixels of the column ``gaze`` per degree, at the median eye distance; None if unknown.

    One degree is ``distance * tan(1 degree)`` mm. Gaze points given in both mm and screen pixels convert mm to screen
    pixels, and the slope between the two columns converts these to pixels of the media.

    Args:
        rows: of the eye tracker.
        eye: columns of the eye's gaze point across in pixels of the screen and in mm, and of its distance in mm.
        gaze, screen: x in the wanted pixels, and in pixels of the screen.

    Raises:
        DataError: a cell is not a number.
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
    """Fit the slope of the line through the points; NaN if all share one x."""
    with np.errstate(all="ignore"):
        x = x - x.mean()
        return float((x * (y - y.mean())).sum() / (x * x).sum())
