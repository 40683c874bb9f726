"""Communicate between the processes that train a model; a single process sends nothing."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gazekit.distributed.membership import count, joined, rank
from gazekit.errors import GazekitError


class PeerLostError(GazekitError):
    """Another process of the run has ended, so this one cannot continue."""


def total(tensor: Tensor) -> Tensor:
    """Sum one tensor per process, all of one shape; bit-identical on all processes, with gradient.

    The gradient is that of the sum over processes of each one's function of the result.

    Raises:
        PeerLostError: another process has ended.
    """
    if joined() is None:
        return tensor
    summed: Tensor = _Total.apply(tensor)  # type: ignore[no-untyped-call]
    return summed


def share(amount: Tensor) -> Tensor:
    """Return this process's share of a total; exactly 1 for a single process."""
    return amount / total(amount) if joined() is not None else torch.ones_like(amount)


def gathered(rows: Tensor) -> tuple[Tensor, int]:
    """Gather the rows of all processes in order of rank, with gradient, and return the index of our first row.

    Args:
        rows: ``[n, ...]``; n may differ between processes and may be 0.
    """
    if joined() is None:
        return rows, 0
    counts = torch.zeros(count(), dtype=torch.int64)
    counts[rank()] = len(rows)
    everyone = total(counts)
    first = int(everyone[: rank()].sum())
    before = rows.new_zeros((first, *rows.shape[1:]))
    after = rows.new_zeros((int(everyone.sum()) - first - len(rows), *rows.shape[1:]))
    return total(torch.cat([before, rows, after])), first


class _Total(torch.autograd.Function):
    """Sum over processes, whose gradient is such a sum too; torch.distributed's own collectives drop it."""

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
