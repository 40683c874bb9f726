"""Resample an axis of an image: over areas by a sparse matrix, at single places by interpolation."""

from math import ceil

import numpy as np
from scipy import sparse

from gazekit.records.arrays import Array, Floats


def resampling_matrix(
    start: int, stop: int, length: int, *, scale: float, offset: int, size: int, flip: bool = False
) -> sparse.csr_array:
    """Return the weights ``[size, length]`` that make a prepared axis from a raw one.

    A prepared pixel is a mean of raw ones, weighted by a triangle around its centre: two prepared pixels wide when
    the image shrinks, two raw pixels wide when it grows (bilinear). The last prepared pixel may reach past the
    crop; there it sees background. Pixels outside the crop are 0.

    Args:
        start, stop: the crop, in pixels of the raw axis.
        length: pixels of the raw axis.
        scale: prepared pixels per raw pixel.
        offset: padding before the crop, in prepared pixels.
        size: pixels of the prepared axis.
        flip: reverse the crop.
    """
    inside = min(ceil((stop - start) * scale - 1e-6), size - offset)
    reach = max(1 / scale, 1.0)
    centres = (np.arange(inside) + 0.5)[:, None] / scale  # [inside, 1], raw pixels from the crop's edge
    near = np.floor(centres - reach).astype(np.int64) + np.arange(ceil(2 * reach) + 2)  # [inside, taps]
    weights = np.maximum(0, 1 - np.abs(near + 0.5 - centres) / reach)
    weights[(near < 0) | (near >= ceil(inside / scale))] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    row, tap = np.nonzero((weights > 0) & (near < stop - start))
    across = near[row, tap]
    column = stop - 1 - across if flip else start + across
    values = weights[row, tap].astype(np.float32)
    return sparse.csr_array((values, (row + offset, column)), shape=(size, length))


def interpolate_rows(values: Array, places: Floats) -> Array:
    """Interpolate linearly between the rows of an image; beyond the outermost centres the border is held.

    Equal neighbours stay exactly equal: measures that rank pixels must not rank rounding errors.

    Args:
        values: ``[h, w]``.
        places: ``[H]``, where the centre of row ``i`` is at ``i + 0.5``.

    Returns:
        ``[H, w]``, of the type of ``values``.
    """
    last = len(values) - 1
    centres = np.clip(places - 0.5, 0, last)
    above = np.floor(centres).astype(np.int64)
    below = np.minimum(above + 1, last)
    share = (centres - above).astype(values.dtype)[:, None]
    return np.asarray(values[above] + share * (values[below] - values[above]))
