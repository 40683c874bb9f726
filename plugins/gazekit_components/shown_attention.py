"""The attention weights of transformer blocks that a backbone shows, and the map on the grid that they stand for."""

from collections.abc import Callable

from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


def map_attention(output: Output, name: str, explain: Callable[[Tensor, int], Tensor]) -> Views:
    """Make a map per view ``[B, h, w]`` from the attention weights that the last stage with such weights shows.

    Args:
        output: its ``extras`` hold ``"attention"``, ``[B, layers, heads, n, n]`` with ``n = h w`` tokens, or
            ``1 + h w`` with a class token first; ``h`` and ``w`` are those of the last feature maps.
        name: of the attention map, for messages.
        explain: maps these weights and the number of class tokens (0 or 1) to a value per place, ``[B, h w]``.

    Raises:
        ConfigurationError: the backbone shows no attention, or not on the grid of its last feature maps.
    """
    maps = {}
    for view, features in output.features.items():
        shown = [extras["attention"] for extras in output.extras.get(view, ()) if "attention" in extras]
        if not shown:
            raise ConfigurationError(
                f"attention_map {name}: expected a backbone that shows the attention of its blocks; this one shows "
                "none (grad_cam works with any)"
            )
        height, width = features.shape[2:]
        class_tokens = shown[-1].shape[-1] - height * width
        if class_tokens not in (0, 1):
            raise ConfigurationError(
                f"attention_map {name}: expected attention between {height} × {width} tokens, with a class token or "
                f"without; got {shown[-1].shape[-1]} tokens"
            )
        maps[view] = explain(shown[-1], class_tokens).unflatten(1, (height, width))
    return maps
