"""Measure the memory that training takes, keep it from step to step, and give back what a training has left."""

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from gazekit.feeding.batches import Exams, ResidentExams

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Numbers of the parameters of ``mallopt``, in glibc's ``malloc.h``."""
_LARGEST, _NEVER = 32 * 2**20, -1
"""Their values. glibc takes no larger threshold of bytes, so larger tensors get new memory in each step."""
_LEFT: list[bool] = []
"""Not empty from an error that ends a block of ``memory_released`` to the next block."""


def peak_memory(device: torch.device) -> int | None:
    """Return the peak memory in bytes so far: of tensors on a GPU, else of the process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # in kilobytes elsewhere


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """On a CPU, let the process keep the memory that a step frees for the next one, and give it back after the block.

    Otherwise glibc gives the memory of large tensors back to the system, and each step pays for every page of it.
    Another C library, which lacks ``mallopt``, is left as it is.
    """
    mallopt = _of_glibc("mallopt")
    if device.type != "cpu" or mallopt is None:
        yield
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        _trim()


@contextmanager
def memory_released(device: torch.device) -> Iterator[None]:
    """Release what the block has left in memory, and measure a GPU's peak from its end on.

    Only the objects that the block made are searched for cycles: a search of all takes 0.2 to 0.4 s (measured), mostly
    in what ``import torch`` made. If an error ends the block, its traceback still holds those objects, so the next
    block begins with a search of all.
    """
    if _LEFT:
        _LEFT.clear()
        gc.collect()
    others = gc.get_freeze_count()  # somebody else has set objects aside
    if not others:
        gc.freeze()
    try:
        yield
    except BaseException:
        _LEFT.append(True)
        raise
    finally:
        try:
            gc.collect()
        finally:
            if not others:
                gc.unfreeze()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _trim()


def _trim() -> None:
    """Give freed memory back to the system."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    """Return a function of glibc, or None where the C library has none of this name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def describe_memory(peak: int | None, exams: Sequence[Exams]) -> str:
    """Describe in one line the peak memory and where the exams are.

    Without a GPU the peak is that of the process, which may have carried out other runs before.
    """
    device, held = exams[0].device, all(isinstance(part, ResidentExams) for part in exams)
    where = f"held on {device.type}" if held else "read batch by batch"
    whose = "" if device.type == "cuda" else ", of this process"
    took = "" if peak is None else f"{_readable(peak)} at the most in the first step{whose}; "
    return f"memory: {took}exams of {_readable(sum(part.nbytes for part in exams))}, {where}"


def _readable(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
