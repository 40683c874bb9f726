"""The normalised scanpath saliency: how far attention at the fixations lies above its mean."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit.contracts.precision import full_precision
from gazekit_components.alignment_losses.comparable_maps import unit_variance


class NormalisedScanpathSaliency(AlignmentLoss):
    """``L = - sum_k w_k Z(H)(x_k, y_k) / sum_k w_k`` per map, with ``Z(H) = (H - mean H) / sd H`` over space.

    ``(x_k, y_k)`` is fixation ``k`` in pixels of the attention map. Between pixel centres the map is bilinear, with the
    border repeated. The loss is the same for ``a H + b``, a > 0, and needs no sigma. A fixation beside the map does not
    count; an exam without fixations, and a constant map, give 0 and no gradient.

    Args:
        weights: ``w_k``: ``"duration"``, or ``"equal"``: 1.

    Source: Peters et al. 2005, doi:10.1016/j.visres.2005.03.019; bilinear values and weights by duration are ours.
    """

    reads: ClassVar[Literal["heat_map", "fixations"]] = "fixations"

    def __init__(self, *, weights: Literal["duration", "equal"] = "duration") -> None:
        super().__init__()
        self.weights = weights

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and fixations ``[B, F, 3]`` to a loss per map, ``[B]``.

        A fixation is x and y in pixels of the attention map, where (0, 0) is the outer corner of the first pixel, and
        its duration in ms; a row with a NaN is none.
        """
        maps = unit_variance(attention)
        height, width = maps.shape[1:]
        x, y, duration = gaze.to(maps.dtype).unbind(dim=2)  # [B, F]
        counts = ~gaze.isnan().any(dim=2) & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
        # products with matrices: no gather, whose gradient is not deterministic
        with full_precision(maps.device):
            rows, columns = _bilinear(y, counts, height), _bilinear(x, counts, width)  # [B, F, h], [B, F, w]
            values = ((rows @ maps) * columns).sum(dim=2)  # [B, F]
        weight = torch.where(counts, duration.clamp(min=0) if self.weights == "duration" else 1.0, 0.0)
        total = weight.sum(dim=1)
        return -(weight * values).sum(dim=1) / torch.where(total > 0, total, 1.0)


def _bilinear(position: Tensor, counts: Tensor, size: int) -> Tensor:
    """Return the weight of each of ``size`` pixels at a position ``[B, F]`` along one axis: ``[B, F, size]``."""
    pixel = torch.where(counts, position - 0.5, 0.0).clamp(0, size - 1)[..., None]
    return (1 - (pixel - torch.arange(size, device=position.device, dtype=position.dtype)).abs()).relu()
