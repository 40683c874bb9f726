"""Measure how well attention agrees with gaze, with the measures of the saliency field.

Attention ``[h, w]`` is resized bilinearly to the grid ``[H, W]`` of the gaze. All measures are invariant under
a → s·a + b with s > 0, which alignment losses leave open. A constant map scores chance: NSS 0, correlation 0,
AUC 0.5, and KL, SIM and information gain those of the uniform distribution.

Source: Bylinskii et al. 2019, doi:10.1109/TPAMI.2018.2815601.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.gaze.fixated_pixels import fixated_pixels
from gazekit.measures.gaze.information_gain import centre_bias, information_gain
from gazekit.records.arrays import Array, Floats

_EPSILON = float(np.finfo(np.float64).eps)  # as in the benchmark's own code


def nss(attention: Array, fixations: Array, shape: tuple[int, int]) -> float:
    """Compute the normalised scanpath saliency: mean over fixations of ``(a - mean) / sd``; chance 0.

    Args:
        attention: ``[h, w]``.
        fixations: ``[F, 2]``, x and y in continuous pixels of the grid; those outside are ignored.
        shape: ``(H, W)`` of the grid.

    Raises:
        DataError: no fixation inside, or attention that is not finite.
    """
    values = resize_bilinear(attention, shape)
    rows, columns = fixated_pixels(fixations, shape)
    return float(_standardised(values)[rows, columns].mean())


def auc_judd(attention: Array, fixations: Array, shape: tuple[int, int]) -> float:
    """Compute the area under the ROC curve of fixated against all other pixels, thresholds at the fixated values.

    It uses trapezoids between those thresholds, so few fixations raise it above the area under the full curve: with n
    fixated pixels, a map that knows nothing scores 0.5 + 1 / (2 (n + 1)), 0.75 with one. Ties share one threshold; the
    benchmark's code jitters them. Args and Raises as in `nss`.
    """
    values = resize_bilinear(attention, shape)
    fixated = np.zeros(shape, dtype=bool)
    fixated[fixated_pixels(fixations, shape)] = True
    at_fixations, elsewhere = np.sort(values[fixated]), np.sort(values[~fixated])
    if elsewhere.size == 0:
        raise DataError(f"every pixel of the {shape[0]} × {shape[1]} grid is fixated: AUC-Judd needs others")
    thresholds = np.unique(at_fixations)[::-1]
    hits = 1 - np.searchsorted(at_fixations, thresholds) / at_fixations.size
    false_alarms = 1 - np.searchsorted(elsewhere, thresholds) / elsewhere.size
    return float(np.trapezoid(np.r_[0, hits, 1], np.r_[0, false_alarms, 1]))


def shuffled_auc(attention: Array, fixations: Array, others: NDArray[np.int64]) -> float:
    """Compute the probability that a fixated value exceeds one at fixations of *other* images; ties count half.

    A map that only encodes that readers look at the middle scores 0.5. All ``others`` are used, so the result is
    deterministic: the limit of the benchmark's random splits.

    Args:
        attention, fixations: as in `nss`.
        others: fixations of other images on each pixel, ``[H, W]``; see `fixation_counts`.

    Raises:
        DataError: no fixation of this image inside; or attention that is not finite.
    """
    values = resize_bilinear(attention, (others.shape[0], others.shape[1]))
    here = values[fixated_pixels(fixations, (others.shape[0], others.shape[1]))]
    looked_at = others > 0
    order = np.argsort(values[looked_at])
    there = values[looked_at][order]
    total = np.r_[0, np.cumsum(others[looked_at][order])]
    below, up_to = (total[np.searchsorted(there, here, side=side)] for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * total[-1]))


def correlation(attention: Array, gaze: Array) -> float:
    """Compute Pearson's correlation of attention ``[h, w]`` and gaze heat map ``[H, W]``; 0 if one is constant."""
    values, heat = _pair(attention, gaze)
    return float((_standardised(values) * _standardised(heat)).mean())


def kl_divergence(attention: Array, gaze: Array) -> float:
    """Compute ``Σ q log(ε + q / (ε + p))``: information lost by taking attention p for gaze q; 0 is best."""
    p, q = (_distribution(values) for values in _pair(attention, gaze))
    return float((q * np.log(_EPSILON + q / (_EPSILON + p))).sum())


def similarity(attention: Array, gaze: Array) -> float:
    """Compute ``Σ min(p, q)``, the overlap of attention and gaze as distributions, in [0, 1]."""
    p, q = (_distribution(values) for values in _pair(attention, gaze))
    return float(np.minimum(p, q).sum())


def heat_map_measures(attention: Array, gaze: Array) -> dict[str, float]:
    """Compare attention ``[h, w]`` with a gaze heat map ``[H, W]`` by correlation, KL divergence and similarity."""
    return {
        measure.__name__: measure(attention, gaze) for measure in (correlation, kl_divergence, similarity)
    }


def fixation_measures(
    shape: tuple[int, int], others: NDArray[np.int64] | None = None
) -> dict[str, Callable[[Array, Array], float]]:
    """Return the measures that compare a map ``[h, w]`` with fixations ``[F, 2]``, as functions of these two.

    Args:
        shape: ``(H, W)`` of the grid that the fixations lie on.
        others: fixations of other images on each pixel, ``[H, W]``; adds ``shuffled_auc`` and ``information_gain``.

    Returns:
        ``nss``, ``auc_judd`` and those added.
    """
    measures: dict[str, Callable[[Array, Array], float]] = {
        "nss": partial(nss, shape=shape),
        "auc_judd": partial(auc_judd, shape=shape),
    }
    if others is not None:
        measures["shuffled_auc"] = partial(shuffled_auc, others=others)
        measures["information_gain"] = partial(information_gain, baseline=centre_bias(others))
    return measures


def _pair(attention: Array, gaze: Array) -> tuple[Floats, Floats]:
    heat = np.asarray(gaze, dtype=np.float64)
    if not (np.isfinite(heat).all() and (heat >= 0).all() and heat.any()):
        raise DataError(
            "gaze heat map is empty, negative or not finite: expected values in [0, 1] with a maximum above 0; "
            "leave out views without gaze"
        )
    return resize_bilinear(attention, (heat.shape[0], heat.shape[1])), heat


def _standardised(values: Floats) -> Floats:
    """Scale a map to zero mean and unit standard deviation; a constant map becomes 0."""
    if np.ptp(values) == 0:
        return np.zeros_like(values)
    centred = values - values.mean()
    return np.asarray(centred / np.sqrt((centred**2).mean()))


def _distribution(values: Floats) -> Floats:
    """Scale a map to [0, 1] and then to sum 1; a constant map becomes uniform."""
    span = np.ptp(values)
    if span == 0:
        return np.full_like(values, 1 / values.size)
    scaled = (values - values.min()) / span
    return np.asarray(scaled / scaled.sum())
