"""Measure the memory that training takes in its first step, and give back what a training has left."""

import gc
import sys
from collections.abc import Sequence

import torch

from gazekit.feeding.batches import Exams, ResidentExams


def peak_memory(device: torch.device) -> int | None:
    """Return the peak memory in bytes so far: of tensors on a GPU, else of the process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # in kilobytes elsewhere


def release_memory(device: torch.device) -> None:
    """Give a GPU's memory back to its other processes, and measure its peak anew; a CPU has no such store."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def describe_memory(peak: int | None, exams: Sequence[Exams]) -> str:
    """Describe in one line the peak memory and where the exams are.

    Without a GPU the peak is that of the process, which may have carried out other runs before.
    """
    device, held = exams[0].device, all(isinstance(part, ResidentExams) for part in exams)
    where = f"held on {device.type}" if held else "sent batch by batch"
    whose = "" if device.type == "cuda" else ", of this process"
    took = "" if peak is None else f"{_readable(peak)} at the most in the first step{whose}; "
    return f"memory: {took}exams of {_readable(sum(part.nbytes for part in exams))}, {where}"


def _readable(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
