"""A map over worker processes that keeps the order, bounds what is in flight, and outlives its workers."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import RLock
from typing import Generic, TypeAlias, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from gazekit.errors import DataError
from gazekit.reading.worker import start_worker

T = TypeVar("T")
R = TypeVar("R")
_Pending: TypeAlias = deque[tuple[T, "ProcessFuture[R]"]]

_PER_WORKER = 4
"""Tasks in flight per worker: enough that none waits for a slow one, little enough for the memory."""
_POOLS = 3
"""Started one after another for the sake of one task, before that is an error."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task may take.

    Args:
        seconds: of time, after which its process is killed.
        mebibytes: of address space beyond what an idle worker has, where the platform can limit it (Linux).
    """

    seconds: float | None = None
    mebibytes: int | None = None


LIMITS = Limits(seconds=300, mebibytes=4096)
"""For reading images. The largest mammogram (4084 x 3328, JPEG 2000) takes 0.9 s and 0.6 GiB of address space
(measured); the rest is for slow disks, old machines and exams of several views."""


def ordered_map(
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    jobs: int,
    limits: Limits = Limits(),
    lost: Callable[[T, str], R] | None = None,
) -> Generator[R, None, None]:
    """Yield ``function(task)`` in the order of the tasks.

    Workers are spawned afresh, end with this process, and leave the keyboard's interrupt to it. One that dies
    or exceeds a limit costs its own task only and is replaced.

    Args:
        function: what a worker does; it and the tasks must be picklable. What it raises is raised here.
        tasks: taken as results are.
        jobs: worker processes; 0 works in this one, without limits.
        limits: of each task.
        lost: from a task that took its worker along, and the reason, to what is yielded in its place;
            without it that is an error.

    Raises:
        DataError: a worker died, or none can be started.
    """
    if jobs == 0:
        yield from map(function, tasks)
        return
    pending: _Pending[T, R] = deque()
    workers = _Workers(function, jobs, limits)
    try:
        for task in tasks:
            pending.append((task, workers.schedule(task)))
            if len(pending) >= _PER_WORKER * jobs:
                yield _next(pending, workers, limits, lost)
        while pending:
            yield _next(pending, workers, limits, lost)
    except BrokenProcessPool:
        raise DataError(
            "no worker process can be started; free some memory, and in a script of your own call this under "
            'if __name__ == "__main__"'
        ) from None
    finally:
        workers.stop()


class _Workers(Generic[T, R]):
    """A pool of processes that can be started anew: a worker that dies at a bad moment breaks all of pebble's pool."""

    def __init__(self, function: Callable[[T], R], jobs: int, limits: Limits) -> None:
        self.function, self.jobs, self.limits = function, jobs, limits
        self.can_work = False  # until one has
        self.start()

    def start(self) -> None:
        self.context = _KeepingContext()
        self.pool = ProcessPool(
            self.jobs,
            context=self.context,
            initializer=start_worker,
            initargs=(self.function, self.limits.mebibytes),
        )

    def schedule(self, task: T) -> "ProcessFuture[R]":
        try:
            with _interrupts_held():  # the first call starts the workers
                return self.pool.schedule(self.function, (task,), timeout=self.limits.seconds)
        except RuntimeError as error:  # what pebble says when it broke before this call
            broken: ProcessFuture[R] = ProcessFuture()
            broken.set_exception(BrokenProcessPool(str(error)))
            return broken

    def stop(self) -> None:
        self.pool.stop()  # type: ignore[no-untyped-call]
        self.pool.join()


class _KeepingContext(SpawnContext):
    """Starts workers afresh, and keeps their locks as long as it lives.

    Pebble gives them up before it stops the workers; one that is still starting then would die with a traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[RLock] = []

    def RLock(self) -> RLock:  # noqa: N802
        self._kept.append(super().RLock())
        return self._kept[-1]


def available_cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _next(
    pending: "_Pending[T, R]", workers: _Workers[T, R], limits: Limits, lost: Callable[[T, str], R] | None
) -> R:
    """The result of the first pending task; what a broken pool has lost is done again by a new one, a few times."""
    for _ in range(_POOLS):
        task, future = pending[0]
        try:
            result = _result(task, future, limits, lost)
        except (BrokenProcessPool, CancelledError):
            if not workers.can_work:
                raise BrokenProcessPool from None
            workers.stop()
            workers.start()
            for place, (waiting, its) in enumerate(pending):
                if not its.done() or its.cancelled() or isinstance(its.exception(), BrokenProcessPool):
                    pending[place] = waiting, workers.schedule(waiting)
        else:
            pending.popleft()
            workers.can_work = True
            return result
    raise BrokenProcessPool


def _result(task: T, future: "ProcessFuture[R]", limits: Limits, lost: Callable[[T, str], R] | None) -> R:
    try:
        return future.result()
    except TimeoutError:
        reason = f"took longer than {limits.seconds:g} s and was stopped"
    except MemoryError:
        reason = f"needs more than the {limits.mebibytes} MiB of memory that a worker may take"
    except ProcessExpired as error:
        reason = (
            f"its worker process died (exit code {error.exitcode}): a damaged file can crash a decoder, "
            "or memory ran out"
        )
    if lost is None:
        raise DataError(f"a task in a worker process was lost: {reason}")
    return lost(task, reason)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Whatever starts within never sees the keyboard's interrupt, not even before it can say so itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
