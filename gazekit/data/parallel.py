"""A map over worker processes that keeps the order and bounds what is in flight."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from gazekit.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

_PER_WORKER = 4
"""Tasks in flight per worker: enough that none waits for a slow one, little enough for the memory."""


def ordered_map(function: Callable[[T], R], tasks: Iterable[T], *, jobs: int) -> Generator[R, None, None]:
    """Yield ``function(task)`` in the order of the tasks; with one job in this process.

    Workers are spawned afresh, end with this process, and leave the keyboard's interrupt to it.

    Raises:
        DataError: a worker died, as a native decoder can make it.
    """
    if jobs == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for task in tasks:
                pending.append(pool.submit(function, task))
                if len(pending) >= _PER_WORKER * jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise DataError(
                "a worker process died while it read an image (a damaged file can crash a decoder, or memory "
                "ran out); run again with --jobs 1 to find the exam"
            ) from None
        finally:
            for future in pending:
                future.cancel()


def available_cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
