"""The gradient of the score at maps or vectors, which the gradient-based attention maps weigh by."""

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


def score_gradients(output: Output, target: Tensor, at: Views, *, detach: bool) -> Views:
    """Differentiate ``output.score(target)`` with respect to tensors of its graph, one per view.

    Exams do not mix, so one backward pass of the sum serves all of them. It reaches from the logits back to the tensors
    and no further: at ``output.pooled`` or ``output.features`` it costs the head, at the maps of an inner stage all
    stages after it.

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
