"""Attention rollout: how much of each token reaches the class token through all blocks."""

import torch
from torch import Tensor

from gazekit.contracts.precision import full_precision
from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.shown_attention import map_attention


class AttentionRollout:
    """The class token's row of ``A'_L … A'_1``, with ``A'_l = norm(A_l / 2 + I / 2)``.

    ``A_l`` is the attention of block ``l``, ``[n, n]``, averaged over heads; ``I`` stands for the residual
    connection; ``norm`` makes every row sum to 1. Without a class token ``H`` is the mean over the rows of all places,
    as mean pooling sees them; registers have no place in ``H``. The map is that of no class. Supervised by gaze, it
    reaches the blocks through their attention weights, not through the head; its cost is ``L`` products of ``[n, n]``
    matrices.

    Source: Abnar & Zuidema 2020, doi:10.18653/v1/2020.acl-main.385; the mean over rows is ours.
    """

    def __call__(self, output: Output, target: Tensor) -> Views:  # noqa: ARG002
        """Map an output to ``[B, h, w]`` per view; the class to explain does not matter.

        Raises:
            ConfigurationError: the backbone shows no attention on the grid of its last maps.
        """
        return map_attention(output, "rollout", self._row)

    def _row(self, attention: Tensor, class_tokens: int, places: int) -> Tensor:
        flow = rollout(attention)[:, :, -places:]  # [B, n, h w]
        return flow[:, 0] if class_tokens else flow[:, -places:].mean(dim=1)


def rollout(attention: Tensor) -> Tensor:
    """Multiply the attention of all blocks ``[B, layers, heads, n, n]`` to ``A'_L … A'_1``, ``[B, n, n]``.

    Element ``(i, j)`` is the share of input token ``j`` in output token ``i``; each row sums to 1.
    """
    precise = attention if attention.dtype == torch.float64 else attention.float()
    with full_precision(attention.device):
        mean = precise.mean(dim=2)  # [B, layers, n, n]
        own = torch.eye(mean.shape[-1], device=mean.device, dtype=mean.dtype)
        steps = mean / 2 + own / 2
        steps = steps / steps.sum(dim=-1, keepdim=True)
        flow = steps[:, 0]
        for layer in range(1, steps.shape[1]):
            flow = steps[:, layer] @ flow
    return flow
