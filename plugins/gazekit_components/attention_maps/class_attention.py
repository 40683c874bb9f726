"""The class token's attention to the image in the last block."""

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError
from gazekit_components.attention_maps.shown_attention import map_attention


class ClassAttention:
    """``H = mean_k A_k[0, 1:]``, with ``A_k`` the attention of head ``k`` in the last block, ``[1 + h w, 1 + h w]``.

    Row 0 is the class token's; its attention to itself is left out. The map is that of no class. Supervised by gaze, it
    reaches the network through queries and keys of the last block, not through the head, and costs no further pass.

    Args:
        heads: heads to average, counted from 0; empty = all.

    Source: as drawn for DINO, Caron et al. 2021, doi:10.1109/ICCV48922.2021.00951.
    """

    def __init__(self, *, heads: tuple[NonNegativeInt, ...] = ()) -> None:
        self.heads = heads

    def __call__(self, output: Output, target: Tensor) -> Views:  # noqa: ARG002
        """Map an output to ``[B, h, w]`` per view; the class to explain does not matter.

        Raises:
            ConfigurationError: the backbone shows no attention on the grid of its last maps, has no class token, or
                fewer heads than named.
        """
        return map_attention(output, "class_attention", self._row)

    def _row(self, attention: Tensor, class_tokens: int, places: int) -> Tensor:
        heads = attention.shape[2]
        if not class_tokens:
            raise ConfigurationError(
                "attention_map class_attention: expected a backbone with a class token; this one has none "
                "(rollout works without)"
            )
        if any(head >= heads for head in self.heads):
            raise ConfigurationError(
                f"attention_map class_attention: expected heads of 0 … {heads - 1}, got {list(self.heads)}"
            )
        return class_token_attention(attention, self.heads or tuple(range(heads)))[:, -places:]


def class_token_attention(attention: Tensor, heads: tuple[int, ...]) -> Tensor:
    """Average the class token's attention to the other tokens, ``[B, layers, heads, n, n]`` → ``[B, n - 1]``.

    The last block counts, and the heads that are named.
    """
    return torch.stack([attention[:, -1, head, 0, 1:] for head in heads]).mean(dim=0)
