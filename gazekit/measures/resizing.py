"""Resize attention maps to the pixel grid of an image."""

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.records.arrays import Floats

Array = NDArray[np.generic]
"""Array of numbers of any type, from a model or a prepared data set."""


def resize_bilinear(attention: Array, shape: tuple[int, int]) -> Floats:
    """Resize a map bilinearly, with pixel centres at ``i + 0.5`` and values held at the border.

    It uses the grid of ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``, in float64, and
    keeps equal neighbours exactly equal: measures that rank pixels must not rank rounding errors.

    Args:
        attention: ``[h, w]``, any sign.
        shape: ``(H, W)``.

    Raises:
        DataError: not a map, or a value that is not finite.
    """
    values = np.asarray(attention, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise DataError(f"attention map has shape {values.shape}: expected [h, w]")
    if not np.isfinite(values).all():
        raise DataError(
            "attention map has values that are not finite: the model may have diverged, train it again"
        )
    tall = _resize_rows(values, shape[0])  # [H, w]
    return _resize_rows(tall.T, shape[1]).T  # [H, W]


def _resize_rows(values: Floats, size: int) -> Floats:
    last = len(values) - 1
    centres = np.clip((np.arange(size) + 0.5) * len(values) / size - 0.5, 0, last)
    above = np.floor(centres).astype(np.int64)
    below = np.minimum(above + 1, last)
    share = (centres - above)[:, None]
    return np.asarray(values[above] + share * (values[below] - values[above]))
