"""The distance of the centroids of attention and gaze, as a loss."""

import torch
from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_sum


class CentreOfMassLoss(AlignmentLoss):
    """``L = (x_H - x_R)^2 + (y_H - y_R)^2`` per map, with ``x_M = sum_xy x M^+ / sum_xy M^+`` and ``y_M`` alike.

    ``(x_H, y_H)`` and ``(x_R, y_R)`` are the centroids of attention and gaze. ``x`` and ``y`` are pixel centres
    divided by the height: both axes have one scale, and ``L = 0.01`` is a tenth of the image's height. ``H`` is first
    resized bilinearly to the grid of the heat map ``R``. The loss is the same for ``a H``, a > 0, and says nothing
    about spread. The centroid of a map without a positive part is the middle of the image, with no gradient.

    Source: ours.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        looked, read = (_from_middle(maps) for maps in (resize(attention, gaze.shape[1:]), gaze))
        return (looked - read).square().sum(dim=1)


def _from_middle(maps: Tensor) -> Tensor:
    """Return the centroid of maps ``[B, H, W]`` less the middle of the image, (x, y) in image heights: ``[B, 2]``."""
    share = unit_sum(maps)
    height, width = maps.shape[1:]
    x, y = (
        (torch.arange(size, device=maps.device, dtype=share.dtype) - (size - 1) / 2) / height
        for size in (width, height)
    )
    return torch.stack([(share.sum(dim=1) * x).sum(dim=1), (share.sum(dim=2) * y).sum(dim=1)], dim=1)
