"""Build the optimiser of a training, set its learning rates, and take a step or none."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.contracts.progress import Elapsed
from gazekit.errors import PluginError
from gazekit.training.optimising.parts import parameter_groups
from gazekit.training.optimising.recipe import Recipe


def make_optimizer(modules: nn.ModuleDict, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the optimiser of a recipe over all learnable parameters of model and objective.

    For a recorded step (``training.captured``) the learning rates live on the GPU, where the recording can read them.
    """
    groups = parameter_groups(modules, recipe.settings)
    optimizer: Any = recipe.optimizer(groups) if recipe.optimizer else torch.optim.Adam(groups, fused=True)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise PluginError(
            f"optimizer {type(recipe.optimizer).__name__} promises a torch.optim.Optimizer; came: {optimizer!r}"
        )
    for group in optimizer.param_groups:
        first: Tensor = group["params"][0]
        if recipe.settings.cuda_graphs and first.is_cuda and decides_on_device(optimizer):
            group["lr"] = torch.tensor(group["initial_lr"], device=first.device)
            if "capturable" in group:
                group["capturable"] = True
    return optimizer


def decides_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimiser reads ``found_inf`` and ``grad_scale``, as torch's gradient scaler asks."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rates of the next step to a multiple of each group's own, without waiting for the device."""
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def factor_of(recipe: Recipe, now: Elapsed) -> float:
    """Compute the factor of the learning rates for a step; 1 without a schedule."""
    if recipe.schedule is None:
        return 1.0
    given: Any = recipe.schedule(now)
    factor = given.item() if isinstance(given, Tensor) and given.numel() == 1 else given
    if not (isinstance(factor, Real) and 0 <= float(factor) < math.inf):
        raise PluginError(
            f"schedule {type(recipe.schedule).__name__} promises a finite factor of at least 0; came: {given!r} for "
            f"step {now.step} of {now.steps}"
        )
    return float(factor)


def step_if(taken: Tensor, optimizer: torch.optim.Optimizer, scale: Tensor | None = None) -> None:
    """Take a step, or change neither weights nor state.

    Args:
        taken: whether the step counts, a bool on the device. The host waits for it only if the optimiser cannot.
        optimizer: over parameters with gradients.
        scale: of the loss, by which gradients are divided first.
    """
    if decides_on_device(optimizer):
        # torch's gradient scaler sets these; with found_inf 1 a fused optimiser changes nothing
        optimizer.found_inf = (~taken).float()  # type: ignore[attr-defined]
        if scale is not None:
            optimizer.grad_scale = scale.clone()  # type: ignore[attr-defined]
        optimizer.step()
    elif taken:
        if scale is not None:
            parameters = (each for group in optimizer.param_groups for each in group["params"])
            torch._foreach_div_([each.grad for each in parameters if each.grad is not None], scale)
        optimizer.step()


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore the state of an optimiser, and keep its settings.

    Some optimisers of timm count their steps in a group, where a fresh one has no such entry.
    """
    settings = optimizer.state_dict()["param_groups"]
    groups = [{**stored, **own} for stored, own in zip(state["param_groups"], settings, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
