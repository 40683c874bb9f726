"""Maps and their resizing, pixel by pixel, for the slow oracles of losses and attention maps."""

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bilinear_at(image: Array, x: float, y: float) -> float:
    """The value at a point in pixels, (0, 0) the outer corner: pixel centres at i + 0.5, the border repeated."""
    v = min(max(y - 0.5, 0), image.shape[0] - 1)
    u = min(max(x - 0.5, 0), image.shape[1] - 1)
    top, left = int(v), int(u)
    bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
    dy, dx = v - top, u - left
    upper = (1 - dx) * image[top, left] + dx * image[top, right]
    lower = (1 - dx) * image[bottom, left] + dx * image[bottom, right]
    return float((1 - dy) * upper + dy * lower)


def bilinear(image: Array, height: int, width: int) -> Array:
    """Resize pixel by pixel."""
    resized = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            across, down = (x + 0.5) * image.shape[1] / width, (y + 0.5) * image.shape[0] / height
            resized[y, x] = bilinear_at(image, across, down)
    return resized


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal random numbers in float64, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
