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


LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Weights of red, green and blue. Source: ITU-R BT.709."""


def luminance(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Red, green and blue ``[3, H, W]`` to grey ``[H, W]``."""
    return np.asarray(np.tensordot(LUMINANCE, channels, axes=1), dtype=np.float32)


def in_unit_range(stored: Array) -> Grey:
    """Scale whole numbers, as they are stored, to float32 in [0, 1]: 1 is the largest that their type holds."""
    return np.asarray(stored.astype(np.float32) / np.iinfo(stored.dtype).max)
