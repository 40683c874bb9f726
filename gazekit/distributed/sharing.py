"""Share the training of one model between processes: each takes some exams of every batch, all make the same step.

``torchrun`` starts the processes and sets their ranks in the environment. Together they compute what one process
computes on the whole batch: losses are normalised over it (``objective``), batch norm takes its statistics from it,
gradients are summed. Only process 0 writes.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from gazekit.distributed.membership import count, rank
from gazekit.distributed.processes import PeerLostError, total
from gazekit.distributed.rendezvous import fresh_store
from gazekit.distributed.torchrun import launched
from gazekit.errors import ConfigurationError, DataError

_MOMENT = 0.05
"""Seconds that the threads of a group get before it ends."""
_PATIENCE = timedelta(minutes=30)
"""Time limit for waiting on the slowest process: process 0 makes default data and writes checkpoints."""
_BUCKET = 8_000_000
"""Numbers sent at a time."""


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the launched processes; a single process joins nothing.

    Args:
        device: ``cuda`` gives each process of a machine a separate GPU.

    Raises:
        ConfigurationError: fewer GPUs than processes.
        PeerLostError: the processes cannot reach each other.
    """
    if launched() == 1:
        yield
        return
    if device.type == "cuda":
        local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= gpus:
            raise ConfigurationError(
                f"process {local} of this machine has no GPU: there are {gpus}; start {gpus} processes on each machine"
            )
        torch.cuda.set_device(local)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store, number, processes = fresh_store(_PATIENCE)
        dist.init_process_group(backend, store=store, rank=number, world_size=processes, timeout=_PATIENCE)
    except RuntimeError as error:
        raise PeerLostError(f"the processes of this run cannot reach each other: {error}") from error
    try:
        yield
    finally:
        leave_group()


def leave_group() -> None:
    """End the process group after a short wait in which its threads can finish.

    Ending it holds the interpreter lock and waits for the threads, which may need that lock to drop their last work:
    without the wait torch 2.13 sometimes hangs.
    """
    time.sleep(_MOMENT)
    dist.destroy_process_group()


def from_writer(text: str) -> str:
    """Send the text of process 0 to all processes."""
    box = [text]
    if count() > 1:
        dist.broadcast_object_list(box, src=0)
    return box[0]


def any_of_all(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return bool(total(torch.tensor(int(flag))) > 0)


def check_alike(number: int, what: str) -> None:
    """Raise DataError unless all processes have the same number."""
    numbers = torch.zeros(count(), dtype=torch.int64)
    numbers[rank()] = number
    everyone = total(numbers).tolist()
    if len(set(everyone)) > 1:
        raise DataError(
            f"the processes see different {what}: {', '.join(map(str, everyone))}; run directory and data must be on "
            "storage that all machines share"
        )


def own_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of a batch for this process; counts differ by at most one."""
    return np.array_split(rows, count())[rank()]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes; a missing gradient counts as zero."""
    if count() == 1:
        return
    learning = list(parameters)
    present = total(torch.tensor([parameter.grad is not None for parameter in learning], dtype=torch.int32))
    gradients = []
    for parameter, holders in zip(learning, present.tolist(), strict=True):
        if holders and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    for bucket in _buckets(gradients):
        flat = total(torch.cat([gradient.flatten() for gradient in bucket]))
        parts = torch.split(flat, [gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Group tensors of one type into runs of a few megabytes."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(item.numel() for item in bucket) >= _BUCKET
        if bucket and (full or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def synchronise_batch_norm(module: nn.Module) -> None:
    """Make every batch norm inside compute its statistics over all processes, in place.

    torch's ``SyncBatchNorm`` works only on CUDA, and drops what a subclass adds, such as timm's activation.
    """
    if count() > 1:
        for layer in module.modules():
            if isinstance(layer, _BatchNorm):
                layer.__class__ = _over_all_processes(type(layer))  # type: ignore[arg-type]


@cache
def _over_all_processes(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    forward = torch.compiler.disable(_Synchronised.forward)  # imports the compiler, which takes seconds
    return type(f"Synchronised{kind.__name__}", (_Synchronised, kind), {"forward": forward})


class _Synchronised(_BatchNorm):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        with _GlobalStatistics():
            return super().forward(input)


class _GlobalStatistics(TorchFunctionMode):
    """Make ``functional.batch_norm`` use the batch of all processes within the block."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            return global_batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def global_batch_norm(
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Apply ``torch.nn.functional.batch_norm`` with statistics over the exams ``[B, C, ...]`` of all processes."""
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    over = [0, *range(2, input.ndim)]
    shape = [1, -1, *[1] * (input.ndim - 2)]
    values = input if input.dtype == torch.float64 else input.float()
    n = total(values.new_full((), values.numel() // values.shape[1]))
    mean = total(values.sum(over)) / n  # [C]
    centred = values - mean.view(shape)
    variance = total(centred.square().sum(over)) / n
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (n / (n - 1))).to(running_var.dtype), momentum)
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    normalised = centred * scale.view(shape)
    return (normalised if bias is None else normalised + bias.view(shape)).to(input.dtype)
