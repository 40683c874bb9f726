"""The attention weights of transformer blocks that a backbone shows, and the map on the grid that they stand for."""

from collections.abc import Callable

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


def map_attention(output: Output, name: str, explain: Callable[[Tensor, int, int], Tensor]) -> Views:
    """Make a map per view ``[B, h, w]`` from the attention weights that stages show.

    The blocks of all stages count whose attention is of the size of the last.

    Args:
        output: its ``extras`` hold ``"attention"``, ``[B, layers, heads, n, n]``. The ``n`` tokens are a class token,
            if there is one, as many as ``"registers"`` holds, and ``h w`` places; ``h`` and ``w`` are those of the
            last feature maps.
        name: of the attention map, for messages.
        explain: maps these weights, and the numbers of class tokens (0 or 1) and of places, to a value per place,
            ``[B, h w]``.

    Raises:
        ConfigurationError: the backbone shows no attention, or not on the grid of its last feature maps.
    """
    maps = {}
    for view, features in output.features.items():
        stages = [extras for extras in output.extras.get(view, ()) if "attention" in extras]
        if not stages:
            raise ConfigurationError(
                f"attention_map {name}: expected a backbone that shows the attention of its blocks; this one shows "
                "none (a Vision Transformer of timm does with backbone.show_attention = true; grad_cam works with any)"
            )
        height, width = features.shape[2:]
        last = stages[-1]["attention"]
        registers = stages[-1]["registers"].shape[1] if "registers" in stages[-1] else 0
        class_tokens = last.shape[-1] - registers - height * width
        if class_tokens not in (0, 1):
            raise ConfigurationError(
                f"attention_map {name}: expected attention between {height} × {width} tokens, with a class token or "
                f"without; got {last.shape[-1]} tokens"
            )
        alike = [each["attention"] for each in stages if each["attention"].shape[2:] == last.shape[2:]]
        row = explain(torch.cat(alike, dim=1), class_tokens, height * width)
        maps[view] = row.unflatten(1, (height, width))
    return maps
