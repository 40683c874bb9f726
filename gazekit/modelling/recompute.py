"""Activation checkpointing: keep what goes into a stage, compute the rest again in the backward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gazekit.contracts.types import Extras


@contextmanager
def frozen_buffers(module: nn.Module) -> Iterator[None]:
    """For a forward pass that is run twice: what it writes to buffers (running statistics) is forgotten."""
    owners = [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    for part, name, buffer in owners:
        part._buffers[name] = buffer.clone()  # not copied back later: autograd may hold the original
    try:
        yield
    finally:
        for part, name, buffer in owners:
            part._buffers[name] = buffer


def recomputed(stage: nn.Module, *inputs: Tensor | Extras) -> Tensor | tuple[Tensor, Extras]:
    """``stage(*inputs)``, of which only the inputs are kept for the backward pass.

    The second forward pass draws the same dropout and leaves running statistics alone, so results are those of
    ``stage(*inputs)`` to the bit.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_buffers(stage)

    if not torch.is_grad_enabled():
        output: Tensor | tuple[Tensor, Extras] = stage(*inputs)
    else:
        output = checkpoint(stage, *inputs, use_reentrant=False, context_fn=contexts)
    return output
