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


def settings_of_torch() -> dict[str, object]:
    """Return what holds for all of torch: the seed, the default dtype, and whether operations are recorded."""
    return {
        "seed": torch.initial_seed(),
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
    }


@contextmanager
def settings_restored() -> Iterator[None]:
    """Restore torch's default dtype and gradient mode after the block, so that no component spoils another's check."""
    dtype, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)


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
