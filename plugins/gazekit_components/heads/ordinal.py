"""Proportional odds: a head for targets whose classes are in order, such as grades."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gazekit.contracts.interfaces import Head
from gazekit.contracts.types import Views
from gazekit.errors import ConfigurationError


class Ordinal(Head):
    """One score per exam, cut by thresholds in order.

    With score ``s = w · I`` and thresholds ``t_1 < … < t_(K-1)``::

        P(y <= k) = sigmoid(t_k - s)
        logit_k   = log P(y = k) = log(sigmoid(t_k - s) - sigmoid(t_(k-1) - s))

    so that the softmax of the logits is the probability of each class, and cross-entropy the model's likelihood. With
    two classes it is logistic regression.

    Args:
        features: of the fused vector.
        outputs: target → logits.
        views, channels: of the vectors, which it does not read.
        ordered: targets whose classes are in order; ``"label"`` is the label. Others get a linear layer.

    Source: McCullagh 1980, doi:10.1111/j.2517-6161.1980.tb01109.x.
    """

    def __init__(
        self,
        features: int,
        outputs: Mapping[str, int],
        views: Sequence[str],  # noqa: ARG002
        channels: int,  # noqa: ARG002
        *,
        ordered: tuple[str, ...] = ("label",),
    ) -> None:
        super().__init__()
        unknown = [target for target in ordered if target not in outputs]
        if unknown:
            raise ConfigurationError(
                f"head.ordered: '{unknown[0]}' is no target of the preset; expected some of {', '.join(outputs)}: name "
                f"one of them, or add it with --set targets.{unknown[0]}=1"
            )
        self.targets = nn.ModuleDict(
            {
                target: _ProportionalOdds(features, number)
                if target in ordered and number > 1
                else nn.Linear(features, number)
                for target, number in outputs.items()
            }
        )

    def forward(self, fused: Tensor, vectors: Views) -> dict[str, Tensor]:  # noqa: ARG002
        """Map ``[B, D]`` to ``[B, K]`` per target."""
        return {target: layer(fused) for target, layer in self.targets.items()}


class _ProportionalOdds(nn.Module):
    """Logits of K ordered classes; the thresholds start evenly spaced."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1, bias=False)
        self.first = nn.Parameter(torch.tensor(1 - classes / 2))
        self.steps = nn.Parameter(torch.full((classes - 2,), 0.5413))  # softplus(0.5413) = 1

    def forward(self, fused: Tensor) -> Tensor:
        thresholds = self.first + functional.pad(functional.softplus(self.steps).cumsum(0), (1, 0))  # [K - 1]
        above = thresholds - self.score(fused)  # [B, K - 1]
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), and b - a = softplus(step)
        between = functional.logsigmoid(self.steps)
        middle = functional.logsigmoid(above[:, 1:]) + functional.logsigmoid(-above[:, :-1]) + between
        return torch.cat(
            [functional.logsigmoid(above[:, :1]), middle, functional.logsigmoid(-above[:, -1:])], dim=1
        )
