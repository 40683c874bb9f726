"""The processes that train one model together; a process on its own is the plain case, for which nothing is sent."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gazekit.errors import GazekitError


class PeerLostError(GazekitError):
    """Another process of the run has ended, so this one cannot go on."""


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """The number of this one, from 0; process 0 is the one that writes."""
    return dist.get_rank() if _joined() else 0


def total(tensor: Tensor) -> Tensor:
    """The sum of one tensor per process, all of one shape; equal in every bit on all processes, with gradient.

    The gradient is that of the sum, over the processes, of what each computes from the result.

    Raises:
        PeerLostError: another process has ended.
    """
    if not _joined():
        return tensor
    summed: Tensor = _Total.apply(tensor)  # type: ignore[no-untyped-call]
    return summed


def share(amount: Tensor) -> Tensor:
    """What part of the total of a positive amount this process has; exactly 1 for a process on its own."""
    return amount / total(amount) if _joined() else torch.ones_like(amount)


def gathered(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes in order of rank, with gradient, and the number of the first that is our own.

    Args:
        rows: ``[n, ...]``; n may differ between processes and may be 0.
    """
    if not _joined():
        return rows, 0
    counts = torch.zeros(count(), dtype=torch.int64)
    counts[rank()] = len(rows)
    everyone = total(counts)
    first = int(everyone[: rank()].sum())
    before = rows.new_zeros((first, *rows.shape[1:]))
    behind = rows.new_zeros((int(everyone.sum()) - first - len(rows), *rows.shape[1:]))
    return total(torch.cat([before, rows, behind])), first


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Total(torch.autograd.Function):
    """Sum over processes; so is its gradient, which torch.distributed's own collectives drop."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        summed = tensor.detach().clone(memory_format=torch.contiguous_format)
        try:
            dist.all_reduce(summed)
        except RuntimeError as error:
            raise PeerLostError(
                f"process {dist.get_rank()}: another process of this run has ended; what it said tells why"
            ) from error
        return summed

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0])
