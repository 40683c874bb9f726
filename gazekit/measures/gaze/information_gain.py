"""How much better than the centre bias a map predicts fixations, in bits a fixation.

A map is not a probability, and neither is a handful of fixations. How each becomes a density over pixels is our choice,
written at the functions; the gain of one density over the other is Kümmerer's.

Source: Kümmerer et al. 2015, doi:10.1073/pnas.1510393112; pysaliency's ``Model.information_gain``.
"""

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.records.arrays import Array, Floats

MAP_UNIFORM = 0.1
"""Share of the uniform density in that of a map: a fixation where the map is 0 costs 3.3 bits, not infinitely many."""
BIAS_UNIFORM = 0.01
"""Share of the uniform density in the centre bias."""


def information_gain(
    attention: Array, fixations: Array, baseline: Floats, *, uniform: float = MAP_UNIFORM
) -> float:
    """Mean over fixations of ``log2 p(f) - log2 b(f)``; 0 where the map knows no more than the baseline.

    Negative values are possible: a map can be worse than knowing that readers look at the middle.

    Args:
        attention: map ``[h, w]``; `map_density` makes p of it.
        fixations: ``[F, 2]``, x and y in continuous pixels of the baseline; those outside are left out.
        baseline: density b ``[H, W]``, above 0 everywhere, as `centre_bias` makes it of other images' fixations.
        uniform: see `map_density`.

    Raises:
        DataError: no fixation inside, or attention that is not finite.
    """
    shape = (baseline.shape[0], baseline.shape[1])
    counts = fixation_counts(fixations, shape)
    gain = np.log2(map_density(attention, shape, uniform=uniform)) - np.log2(baseline)
    return float((counts * gain).sum() / counts.sum())


def map_density(attention: Array, shape: tuple[int, int], *, uniform: float = MAP_UNIFORM) -> Floats:
    """Turn a map into a density over the pixels of ``shape``, ``[H, W]``, sum 1.

    ``p = (1 - u) a / Σa + u / HW``, with a the map resized bilinearly and scaled to [0, 1]: like the measures of
    gaze agreement, p does not change under a → s·a + b with s > 0. A constant map becomes uniform.

    Args:
        attention: ``[h, w]``, any sign.
        shape: ``(H, W)``.
        uniform: u in (0, 1].

    Raises:
        DataError: attention that is not finite.
        ConfigurationError: u out of its range.
    """
    values = resize_bilinear(attention, shape)
    span = np.ptp(values)
    if span == 0:
        return np.full(shape, 1 / values.size)
    return _mixed((values - values.min()) / span, uniform)


def centre_bias(
    counts: NDArray[np.int64],
    *,
    sigma: tuple[float, float] | None = None,
    uniform: float = BIAS_UNIFORM,
) -> Floats:
    """Estimate where readers look whatever the image, ``[H, W]``, sum 1: a Gaussian kernel estimate of fixations.

    ``b = (1 - u) k / Σk + u / HW``, with k the counts blurred by a Gaussian.

    Args:
        counts: fixations of *other* images on each pixel, ``[H, W]``, from `fixation_counts`.
        sigma: of the Gaussian, down and across, in pixels, > 0. None takes Scott's rule, ``n^(-1/6) · sd`` of
            the coordinates, but at least one pixel.
        uniform: u in (0, 1].

    Raises:
        DataError: no fixation.
        ConfigurationError: an option out of its range.
    """
    total = counts.sum()
    if total == 0:
        raise DataError(
            "centre bias: no fixation of another image; expected at least one image more with gaze"
        )
    down, across = _scott(counts) if sigma is None else sigma
    if not min(down, across) > 0:
        raise ConfigurationError(
            f"centre bias: sigma is {down:g}, {across:g} pixels; expected numbers above 0"
        )
    rows, columns = (_gaussian(size, s) for size, s in zip(counts.shape, (down, across), strict=True))
    return _mixed(rows @ counts @ columns, uniform)


def _scott(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Scott's bandwidths down and across. Source: Scott 1992, Multivariate density estimation, Eq. 6.42."""
    total = counts.sum()
    spreads = []
    for along in (counts.sum(axis=1), counts.sum(axis=0)):
        place = np.arange(len(along))
        mean = along @ place / total
        spreads.append(float(np.sqrt(along @ (place - mean) ** 2 / total)))
    down, across = (max(1.0, float(total ** (-1 / 6)) * spread) for spread in spreads)
    return down, across


def _gaussian(size: int, sigma: float) -> Floats:
    """``exp(-(i - j)² / 2σ²)`` for all pixels i and j of an axis, ``[size, size]``."""
    place = np.arange(size)
    return np.asarray(np.exp(-0.5 * np.square((place[:, None] - place) / sigma)))


def _mixed(values: Floats, uniform: float) -> Floats:
    if not 0 < uniform <= 1:
        raise ConfigurationError(f"information gain: uniform is {uniform:g}; expected a share in (0, 1]")
    return np.asarray((1 - uniform) * values / values.sum() + uniform / values.size)
