"""Set up seeds, devices and process groups for promises, and clean up after them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from gazekit.distributed.sharing import leave_group


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Use seed 0 inside the block; restore the caller's random state after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def other_device() -> str:
    """Return a device other than the CPU: the GPU if there is one, else ``meta``, which has shapes but no numbers."""
    return "cuda" if torch.cuda.is_available() else "meta"


@contextmanager
def one_process() -> Iterator[bool]:
    """Start a process group of this process alone; yield whether it could (not inside another group).

    Start work in it from a separate thread, whose state holds no Python objects; ``leave_group`` explains why.
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
