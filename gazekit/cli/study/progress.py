"""Show the progress of a study from its run directories, wherever the runs are executed."""

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gazekit.cli import console
from gazekit.disk.own_files import read_bytes
from gazekit.errors import DataError
from gazekit.runs.files import METRICS
from gazekit.study.grid import RunTask

_LOOK_SECONDS = 1.0


class StudyProgress:
    """Show a bar per system in a terminal, a line per finished run elsewhere; both on stderr.

    Args:
        tasks: all runs of the study.
        unfinished: runs still to execute.
        epochs: system → epochs per run.
    """

    def __init__(
        self, tasks: Sequence[RunTask], unfinished: Sequence[RunTask], epochs: Mapping[str, int]
    ) -> None:
        self.total = len(tasks)
        self.left = list(unfinished)
        self.begun_with = len(unfinished)
        self.failed = 0
        self.epochs = epochs
        self.began = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console.stderr(),
            disable=not console.stderr().is_terminal,
            speed_estimate_period=3600,
        )
        self.done = dict.fromkeys(epochs, 0)
        self.failures = dict.fromkeys(epochs, 0)
        self.planned = {name: sum(task.system == name for task in tasks) for name in epochs}
        for task in tasks:
            self.done[task.system] += task not in self.left
        self.rows: dict[str, TaskID] = {
            name: self.bar.add_task(name, total=planned, said="") for name, planned in self.planned.items()
        }
        self.all = self.bar.add_task("all runs", total=self.begun_with, said="")
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self.bar.start()
        if not self.bar.disable:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._watch.is_alive():
            self._watch.join()
        self.bar.stop()

    def finished(self, task: RunTask, reason: str | None) -> None:
        """Count a run that finished, or that failed with a reason."""
        self.left.remove(task)
        if reason is None:
            self.done[task.system] += 1
        else:
            self.failed += 1
            self.failures[task.system] += 1
            console.warn(f"{task.system} {task.name} failed: {reason}")
        if self.bar.disable:
            console.note(
                f"{self.total - len(self.left) - self.failed} of {self.total} runs done, {self.failed} failed, "
                f"{len(self.left)} left{self._time_left()}: {task.system} {task.name}"
            )

    def _time_left(self) -> str:
        done = self.begun_with - len(self.left)
        minutes = (time.monotonic() - self.began) / done * len(self.left) / 60
        return f" (about {minutes:.0f} min)" if minutes >= 1 else ""

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            shares = dict.fromkeys(self.rows, 0.0)
            for task in tuple(self.left):
                shares[task.system] += self._share(task)
            for name, row in self.rows.items():
                failed = f", {self.failures[name]} failed" if self.failures[name] else ""
                said = f"{self.done[name]} of {self.planned[name]} runs{failed}"
                self.bar.update(row, completed=self.done[name] + shares[name], said=said)
            ended = self.begun_with - len(self.left)
            said = f"{ended} of {self.begun_with} runs, {self.failed} failed"
            self.bar.update(self.all, completed=ended + sum(shares.values()), said=said)

    def _share(self, task: RunTask) -> float:
        """Return the share of a run that is done, by its epochs."""
        try:
            epochs = read_bytes(task.path / "metrics.jsonl", METRICS).count(b"\n")
        except DataError:  # does not exist yet
            return 0.0
        return min(epochs / self.epochs[task.system], 1.0)
