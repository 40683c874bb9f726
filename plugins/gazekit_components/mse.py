"""The gaze loss of GA-Net: mean squared error between maps in [0, 1]."""

import torch
from torch import Tensor, nn

from gazekit.interfaces import AlignmentLoss


class MeanSquaredError(AlignmentLoss):
    """``mean_xy (norm(H)(x, y) - R(x, y))^2`` per map, with ``norm(H) = (H - min H) / (max H - min H)``.

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. A constant map becomes zeros, with a
    finite gradient.

    Source: GA-Net, Wang et al. 2022, doi:10.1109/TMI.2022.3146973.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        attention = attention if attention.dtype == torch.float64 else attention.float()
        resized = nn.functional.interpolate(attention[:, None], gaze.shape[1:], mode="bilinear")
        return (_to_unit_range(resized[:, 0]) - gaze).square().mean(dim=(1, 2))  # [B]


def _to_unit_range(maps: Tensor) -> Tensor:
    """Each map scaled to [0, 1]; one that varies by no more than rounding becomes zeros."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    span = high - low  # [B, 1, 1]
    rounding = 8 * torch.finfo(maps.dtype).eps * torch.maximum(high.abs(), low.abs())
    varies = span > rounding
    return torch.where(varies, (maps - low) / torch.where(varies, span, 1.0), 0.0)
