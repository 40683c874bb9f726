"""The gradient of the score at maps or vectors, which the gradient-based attention maps weigh by."""

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


def maps_of_stage(output: Output, stage: int) -> Views:
    """The maps ``[B, C, h, w]`` of a stage, counted from 1. Raises ConfigurationError: there is no such stage."""
    stages = min((len(output.stages.get(view, ())) for view in output.features), default=0)
    if stages == 0:
        raise ConfigurationError(
            f"attention_map.stage is {stage}, and the maps of inner stages are not there"
        )
    if stage > stages:
        raise ConfigurationError(f"attention_map.stage: expected a stage of 1 … {stages}, got {stage}")
    return {view: output.stages[view][stage - 1] for view in output.features}


def score_gradients(output: Output, target: Tensor, at: Views, *, detach: bool) -> Views:
    """Differentiate ``output.score(target)`` with respect to tensors of its graph, one per view.

    One backward pass of the sum serves all exams. It reaches from the logits back to the tensors and no further: at
    ``output.pooled`` or ``output.features`` it costs the head, where exams do not mix; at the maps of an inner stage
    all stages after it, where batch norm in training mixes them: that gradient is of the summed score of the batch.

    Args:
        output: from one forward pass.
        target: class to explain, ``[B]`` int64.
        at: the tensors.
        detach: return constants; else the gradients have a graph, so that a loss differentiates them again.

    Returns:
        The gradients, of the shapes of ``at``; zeros where a view does not influence the score.

    Raises:
        ConfigurationError: no view's tensor influences the score.
    """
    gradients = torch.autograd.grad(
        output.score(target).sum(),
        list(at.values()),
        retain_graph=True,
        create_graph=not detach,
        allow_unused=True,
    )
    if all(gradient is None for gradient in gradients):
        raise ConfigurationError(
            "attention_map: the score does not depend on the feature maps, because the pooling reads other tensors of "
            "the backbone, such as its class token; use a pooling of maps, or an attention map of the backbone's own "
            "attention, such as rollout or class_attention"
        )
    return {
        view: torch.zeros_like(tensor) if gradient is None else gradient
        for (view, tensor), gradient in zip(at.items(), gradients, strict=True)
    }
