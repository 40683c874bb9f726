"""Resize attention maps to the pixel grid of an image."""

import numpy as np

from gazekit.errors import DataError
from gazekit.records.arrays import Array, Floats, Size
from gazekit.records.resampling import interpolate_rows


def resize_bilinear(attention: Array, shape: Size) -> Floats:
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
    if values.shape == shape:
        return values
    rows, columns = ((np.arange(new) + 0.5) * old / new for old, new in zip(values.shape, shape, strict=True))
    return interpolate_rows(interpolate_rows(values, rows).T, columns).T
