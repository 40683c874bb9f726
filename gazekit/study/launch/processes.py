"""Carry out the runs of a study in child processes, several at a time, each with its share of cores and GPUs."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gazekit.disk.atomic import own_folder
from gazekit.disk.wording import counted
from gazekit.errors import Preempted
from gazekit.machine import available_cores
from gazekit.study.grid import RunTask
from gazekit.study.launch.child import Child
from gazekit.study.results.outcome import Outcome

_LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 300
"""Seconds for a child to finish its step and write a checkpoint before it is killed."""


def in_processes(
    tasks: Sequence[RunTask], *, jobs: int, logs: Path, should_stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Carry out runs in child processes, each one run after another; see ``launch.launch``.

    A child in which a run has failed is replaced, and the output of that run stays in a log of its name.
    """
    own_folder(logs)
    waiting = deque(tasks)
    slots = range(min(jobs, len(tasks)))
    environments = slot_environments(len(slots), os.environ, gpus=_gpus(tasks))
    children: dict[int, Child] = {}
    at_work: dict[int, RunTask] = {}
    try:
        while waiting or at_work:
            if should_stop():
                raise Preempted(f"stopped; {counted(len(waiting) + len(at_work), 'run')} left")
            for slot in slots:
                if waiting and slot not in at_work:
                    task = at_work[slot] = waiting.popleft()
                    if slot in children and not children[slot].take(task):
                        children.pop(slot).close(0)
                    if slot not in children:
                        children[slot] = Child(task, logs / f"process-{slot}.log", environments[slot])
            left = len(at_work)
            for slot, task in tuple(at_work.items()):
                child = children[slot]
                gone, done = child.has_ended(), child.hears_of_end()
                if not (gone or done):
                    continue
                del at_work[slot]
                reason = None if done else child.reason(task)
                if gone:
                    children.pop(slot).close(0)
                elif not waiting:
                    child.let_go()
                yield task, reason
            if len(at_work) == left:
                time.sleep(_LOOK_SECONDS)
    finally:
        _stop(list(children.values()))


def slot_environments(
    slots: int, environment: Mapping[str, str], *, gpus: Sequence[str]
) -> list[dict[str, str]]:
    """Return the environment of each slot's process: cores are divided, GPUs assigned in turn.

    Args:
        slots: number of processes at a time.
        environment: of this process; an ``OMP_NUM_THREADS`` in it is kept.
        gpus: available GPUs; a single one is shared by all. cuBLAS reads once in a process how it can be
            deterministic, and a later run may ask for that.
    """
    threads = str(max(available_cores() // max(slots, 1), 1))
    return [
        {"OMP_NUM_THREADS": threads, **environment}
        | (
            {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
            if gpus and "CUBLAS_WORKSPACE_CONFIG" not in environment
            else {}
        )
        | ({"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if len(gpus) > 1 else {})
        for slot in range(slots)
    ]


def _gpus(tasks: Sequence[RunTask]) -> list[str]:
    """List values for ``CUDA_VISIBLE_DEVICES``; empty if no run needs a GPU."""
    if all(task.device == "cpu" for task in tasks):
        return []
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def _stop(children: Sequence[Child]) -> None:
    """Tell all children to write a checkpoint and end, and wait for them."""
    for child in children:
        child.stop()
    until = time.monotonic() + PATIENCE_SECONDS
    for child in children:
        child.close(max(until - time.monotonic(), 0))
