"""Surroundings in which promises are tried: seeds, devices, process groups; each leaves none behind."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from gazekit.distributed.sharing import leave_group


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Seed 0 inside, the caller's random numbers outside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def other_device() -> str:
    """A device other than the CPU: the GPU where there is one, else ``meta``, which has shapes and no numbers."""
    return "cuda" if torch.cuda.is_available() else "meta"


@contextmanager
def one_process() -> Iterator[bool]:
    """A process group of this process alone; yields whether there is one (not inside another group).

    Start work in it from a thread of its own, whose state holds no Python objects; ``leave_group`` says why.
    """
    if not dist.is_available() or dist.is_initialized():
        yield False
        return
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield True
    finally:
        leave_group()
