"""Map over worker processes: keep the order, limit the tasks in flight, survive dead workers."""

import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext, SpawnContext
from multiprocessing.synchronize import RLock
from typing import Generic, TypeAlias, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from gazekit.errors import DataError
from gazekit.reading.worker import start_worker

T = TypeVar("T")
R = TypeVar("R")
_Pending: TypeAlias = deque[tuple[T, "ProcessFuture[R]"]]

_PER_WORKER = 4
"""Tasks in flight per worker: enough that no worker waits for a slow task, few enough to fit in memory."""
_POOLS = 3
"""Pools started in a row for one task before it is an error."""
_IMPORTED_ONCE = ["gazekit.preparing.one_exam"]
"""Modules that the server of workers imports, and with them NumPy, SciPy and pydicom. A worker that is a new Python
spends 1.8 s of processor time on them (measured)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time and memory limits of one task.

    Args:
        seconds: after which its process is killed.
        mebibytes: address space beyond that of an idle worker, if the platform can limit it (Linux).
    """

    seconds: float | None = None
    mebibytes: int | None = None


LIMITS = Limits(seconds=300, mebibytes=4096)
"""Limits for reading images. The largest mammogram (4084 x 3328, JPEG 2000) takes 0.9 s and 0.6 GiB of address space
(measured); the margin is for slow disks, old machines and exams of several views."""


def ordered_map(
    function: Callable[[T], R],
    tasks: Iterable[T],
    *,
    jobs: int,
    limits: Limits = Limits(),
    lost: Callable[[T, str], R] | None = None,
) -> Generator[R, None, None]:
    """Yield ``function(task)`` in the order of the tasks.

    Workers share nothing with this process, end with it, and leave keyboard interrupts to it. A worker that dies or
    exceeds a limit loses only its task and is replaced.

    Args:
        function: runs in a worker; it and the tasks must be picklable. Its exceptions are raised here.
        tasks: drawn one by one as results are consumed.
        jobs: worker processes; 0 works in this process, without limits.
        limits: for each task.
        lost: (task whose worker died, reason) → value to yield instead; without it a dead worker is an error.

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
            "no worker process can be started; free some memory, and in a script call this under "
            'if __name__ == "__main__"'
        ) from None
    finally:
        workers.stop()


def start_ahead() -> None:
    """Start the server of workers, if workers are forked here, while this process still imports what it needs.

    The first result then comes 0.4 to 0.8 s sooner on two cores (measured).
    """
    _context()


class _Workers(Generic[T, R]):
    """A pool of processes that can be restarted: a worker that dies at a bad moment breaks a whole pebble pool."""

    def __init__(self, function: Callable[[T], R], jobs: int, limits: Limits) -> None:
        self.function, self.jobs, self.limits = function, jobs, limits
        self.can_work = False  # until one has
        self.start()

    def start(self) -> None:
        self.context = _context()
        self.pool = ProcessPool(
            self.jobs,
            context=self.context,
            initializer=start_worker,
            initargs=(self.function, self.limits.mebibytes),
        )

    def schedule(self, task: T) -> "ProcessFuture[R]":
        try:
            # the first call starts the workers; an exception amid that takes their locks away, and a worker that is
            # forked from the server inherits nothing of this process
            also = () if isinstance(self.context, _Spawning) else (signal.SIGTERM,)
            with _interrupts_held(*also):
                return self.pool.schedule(self.function, (task,), timeout=self.limits.seconds)
        except RuntimeError as error:  # pebble raises this if it broke before this call
            broken: ProcessFuture[R] = ProcessFuture()
            broken.set_exception(BrokenProcessPool(str(error)))
            return broken

    def stop(self) -> None:
        self.pool.stop()
        self.pool.join()


class _Keeping(BaseContext):
    """Keep the locks of the workers until this context is dropped.

    Pebble drops the locks before it stops the workers; one that is still starting would die with a traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[RLock] = []

    def RLock(self) -> RLock:  # noqa: N802
        self._kept.append(super().RLock())
        return self._kept[-1]


class _Spawning(_Keeping, SpawnContext):
    """Start each worker as a new Python."""


def _context() -> _Keeping:
    """Return the quickest way to start workers here that copies nothing of this process, with its threads and locks."""
    if sys.platform == "win32":
        return _Spawning()
    from multiprocessing import forkserver
    from multiprocessing.context import ForkServerContext

    class Forking(_Keeping, ForkServerContext):
        """Fork each worker from a server: a new Python that has imported what they need, once for all pools."""

    forkserver.set_forkserver_preload(_IMPORTED_ONCE)
    try:
        with _interrupts_held():  # its workers inherit that
            forkserver.ensure_running()
    except OSError:  # no socket in the folder for temporary files: its path is too long, or its disk has none
        return _Spawning()
    return Forking()


def _next(
    pending: "_Pending[T, R]", workers: _Workers[T, R], limits: Limits, lost: Callable[[T, str], R] | None
) -> R:
    """Return the result of the first pending task; restart a broken pool and repeat its tasks, a few times."""
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
def _interrupts_held(*also: signal.Signals) -> Iterator[None]:
    """Start processes that never receive keyboard interrupts, not even before they can ignore them.

    Args:
        also: further signals to hold meanwhile; the processes must not inherit that.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *also})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
