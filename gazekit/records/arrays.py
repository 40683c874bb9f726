"""Short names for NumPy arrays by value type; docstrings give the shapes."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Grey = NDArray[np.float32]
"""Pixels of an image, in [0, 1]."""
Mask = NDArray[np.bool_]
"""A mask of an image."""
