"""Short names for NumPy arrays by value type, and whole numbers to [0, 1]; docstrings give shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Grey = NDArray[np.float32]
"""Pixels of an image, in [0, 1]."""
Mask = NDArray[np.bool_]
"""A mask of an image."""
Array = NDArray[Any]
"""Numbers of a type that only the data say: as stored, as a file holds them."""
Size = tuple[int, int]
"""Height and width in pixels."""


def in_unit_range(stored: Array) -> Grey:
    """Scale whole numbers, as they are stored, to float32 in [0, 1]: 1 is the largest that their type holds."""
    return np.asarray(stored.astype(np.float32) / np.iinfo(stored.dtype).max)
