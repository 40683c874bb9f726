"""Attention from the grid of a model back to the pixels of the raw image."""

import numpy as np
from numpy.typing import NDArray

from gazekit.data.geometry import Geometry

Floats = NDArray[np.float64]


def on_raw_image(
    attention: NDArray[np.float32], geometry: Geometry, shape: tuple[int, int], size: tuple[int, int]
) -> Floats:
    """Attention at the pixels of the raw image, or of a smaller copy of it; bilinear, 0 outside the crop.

    Args:
        attention: ``[h, w]``, cells of equal size over the prepared image.
        geometry: raw to prepared pixels.
        shape: (height, width) of the raw image.
        size: (height, width) of the copy; ``shape`` for the image itself.

    Returns:
        ``[size]``.
    """
    down, across = ((np.arange(n) + 0.5) * whole / n for n, whole in zip(size, shape, strict=True))
    x, _ = geometry.apply(across, np.zeros_like(across))
    _, y = geometry.apply(np.zeros_like(down), down)
    rows = _weights(y / geometry.height * attention.shape[0], attention.shape[0])
    columns = _weights(x / geometry.width * attention.shape[1], attention.shape[1])
    rows[(down < geometry.top) | (down >= geometry.bottom)] = 0
    columns[(across < geometry.left) | (across >= geometry.right)] = 0
    return np.asarray(rows @ attention.astype(np.float64) @ columns.T)


def _weights(positions: Floats, cells: int) -> Floats:
    """``[n, cells]``: linear weights at positions in cells (0 = border of the first), constant beyond the centres."""
    at = np.clip(positions - 0.5, 0, cells - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0))
