"""Turn fixations into a gaze heat map."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import FixationSettings
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording

REACH = 3.0
"""Distance in sigmas at which a fixation outside the image still counts."""
NARROWEST = 0.05
"""Smallest sigma in pixels of the map."""
Sigma = float | Floats
"""Of all points, or ``[n]``."""
_AT_ONCE = 4096
"""Points per matrix product, which limits the memory for a long recording."""


def sigma_pixels(
    recording: Recording, image_height: float, image_width: float, settings: FixationSettings
) -> tuple[float, float]:
    """Return the standard deviations of a fixation's Gaussian in original pixels, across and down.

    ``settings.sigma_degrees`` times the pixels per degree of the recording; if it has no geometry, those of the
    settings, else 30/800 of ``image_height`` (pixels). The two differ if the image was shown stretched.
    """
    down = settings.sigma_degrees * recording.degree(image_height, settings.pixels_per_degree)
    return down * recording.stretch_on(image_height, image_width), down


def heat_map(
    x: Floats, y: Floats, weight: Floats, *, shape: tuple[int, int], sigma: float | tuple[Sigma, Sigma]
) -> NDArray[np.float32]:
    """Sum one weighted Gaussian per point and divide by the maximum: ``[H, W]`` in [0, 1].

    ``R(i, j) = Σ_k w_k exp(-((j + ½ - x_k)² + (i + ½ - y_k)²) / 2σ²) / max R``, evaluated exactly: the
    Gaussian is separable, so the sum is one matrix product. Points outside the map contribute their tail.

    Args:
        x, y: ``[n]`` pixels of the map, (0, 0) its outer corner.
        weight: ``[n]`` >= 0, usually durations.
        shape: (H, W).
        sigma: pixels of the map, >= 0.05 (a narrower Gaussian can miss every pixel centre); one, or one across and
            one down, of all points or ``[n]``.

    Raises:
        ConfigurationError: sigma is too small.
        DataError: no point with a weight lies on the map or within 3 sigma of it.
    """
    pair = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    check_on_image(x, y, weight, shape=shape, sigma=pair)
    across, down = (np.broadcast_to(each, x.shape) for each in pair)
    height, width = shape
    total = np.zeros(shape)
    for first in range(0, len(x), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        rows = _gaussian(y[part], height, down[part])  # [n, H]
        columns = _gaussian(x[part], width, across[part])  # [n, W]
        total += (rows * weight[part, None]).T @ columns  # [H, W]
    return np.asarray(total / total.max(), dtype=np.float32)


def mean_heat_map(maps: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Average the heat maps of readers, scaled to a maximum of 1."""
    total = np.sum(list(maps), axis=0, dtype=np.float64)
    return np.asarray(total / total.max(), dtype=np.float32)


def check_on_image(
    x: Floats, y: Floats, weight: Floats, *, shape: tuple[int, int], sigma: tuple[Sigma, Sigma]
) -> None:
    """Raise what :func:`heat_map` raises where it cannot make a map of these points."""
    height, width = shape
    across, down = sigma
    narrowest = min(np.min(across), np.min(down))
    if not narrowest >= NARROWEST:
        raise ConfigurationError(
            f"gaze heat map: sigma is {narrowest:g} pixels; expected at least {NARROWEST}; make the map larger "
            "or sigma wider"
        )
    if len(weight) and not np.any(weight > 0):
        raise DataError(
            f"gaze heat map: all {len(weight)} fixations last 0 ms; expected some that last; leave the "
            "recording out"
        )
    beside = np.maximum(np.maximum(-x, x - width), 0)
    above = np.maximum(np.maximum(-y, y - height), 0)
    if not np.any((weight > 0) & (np.hypot(beside / across, above / down) <= REACH)):
        reach = REACH * max(np.max(across), np.max(down))
        raise DataError(
            f"gaze heat map of {width} x {height} pixels: none of the {len(x)} fixations lies on it or "
            f"within {REACH:g} sigma ({reach:.1f} pixels); check that gaze and image belong "
            "together"
        )


def _gaussian(centre: Floats, size: int, sigma: Floats) -> Floats:
    """Evaluate ``exp(-(i + ½ - c)² / 2σ²)`` for every pixel i of an axis, ``[n, size]``."""
    distance = np.arange(size) + 0.5 - centre[:, None]
    return np.asarray(np.exp(-0.5 * np.square(distance / sigma[:, None])))
