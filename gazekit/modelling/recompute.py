"""Activation checkpointing: keep what goes into a stage, compute the rest again in the backward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
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


def attention(*, composed: bool) -> AbstractContextManager[None]:
    """Compose attention of its products, which have a second derivative; torch's fused form has none."""
    return sdpa_kernel(SDPBackend.MATH) if composed else nullcontext()


class _Again(AbstractContextManager[None]):
    """A context for each forward pass: where a loss differentiates a gradient, torch computes a stage a third time."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self.make = make
        self.entered: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        self.entered.append(self.make())
        self.entered[-1].__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.entered.pop().__exit__(kind, error, trace)


def recomputed(
    stage: nn.Module, *inputs: Tensor | Extras, composed: bool = False
) -> Tensor | tuple[Tensor, Extras]:
    """``stage(*inputs)``, of which only the inputs are kept for the backward pass.

    The second forward pass draws the same dropout and leaves running statistics alone, so results are those of
    ``stage(*inputs)`` to the bit. It has the same ``attention``, composed or not.
    """

    @contextmanager
    def later() -> Iterator[None]:
        with frozen_buffers(stage), attention(composed=composed):
            yield

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _Again(later)

    if not torch.is_grad_enabled():
        output: Tensor | tuple[Tensor, Extras] = stage(*inputs)
    else:
        output = checkpoint(stage, *inputs, use_reentrant=False, context_fn=contexts)
    return output
