"""Generalised-mean pooling: between mean and maximum, at a power that is learnt."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Extras

_SMALLEST = 1e-6


class GeneralisedMean(Pooling):
    """``z_c = (mean_xy max(A_c, 1e-6)^p)^(1/p)``, with one power ``p`` for all channels.

    ``p = 1`` is the mean of the positive part, ``p → ∞`` the maximum. It is meant for maps after a ReLU; a channel that
    is negative everywhere gives 1e-6 and no gradient. Values are divided by the largest of their channel before they
    are raised, and multiplied by it at the end, so that no power overflows.

    Args:
        channels: ``C`` of the maps.
        power: ``p`` at the start.
        learn_power: whether ``p`` learns, as ``1 + |power - 1|``: it is never less than 1.

    Source: Radenović et al. 2018, doi:10.1109/TPAMI.2018.2846566.
    """

    def __init__(
        self,
        channels: int,  # noqa: ARG002
        *,
        power: Annotated[float, Field(ge=1)] = 3.0,
        learn_power: bool = True,
    ) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power), requires_grad=learn_power)

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:  # noqa: ARG002
        """Map the last maps ``[B, C, h, w]`` to ``[B, C]``."""
        positive = maps.clamp(min=_SMALLEST)
        power = torch.where(self.power >= 1, self.power, 2 - self.power)
        largest = positive.detach().amax(dim=(2, 3))  # [B, C]; it cancels, and so does its gradient
        ratios = positive / largest[:, :, None, None]
        pooled: Tensor = largest * ratios.pow(power).mean(dim=(2, 3)).pow(1 / power)
        return pooled
