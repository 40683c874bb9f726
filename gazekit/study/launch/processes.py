"""Carry out the runs of a study in child processes, several at a time, each with its share of cores and GPUs."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazekit.disk.atomic import disk_errors, own_folder
from gazekit.errors import ConfigurationError, Preempted
from gazekit.reading.parallel import available_cores
from gazekit.study.grid import RunTask
from gazekit.study.outcome import STOPPED, Outcome

_LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 300
"""Seconds for a child to finish its step and write a checkpoint before it is killed."""

_SAID = 2**16
"""Bytes at the end of a log that are searched for the reason of a failure."""


@dataclass(frozen=True, slots=True)
class _Child:
    task: RunTask
    slot: int
    process: "subprocess.Popen[bytes]"
    log: Path


def in_processes(
    tasks: Sequence[RunTask], *, jobs: int, logs: Path, should_stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Carry out runs in child processes; see ``launch.launch``. The output of a failed one stays in its log."""
    own_folder(logs)
    waiting = deque(tasks)
    slots = deque(range(min(jobs, len(tasks))))
    environments = slot_environments(len(slots), os.environ, gpus=_gpus(tasks))
    running: list[_Child] = []
    try:
        while waiting or running:
            if should_stop():
                raise Preempted(f"stopped; {len(waiting) + len(running)} runs are left")
            while waiting and slots:
                slot = slots.popleft()
                running.append(_start(waiting.popleft(), slot, environments[slot], logs))
            ended = [child for child in running if child.process.poll() is not None]
            for child in ended:
                running.remove(child)
                slots.append(child.slot)
                yield child.task, _reason(child)
            if not ended:
                time.sleep(_LOOK_SECONDS)
    finally:
        _stop(running)


def slot_environments(
    slots: int, environment: Mapping[str, str], *, gpus: Sequence[str]
) -> list[dict[str, str]]:
    """Return the environment of each slot's process: cores are divided, GPUs assigned in turn.

    Args:
        slots: number of processes at a time.
        environment: of this process; an ``OMP_NUM_THREADS`` in it is kept.
        gpus: available GPUs; a single one is shared by all.
    """
    threads = str(max(available_cores() // max(slots, 1), 1))
    return [
        {"OMP_NUM_THREADS": threads, **environment}
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


def _start(task: RunTask, slot: int, environment: Mapping[str, str], logs: Path) -> _Child:
    log = logs / f"{task.system}-{task.name}.log"
    with disk_errors(log):
        log.unlink(missing_ok=True)  # if it is a link, do not write through it
        said = log.open("xb")
    with said:
        try:
            process = subprocess.Popen(
                [*task.command(), "--attached"],
                stdin=subprocess.PIPE,  # never written to: when it closes, the child knows we are gone
                stdout=said,
                stderr=said,
                env={
                    **environment,
                    "PYTHONUNBUFFERED": "1",
                },  # so that a log ends with the latest message
                start_new_session=True,  # we pass on keyboard interrupts ourselves
            )
        except OSError as error:
            raise ConfigurationError(
                f"no process can be started for {task.system} {task.name}: {error.strerror}; choose fewer --jobs"
            ) from None
    return _Child(task, slot, process, log)


def _reason(child: _Child) -> str | None:
    assert child.process.stdin
    child.process.stdin.close()
    code = child.process.returncode
    if code == 0:
        child.log.unlink(missing_ok=True)
        return None
    if code in (Preempted.exit_code, 130):
        return STOPPED
    if code < 0:
        hint = ": memory may have run out" if -code == signal.SIGKILL else ""
        return f"its process was killed by {signal.Signals(-code).name}{hint}"
    with child.log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _SAID, 0))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"ended with exit code {code}")


def _stop(running: Sequence[_Child]) -> None:
    """Tell all children to write a checkpoint and end, and wait for them."""
    for child in running:
        child.process.terminate()
    until = time.monotonic() + PATIENCE_SECONDS
    for child in running:
        try:
            child.process.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        assert child.process.stdin
        child.process.stdin.close()
