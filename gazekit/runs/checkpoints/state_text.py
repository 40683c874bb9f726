"""Store the state of a run as JSON and a table of tensors, so that no byte of a checkpoint is ever executed.

``torch.load(weights_only=True)`` executes nothing either, but it decompresses its input: a file of 200 kB can become
200 MB of tensors. JSON and safetensors need no more memory than their files, whose sizes are checked first.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def write(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], str]:
    """Split a state into tensors by name, and JSON that refers to these names.

    Args:
        state: tensors, numbers, strings, booleans and None in dicts, lists and tuples; keys are strings or numbers.

    Raises:
        TypeError: it contains anything else.
    """
    tensors: dict[str, Tensor] = {}

    def written(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value
            if value.is_contiguous():
                return {"tensor": name}
            if value.is_contiguous(memory_format=torch.channels_last):
                return {"channels_last": name}
            order = sorted(range(value.dim()), key=value.stride, reverse=True)
            tensors[name] = value.permute(order)
            return {"permuted": [name, order]}
        if isinstance(value, Mapping):
            return {"dict": [[key, written(inner)] for key, inner in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [written(inner) for inner in value]}
        return value

    return tensors, json.dumps(written(dict(state)))


def read(text: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Restore the state given to ``write``. Raises ValueError, TypeError, KeyError, RuntimeError
    or RecursionError: the input does not come from ``write``."""

    def plain(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, inner),) = value.items()
        if kind == "tensor":
            return tensors[inner].clone()  # aligned
        if kind == "channels_last":  # fused optimisers need moments laid out as weights
            return tensors[inner].contiguous(memory_format=torch.channels_last)
        if kind == "permuted":
            name, order = inner
            return tensors[name].clone().permute(sorted(range(len(order)), key=order.__getitem__))
        if kind == "dict":
            return {key: plain(item) for key, item in inner}
        return {"list": list, "tuple": tuple}[kind](plain(item) for item in inner)

    state = plain(json.loads(text))
    if not isinstance(state, dict):
        raise ValueError("the state is not a table")  # noqa: TRY004
    return state
