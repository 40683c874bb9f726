"""torch's optimisers, in the form that decides on the device whether a step counts."""

from typing import Annotated, Any

import torch
from pydantic import Field, PositiveFloat

Decay = Annotated[float, Field(ge=0, lt=1)]
"""Decay of a running mean."""


class Adam:
    """Adam: steps along the mean gradient, divided by the root of its mean square; weight decay joins the gradient.

    Args:
        betas: decay of the mean of gradients, and of their squares.
        eps: added to the root.

    Source: Kingma & Ba 2015, arXiv:1412.6980.
    """

    def __init__(self, *, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: PositiveFloat = 1e-8) -> None:
        self.betas = betas
        self.eps = eps

    def __call__(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make ``torch.optim.Adam``."""
        return torch.optim.Adam(groups, betas=self.betas, eps=self.eps, fused=True)


class AdamW:
    """Adam with weight decay apart from the gradient: ``w <- w - rate * decay * w`` before its step.

    Args:
        betas: decay of the mean of gradients, and of their squares.
        eps: added to the root.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101.
    """

    def __init__(self, *, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: PositiveFloat = 1e-8) -> None:
        self.betas = betas
        self.eps = eps

    def __call__(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make ``torch.optim.AdamW``."""
        return torch.optim.AdamW(groups, betas=self.betas, eps=self.eps, fused=True)


class SGD:
    """Gradient descent with momentum: ``v <- m v + g; w <- w - rate * v``.

    Args:
        momentum: m; 0 is plain gradient descent.
        nesterov: step along ``g + m v`` instead.

    Source: Sutskever et al. 2013, in the form of torch.
    """

    def __init__(self, *, momentum: Decay = 0.9, nesterov: bool = False) -> None:
        self.momentum = momentum
        self.nesterov = nesterov and momentum > 0

    def __call__(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make ``torch.optim.SGD``."""
        optimizer = torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov, fused=True)
        # torch leaves them unset when the first step does not count; zero is its first step too
        if self.momentum:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
