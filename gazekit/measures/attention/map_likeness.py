"""Measure how alike two attention maps are: by the ranks of their places, and by their structure.

Maps are compared as pictures of one image, whatever their scale: both measures are invariant under a → s·a + b with
s > 0. A constant map is like no other: rank correlation 0.
"""

import numpy as np
from scipy import ndimage, stats

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.records.arrays import Array, Floats, Size

_SIGMA = 1.5
_RADIUS = 5
"""The Gaussian window of SSIM, 11 × 11 pixels."""


def rank_correlation(first: Array, second: Array) -> float:
    """Compute Spearman's ρ of the values of two maps ``[h, w]``, ties with their mean rank; 0 if one is constant.

    Raises:
        DataError: maps of different shapes.
    """
    a, b = _pair(first, second)
    a, b = (stats.rankdata(values) - (values.size + 1) / 2 for values in (a, b))
    length = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / length) if length > 0 else 0.0


def structural_similarity(first: Array, second: Array) -> float:
    """Compute the mean SSIM of two maps ``[H, W]``, each scaled to [0, 1]; 1 where they are equal.

    ``SSIM = (2 μ_a μ_b + c1) (2 σ_ab + c2) / ((μ_a² + μ_b² + c1) (σ_a² + σ_b² + c2))`` with Gaussian windows of
    σ = 1.5 px, c1 = 0.01², c2 = 0.03². The mean is over the windows inside the map; of a map with fewer than 11 pixels
    a side, over all.

    Raises:
        DataError: maps of different shapes.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861.
    """
    _pair(first, second)
    a, b = (_scaled(np.asarray(values, dtype=np.float64)) for values in (first, second))

    def local(values: Floats) -> Floats:
        return np.asarray(ndimage.gaussian_filter(values, _SIGMA, radius=_RADIUS))

    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    both = local(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    found = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    edge = _RADIUS if min(found.shape) > 2 * _RADIUS else 0
    return float(found[edge : found.shape[0] - edge, edge : found.shape[1] - edge].mean())


def map_likeness(first: Array, second: Array, shape: Size) -> dict[str, float]:
    """Compute all measures of two maps ``[h, w]`` of one image.

    Args:
        first, second: maps.
        shape: ``(H, W)`` of the image, on whose grid the structure is compared.

    Returns:
        ``spearman``; ``absolute_spearman``, which is also high where a map has turned into its negative; and ``ssim``.
    """
    rho = rank_correlation(first, second)
    structure = structural_similarity(resize_bilinear(first, shape), resize_bilinear(second, shape))
    return {"spearman": rho, "absolute_spearman": abs(rho), "ssim": structure}


def _pair(first: Array, second: Array) -> tuple[Floats, Floats]:
    a, b = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if a.shape != b.shape:
        raise DataError(f"maps have shapes {a.shape} and {b.shape}: expected two maps of one model and image")
    return a.ravel(), b.ravel()


def _scaled(values: Floats) -> Floats:
    """Scale a map to [0, 1]; a constant map becomes 0."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else np.zeros_like(values)
