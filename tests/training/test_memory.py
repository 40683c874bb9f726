"""A training on a CPU pays once for its memory: a step keeps it for the next, and the end of the run gives it back."""

import ctypes
import gc
import resource
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from gazekit.training.computing.memory import freed_memory_kept, memory_released

CPU = torch.device("cpu")
PIECES, SIZE = 6, 16 * 2**20
PAGES = PIECES * SIZE // resource.getpagesize()
HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)
small_pages = pytest.mark.skipif(
    HUGE.exists() and "[always]" in HUGE.read_text(), reason="the system gives huge pages unasked"
)


def step() -> None:
    """Make tensors, write them and free them."""
    pieces = [torch.empty(SIZE, dtype=torch.uint8).fill_(1) for _ in range(PIECES)]
    del pieces


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@glibc
@small_pages
def test_a_step_has_the_memory_of_the_one_before() -> None:
    """In a new process, whose heap has no holes that would serve a step in any case."""
    code = f"""
import resource, torch
from gazekit.training.computing.memory import freed_memory_kept

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [torch.empty({SIZE}, dtype=torch.uint8).fill_(1) for _ in range({PIECES})]
    del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
print(page_faults())
with freed_memory_kept(torch.device("cpu")):
    page_faults()
    print(page_faults())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    otherwise, kept = map(int, done.stdout.split())
    assert otherwise > 0.5 * PAGES
    assert kept < 0.25 * PAGES  # where the heap cannot grow in place, a tensor may be mapped


@glibc
def test_the_end_gives_it_back() -> None:
    with freed_memory_kept(CPU):
        step()
        kept = resident()
    assert kept - resident() > 0.9 * PAGES
    step()  # still kept, for the next run of this process
    kept = resident()
    with memory_released(CPU):
        pass
    assert kept - resident() > 0.9 * PAGES


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_another_c_library_is_left_alone(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Musl:
        def __init__(self, _name: None) -> None:
            assert platform == "linux", "loaded"

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", Musl)
    with freed_memory_kept(CPU):
        pass
    with memory_released(CPU):
        pass


class Node:
    """Refers to itself, so that only the search for cycles frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("others", [False, True], ids=["", "others have set objects aside"])
def test_cycles_that_a_run_leaves_are_freed_at_its_end(others: bool) -> None:
    if others:
        gc.freeze()
    try:
        before = gc.get_freeze_count()
        with memory_released(CPU):
            assert others or gc.get_freeze_count() > before  # the search leaves out what was there
            left = weakref.ref(Node())
            assert left() is not None
        assert left() is None
        assert (
            gc.get_freeze_count() <= before
        )  # nothing is kept from later searches; what was set aside may be freed
    finally:
        gc.unfreeze()


def test_cycles_that_an_error_leaves_are_freed_by_the_next_run() -> None:
    def fail() -> None:
        node = Node()
        left.append(weakref.ref(node))
        with memory_released(CPU):
            node.made = Node()  # type: ignore[attr-defined]
            raise ValueError("of the run")

    left: list[weakref.ref[Node]] = []
    with pytest.raises(ValueError, match="of the run"):
        fail()
    assert left[0]() is not None  # pytest still shows the traceback
    with memory_released(CPU):
        assert left[0]() is None
