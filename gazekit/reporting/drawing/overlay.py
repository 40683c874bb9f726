"""Draw attention or gaze over its image."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.records.arrays import Array, Floats
from gazekit.reporting.drawing.colours import ATTENTION

_OPACITY = 0.8  # of the map's maximum; the image must show through everywhere


def overlay(image: Array, attention: Array) -> NDArray[np.uint8]:
    """Blend a map into its image: the higher the map, the more its colour covers the grey.

    The map is resized bilinearly to the image, clipped at 0 and divided by its maximum, so colours compare
    places within one map, not maps with one another. A map without positive values leaves the image grey.

    Args:
        image: ``[H, W]`` in [0, 1].
        attention: ``[h, w]``, any sign.

    Returns:
        RGB ``[H, W, 3]``.

    Raises:
        DataError: the image is not ``[H, W]`` in [0, 1], or the attention is not finite.
    """
    grey = np.asarray(image, dtype=np.float64)
    if grey.ndim != 2 or not ((grey >= 0) & (grey <= 1)).all():
        raise DataError(
            f"image has shape {grey.shape} and must be [H, W] with values in [0, 1]: scale it first"
        )
    heat = rectified(attention, (grey.shape[0], grey.shape[1]))  # [H, W]
    opacity = _OPACITY * np.sqrt(heat)[..., None]
    colour = colormaps[ATTENTION](heat)[..., :3]  # [H, W, 3]
    blended = (1 - opacity) * grey[..., None] + opacity * colour
    return np.asarray(np.round(255 * blended), dtype=np.uint8)


def rectified(attention: Array, shape: tuple[int, int]) -> Floats:
    """Compute ``ReLU(a) / max a`` on the grid ``(H, W)``, in [0, 1]; all 0 if nothing is positive."""
    positive = np.maximum(resize_bilinear(attention, shape), 0)
    highest = positive.max()
    return positive / highest if highest > 0 else positive
