"""Draw soft lines and dots on a pixel grid: vessels, spicules, calcifications."""

import numpy as np
from scipy import ndimage

from gazekit.records.arrays import Floats

FINEST = 0.55
"""Smallest standard deviation in pixels that a grid can show; finer structures are drawn this wide but fainter."""


def draw_lines(points: Floats, peaks: Floats, sigma: float, shape: tuple[int, int]) -> Floats:
    """Draw lines with a Gaussian cross-section, ``[H, W]``.

    Args:
        points: ``[N, K, 2]``, K points (x, y) in pixels along each of N lines.
        peaks: ``[N, K]``, the value on the line's axis at each point.
        sigma: standard deviation of the cross-section in pixels.
        shape: (rows, columns).
    """
    longest = np.linalg.norm(np.diff(points, axis=1), axis=2).max()
    parts = max(2, int(np.ceil(2.0 * longest)))  # two points a pixel
    step = np.linspace(0.0, 1.0, parts, endpoint=False)[:, None]
    start, end = points[:, :-1, None, :], points[:, 1:, None, :]
    dense = start + step * (end - start)  # [N, K - 1, parts, 2]
    height = peaks[:, :-1, None] + step[:, 0] * np.diff(peaks, axis=1)[:, :, None]  # [N, K - 1, parts]
    length = np.linalg.norm(end - start, axis=-1) / parts  # [N, K - 1, 1]
    mass = height * length * sigma * np.sqrt(2 * np.pi)
    return _blurred(dense.reshape(-1, 2), mass.ravel(), sigma, shape)


def draw_dots(points: Floats, peaks: Floats, sigma: float, shape: tuple[int, int]) -> Floats:
    """Draw Gaussian dots ``[H, W]`` of standard deviation ``sigma`` pixels at ``points`` ``[N, 2]``."""
    return _blurred(points, peaks * 2 * np.pi * sigma**2, sigma, shape)


def _blurred(points: Floats, mass: Floats, sigma: float, shape: tuple[int, int]) -> Floats:
    """Distribute points of given mass over the four nearest pixel centres, then blur."""
    canvas = np.zeros(shape)
    corner = np.floor(points - 0.5).astype(int)
    part = points - 0.5 - corner
    for right in (0, 1):
        for down in (0, 1):
            share = np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1]) * mass
            x, y = corner[:, 0] + right, corner[:, 1] + down
            seen = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
            np.add.at(canvas, (y[seen], x[seen]), share[seen])
    return np.asarray(ndimage.gaussian_filter(canvas, max(sigma, FINEST), mode="constant", truncate=3.5))
