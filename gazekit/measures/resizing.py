"""Attention maps on the pixel grid of an image."""

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.records.arrays import Floats

Array = NDArray[np.generic]
"""Numbers of any type, as they come from models and prepared data sets."""


def resize_bilinear(attention: Array, shape: tuple[int, int]) -> Floats:
    """Resize a map bilinearly, pixel centres at ``i + 0.5``, the border held.

    The grid of ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``, in float64 and
    with equal neighbours staying exactly equal: measures that rank pixels must not rank rounding errors.

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
