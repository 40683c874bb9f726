"""The cosine of the angle between attention and gaze, as a loss."""

from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_norm


class CosineLoss(AlignmentLoss):
    """``L = 1 - <H, R> / sqrt(<H, H> <R, R>)`` per map, in [0, 2].

    ``<H, R>`` is the sum of ``H R`` over space. ``H`` is first resized bilinearly to the grid of the heat map ``R``.
    The loss is the same for ``a H``, a > 0. Where ``H`` or ``R`` is zero everywhere the cosine counts as 0.

    Source: common; we know no first publication.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        looked = unit_norm(resize(attention, gaze.shape[1:]))
        return 1 - (looked * unit_norm(gaze)).sum(dim=(1, 2))
