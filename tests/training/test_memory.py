"""A training on a CPU pays once for its memory: a step keeps it for the next, and the end of a run gives it back."""

import ctypes
import resource
import sys
from pathlib import Path

import pytest
import torch

from gazekit.training import memory
from gazekit.training.memory import keep_freed_memory, release_memory

CPU = torch.device("cpu")
PIECES, SIZE = 6, 16 * 2**20
PAGES = PIECES * SIZE // resource.getpagesize()
glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)


def faults_of_a_step() -> int:
    """Page faults of tensors that are made, written and freed, the second time."""
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        pieces = [torch.empty(SIZE, dtype=torch.uint8).fill_(1) for _ in range(PIECES)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@glibc
def test_a_step_has_the_memory_of_the_one_before() -> None:
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(memory._MMAP_THRESHOLD, 128 * 1024)  # as in a new process
    mallopt(memory._TRIM_THRESHOLD, 128 * 1024)
    assert faults_of_a_step() > 0.9 * PAGES
    keep_freed_memory(CPU)
    assert faults_of_a_step() < 0.1 * PAGES


@glibc
def test_the_end_of_a_run_gives_it_back() -> None:
    keep_freed_memory(CPU)
    faults_of_a_step()
    kept = resident()
    release_memory(CPU)
    assert kept - resident() > 0.9 * PAGES


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory(CPU)
    release_memory(CPU)
