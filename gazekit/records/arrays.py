"""Short names for NumPy arrays by the type of their values; shapes stand in the docstrings."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Grey = NDArray[np.float32]
"""Of an image, in [0, 1]."""
Mask = NDArray[np.bool_]
"""Of an image."""
