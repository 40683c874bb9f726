"""Carry out the runs of a study as tasks of a Ray cluster.

RAY_ADDRESS names the cluster; without it, it is the one that runs on this machine. A task takes OMP_NUM_THREADS cores,
and a GPU if the run needs one. The nodes must see the study directory and the data, and have gazekit installed.
"""

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gazekit.disk.atomic import own_folder
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, Preempted
from gazekit.registry.distribution import install_command
from gazekit.study.grid import RunTask
from gazekit.study.launch.processes import PATIENCE_SECONDS, in_processes
from gazekit.study.results.outcome import Outcome, in_one_line

_CORES = "2"
_LOOK_SECONDS = 0.5


def on_ray(
    tasks: Sequence[RunTask], *, jobs: int, logs: Path, should_stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Carry out runs as tasks, ``jobs`` at a time; see ``launch.launch``. A failed one leaves its output in a log."""
    own_folder(logs)
    environment = {key: value for key, value in os.environ.items() if key.startswith("GAZEKIT_")}
    environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", _CORES)
    with _cluster() as ray:
        start = ray.remote(
            num_cpus=int(environment["OMP_NUM_THREADS"]),
            num_gpus=int(any(task.device == "cuda" for task in tasks)),
            max_retries=0,  # a worker that seems lost may still train the run
        )(carry_out_on_node)
        waiting = deque(tasks)
        running: dict[Any, RunTask] = {}
        try:
            while waiting or running:
                if should_stop():
                    raise Preempted(f"stopped; {counted(len(waiting) + len(running), 'run')} left")
                while waiting and len(running) < jobs:
                    task = waiting.popleft()
                    running[start.remote(_anywhere(task), logs.absolute(), environment)] = task
                ended, _ = ray.wait(list(running), timeout=_LOOK_SECONDS)
                for each in ended:
                    task = running.pop(each)
                    yield task, _reason(ray, each, task)
        finally:
            _stop(ray, list(running))


def carry_out_on_node(task: RunTask, logs: Path, environment: Mapping[str, str]) -> str | None:
    """Carry out a run in a child process of a Ray worker; return None, or in one line why it did not finish.

    The child writes a checkpoint and ends if the task is cancelled, and also if the worker is killed.
    """
    os.environ.update(environment)
    try:
        [(_, reason)] = in_processes([task], jobs=1, logs=logs, should_stop=lambda: False)
    except Exception as error:  # such as a folder for logs that this node cannot write
        return in_one_line(error, task)
    return reason


@contextmanager
def _cluster() -> Iterator[Any]:
    """Connect to the cluster within the block."""
    try:
        import ray
    except ImportError:
        raise ConfigurationError(
            f"--launcher ray needs ray; install it with: {install_command('ray')}"
        ) from None
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigurationError(
            f"--launcher ray: no connection to a cluster ({first}); start one with ray start --head, or name one in "
            "RAY_ADDRESS"
        ) from None
    try:
        if signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)  # Ray's would end this process without a checkpoint
        yield ray
    finally:
        ray.shutdown()


def _anywhere(task: RunTask) -> RunTask:
    """Return the task with paths that hold in any folder."""
    paths = {key: getattr(task, key).absolute() for key in ("path", "preset_path", "data", "split_path")}
    return replace(task, **paths)


def _reason(ray: Any, ended: Any, task: RunTask) -> str | None:
    try:
        reason: str | None = ray.get(ended)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error  # why a node cannot import gazekit, for one
        return f"its Ray task was lost: {in_one_line(cause, task)}"
    return reason


def _stop(ray: Any, running: Sequence[Any]) -> None:
    """Cancel all tasks, and wait until the runs at work have written a checkpoint and ended."""
    for each in running:
        ray.cancel(each)
    if running:
        ray.wait(running, num_returns=len(running), timeout=PATIENCE_SECONDS)
