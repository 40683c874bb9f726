"""Penalise attention where nobody looked."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_sum


class OutsideLoss(AlignmentLoss):
    """``L = sum_xy H^+ [R < τ] / sum_xy H^+`` per map: the share of positive attention where ``R`` is below ``τ``.

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. The loss is the same for ``a H``, a > 0. It
    does not say where inside the gaze attention should lie. A map without a positive part gives 0 and no gradient.

    Args:
        threshold: ``τ``; a place with a lower heat map counts as not looked at.

    Source: the idea is Ross et al. 2017, doi:10.24963/ijcai.2017/371, who penalise input gradients outside a mask;
        share and threshold are ours.
    """

    def __init__(self, *, threshold: Annotated[float, Field(gt=0, le=1)] = 0.1) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        share = unit_sum(resize(attention, gaze.shape[1:]))
        return (share * (gaze < self.threshold)).sum(dim=(1, 2))
