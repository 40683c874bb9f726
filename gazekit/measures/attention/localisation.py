"""Measure whether attention lies on the lesion, against a lesion mask.

Attention maps are resized bilinearly to the grid of the mask. A constant map scores the share of the image
that the lesion covers, as would a random point. Without a positive value it has no energy, and ``energy_inside`` is 0.
"""

import numpy as np

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.records.arrays import Array, Booleans, Floats


def pointing_game(attention: Array, mask: Array) -> float:
    """Return 1 if the highest pixel of the map lies inside the lesion, else 0.

    If several pixels are highest, return the share of them inside.

    Args:
        attention: ``[h, w]``, any sign.
        mask: ``[H, W]``, true inside the lesion.

    Raises:
        DataError: an empty mask, or attention that is not finite.

    Source: Zhang et al. 2018, doi:10.1007/s11263-017-1059-x, without its tolerance of 15 pixels.
    """
    values, inside = _on_the_mask(attention, mask)
    return float(inside[values == values.max()].mean())


def energy_inside(attention: Array, mask: Array) -> float:
    """Return the share of the positive attention inside the lesion, ``Σ_mask ReLU(a) / Σ ReLU(a)``.

    0 for a map without positive values. Args and Raises as in `pointing_game`.

    Source: Wang et al. 2020, doi:10.1109/CVPRW50498.2020.00020, Sec. 4.3.
    """
    values, inside = _on_the_mask(attention, mask)
    positive = np.maximum(values, 0)
    total = positive.sum()
    return float(positive[inside].sum() / total) if total > 0 else 0.0


def best_iou(attention: Array, mask: Array) -> float:
    """Return the highest intersection over union of the lesion and ``{a ≥ t}`` over all thresholds t.

    The threshold is chosen per map using the mask, so this is an upper bound, not a segmentation result. Args and
    Raises as in `pointing_game`.
    """
    values, inside = _on_the_mask(attention, mask)
    order = np.argsort(-values)
    falling, hits = values[order], np.cumsum(inside[order])
    chosen = np.arange(1, len(falling) + 1)
    union = chosen + inside.sum() - hits
    last_of_ties = np.r_[falling[1:] != falling[:-1], True]  # a threshold takes all of them or none
    return float((hits / union)[last_of_ties].max())


def localisation(attention: Array, mask: Array) -> dict[str, float]:
    """Compute all measures of a map against a lesion mask: ``pointing_game``, ``energy_inside``, ``best_iou``."""
    return {
        measure.__name__: measure(attention, mask) for measure in (pointing_game, energy_inside, best_iou)
    }


def _on_the_mask(attention: Array, mask: Array) -> tuple[Floats, Booleans]:
    inside = np.asarray(mask).astype(bool)
    if not inside.any():
        raise DataError("lesion mask is empty: leave views without a lesion out of the localisation")
    return resize_bilinear(attention, (inside.shape[0], inside.shape[1])).ravel(), inside.ravel()
