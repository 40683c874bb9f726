"""Find the pixels of an image that were looked at."""

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.records.arrays import Array


def fixated_pixels(fixations: Array, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the pixels that the fixations inside the grid fall on.

    Args:
        fixations: ``[F, 2]``, x and y in continuous pixels; those outside are left out.
        shape: ``(H, W)`` of the grid.

    Raises:
        DataError: no fixation inside.
    """
    points = np.asarray(fixations, dtype=np.float64).reshape(-1, 2)
    inside = (points >= 0).all(axis=1) & (points < (shape[1], shape[0])).all(axis=1)  # NaN is outside
    if not inside.any():
        raise DataError(
            f"none of {len(points)} fixations lies inside the {shape[0]} × {shape[1]} grid: "
            "give x and y in its pixels, and leave out views without gaze"
        )
    columns, rows = np.floor(points[inside]).astype(np.int64).T
    return rows, columns


def fixation_counts(fixations: Array, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Count the fixations on each pixel, ``[H, W]``; see `fixated_pixels`."""
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, fixated_pixels(fixations, shape), 1)
    return counts
