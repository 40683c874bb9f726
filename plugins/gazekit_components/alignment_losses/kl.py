"""The Kullback-Leibler divergence of attention from gaze, both as distributions over space."""

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit_components.alignment_losses.comparable_maps import resize, unit_sum

_UNIFORM = 1e-4
"""The share of the uniform distribution, with which no place has probability 0."""


class KullbackLeibler(AlignmentLoss):
    """``L = sum_xy R' log(R' / H')`` per map, in nats, with ``R' = R / sum R`` and ``H'`` attention as a distribution.

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. A heat map of zeros gives 0.

    Args:
        normalise: ``"softmax"``: ``H' = softmax(H / temperature)`` over space, which does not depend on ``H + b``;
            ``"positive"``: ``H' = (1 - ε) H^+ / sum H^+ + ε / (height width)``, ``ε = 1e-4``, which does not depend on
            ``a H``, a > 0; a map without a positive part counts as uniform.
        temperature: of the softmax, in units of ``H``; the lower, the sharper ``H'``. Grad-CAM divides by ``h w``,
            so its softmax is almost uniform at 1.

    Source: Bylinskii et al. 2019, doi:10.1109/TPAMI.2018.2815601, where it is a measure; ``ε`` is ours.
    """

    def __init__(
        self, *, normalise: Literal["softmax", "positive"] = "softmax", temperature: PositiveFloat = 1.0
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.temperature = temperature

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        looked = self._log_distribution(resize(attention, gaze.shape[1:]))
        read = unit_sum(gaze)
        return (torch.xlogy(read, read) - read * looked).sum(dim=(1, 2))

    def _log_distribution(self, maps: Tensor) -> Tensor:
        """Return ``log H'``, ``[B, H, W]``."""
        if self.normalise == "softmax":
            return (maps / self.temperature).flatten(1).log_softmax(dim=1).view_as(maps)
        share = unit_sum(maps)
        there = share.sum(dim=(1, 2), keepdim=True) > 0  # [B, 1, 1]
        pixels = maps.shape[1:].numel()
        return torch.where(there, (1 - _UNIFORM) * share + _UNIFORM / pixels, 1 / pixels).log()
