"""Surroundings in which promises are tried: seeds, devices, process groups; each leaves none behind."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

_MOMENT = 0.05


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

    Gloo's threads may need the interpreter to let go of the last work; who destroys the group holds it and waits for
    them. So they get a moment first, and work should be started in a thread of its own, whose state holds no Python
    objects (torch 2.13 stops for good otherwise, now and then).
    """
    if not dist.is_available() or dist.is_initialized():
        yield False
        return
    store = dist.HashStore()  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield True
    finally:
        time.sleep(_MOMENT)
        dist.destroy_process_group()
