"""Build a preset's optimiser and set its learning rate at every step."""

import math

import torch
from torch import Tensor

from gazekit.presets.tables import TrainingSettings


def make_optimizer(module: torch.nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Build the preset's optimiser over all trainable parameters.

    For a recorded step (``training.captured``) the learning rate lives on the GPU, where the recording can read it.
    """
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    recorded = settings.cuda_graphs and learning[0].is_cuda
    rate = (
        torch.tensor(settings.learning_rate, device=learning[0].device)
        if recorded
        else settings.learning_rate
    )
    return kinds[settings.optimizer](
        learning,
        lr=rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
        capturable=recorded,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step without waiting for the device."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def learning_rate(step: int, steps: int, settings: TrainingSettings) -> float:
    """Compute the learning rate of a step: constant, or one cycle (cosine rise over 30 %, cosine fall to zero).

    Source: Smith & Topin 2019, doi:10.1117/12.2520589, in the cosine form of torch's OneCycleLR.
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
