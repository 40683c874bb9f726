"""Keep a moving average of the weights beside those that train."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """``e <- d e + (1 - d) w`` after each step that counts, with ``d = min(decay, (1 + t) / (10 + t))`` at the t-th.

    The average is a model that can be validated and saved. It covers running statistics too; whole numbers are copied.

    Args:
        modules: model and objective, as they are when the average begins.
        decay: d after many steps.

    Source: Polyak & Juditsky 1992, doi:10.1137/0330046; the rise of d as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, modules: nn.ModuleDict, decay: float) -> None:
        self.modules = deepcopy(modules).eval().requires_grad_(False)
        self.decay = decay
        self.pairs = [
            (kept, weights) for kept, weights in zip(_tensors(self.modules), _tensors(modules), strict=True)
        ]
        self.steps = torch.zeros((), device=self.pairs[0][0].device)

    @torch.no_grad()
    def update(self, taken: Tensor) -> None:
        """Follow the weights after a step; ``taken`` is a bool on the device, where all is decided."""
        self.steps.add_(taken)
        share = torch.where(taken, 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay), 0)
        averaged = [(kept, weights) for kept, weights in self.pairs if kept.is_floating_point()]
        moves = torch._foreach_sub([weights for _, weights in averaged], [kept for kept, _ in averaged])
        torch._foreach_mul_(moves, share)
        torch._foreach_add_([kept for kept, _ in averaged], moves)
        for kept, weights in self.pairs:
            if not kept.is_floating_point():
                kept.copy_(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the average for a checkpoint."""
        return {"weights": self.modules.state_dict(), "steps": self.steps.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the average from a checkpoint made on any device."""
        self.modules.load_state_dict(state["weights"])
        self.steps.copy_(state["steps"])


def _tensors(modules: nn.Module) -> list[Tensor]:
    return list(modules.state_dict(keep_vars=True).values())
