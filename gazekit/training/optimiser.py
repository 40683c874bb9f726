"""The optimiser of a preset and its learning rate at every step."""

import math

import torch

from gazekit.settings import TrainingSettings


def make_optimizer(module: torch.nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The preset's optimiser over all parameters that learn."""
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.optimizer](
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    """The learning rate of a step: constant, or one cycle (rise over 30 %, fall to zero, both as a cosine).

    Source: the cycle is Smith & Topin 2019, doi:10.1117/12.2520589, in the cosine form of torch's OneCycleLR.
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    peak = max(1.0, 0.3 * steps - 1)
    low = 1 / 25
    if step <= peak:
        return settings.learning_rate * (low + (1 - low) * _rise(step / peak))
    return settings.learning_rate * _rise((steps - 1 - step) / max(1.0, steps - 1 - peak))


def _rise(share: float) -> float:
    return (1 - math.cos(math.pi * share)) / 2
