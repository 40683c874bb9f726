"""The gaze loss of GA-Net: mean squared error between maps in [0, 1]."""

import torch
from torch import Tensor, nn

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_range


class MeanSquaredError(AlignmentLoss):
    """``L = mean_xy (norm(H)(x, y) - R(x, y))^2`` per map, with ``norm(H) = (H - min H) / (max H - min H)``.

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. A constant map becomes zeros, with a
    finite gradient.

    Args:
        uncertainty: learn the weight of the loss: ``L / (2 σ^2) + log σ``, with ``log σ^2`` a parameter that
            starts at 0.

    Source: GA-Net, Wang et al. 2022, doi:10.1109/TMI.2022.3146973; the learnt weight is that of Kendall et al.,
    CVPR 2018, doi:10.1109/CVPR.2018.00781.
    """

    log_variance: nn.Parameter | None

    def __init__(self, *, uncertainty: bool = False) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(())) if uncertainty else None

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        looked = unit_range(resize(attention, gaze.shape[1:]))
        error = (looked - gaze).square().mean(dim=(1, 2))  # [B]
        if self.log_variance is None:
            return error
        return (error * torch.exp(-self.log_variance) + self.log_variance) / 2
