"""The overlap of attention and gaze, soft, as a loss."""

from typing import Literal

import torch
from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_peak, unit_sum


class DiceLoss(AlignmentLoss):
    """``L = 1 - 2 sum_xy H' R / (sum_xy H'^2 + sum_xy R^2)`` per map, in [0, 1], with ``H' = H^+ / max H^+``.

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. The loss is the same for ``a H``, a > 0, and 0
    for ``H = a R`` where ``R`` peaks at 1. A map without a positive part gives 1 and no gradient; so does a heat map
    of zeros.

    Args:
        overlap: ``"product"``: the equation above; ``"minimum"``: ``L = 1 - sum_xy min(H^+ / sum H^+, R / sum R)``, one
            minus the measure SIM, which does not depend on ``a R`` either.

    Source: ``"product"`` Milletari et al. 2016, doi:10.1109/3DV.2016.79, for masks; ``"minimum"`` Bylinskii et al.
        2019, doi:10.1109/TPAMI.2018.2815601, where it is a measure. The division by the peak is ours.
    """

    def __init__(self, *, overlap: Literal["product", "minimum"] = "product") -> None:
        super().__init__()
        self.overlap = overlap

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        resized = resize(attention, gaze.shape[1:])
        if self.overlap == "minimum":
            return 1 - torch.minimum(unit_sum(resized), unit_sum(gaze)).sum(dim=(1, 2))
        looked = unit_peak(resized)
        both = 2 * (looked * gaze).sum(dim=(1, 2))  # [B]
        either = (looked.square() + gaze.square()).sum(dim=(1, 2))
        return 1 - both / torch.where(either > 0, either, 1.0)
