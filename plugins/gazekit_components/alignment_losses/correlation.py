"""Pearson's correlation of attention and gaze, as a loss."""

from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_variance


class CorrelationLoss(AlignmentLoss):
    """``L = 1 - mean_xy Z(H) Z(R)`` per map, in [0, 2]: one minus Pearson's correlation over space.

    ``Z`` brings a map to zero mean and unit variance. ``H`` is first resized bilinearly to the grid of the heat map
    ``R``. The loss is the same for ``a H + b``, a > 0. Where ``H`` or ``R`` is constant the correlation counts as 0.

    Source: Bylinskii et al. 2019, doi:10.1109/TPAMI.2018.2815601, where it is a measure.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        looked = unit_variance(resize(attention, gaze.shape[1:]))
        return 1 - (looked * unit_variance(gaze)).mean(dim=(1, 2))
