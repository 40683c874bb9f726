"""Show the progress of a training."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gazekit.cli import console
from gazekit.presets.preset import Preset
from gazekit.training.loop import State

_SLOW_SECONDS = 300
_BAR = 20
_LOSSES = len("loss 00.000  val AUC 0.000, best 0.000")
_TIMES = len(" 0:00:00 left 0:00:00 ")
_TIMED_STEPS = {"cpu": (1, 6), "cuda": (20, 60)}
"""(setup steps that are not timed, steps that are timed after them)."""


class TrainingProgress:
    """Show a bar in a terminal, a line now and then elsewhere; both on stderr."""

    def __init__(self, preset: Preset, device: str) -> None:
        self.preset = preset
        self.device = device
        self.epochs = preset.training.epochs
        self.terminal = console.stderr().is_terminal
        self.columns = console.stderr().width - len(f"epoch {self.epochs}/{self.epochs}") - _TIMES
        bars = [BarColumn(_BAR)] if self.columns >= _BAR + _LOSSES else []
        self.columns -= sum(_BAR + 1 for _ in bars)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(self.epochs)),
            *bars,
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console.stderr(),
            disable=not self.terminal,
        )
        self.task = self.bar.add_task("", total=None, epoch=0, losses="")
        self.reports = 0
        self.first: tuple[float, int] | None = None
        self.said = False
        self.shown_epoch = -1

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def report(self, state: State, batches: int) -> None:
        """Show the losses of the epoch so far and the AUC; announce once how long a slow run will take."""
        total = batches * self.epochs
        means = {name: "–" if mean is None else f"{mean:.3f}" for name, mean in state.means().items()}
        aucs = [] if state.auc is None else [f"val AUC {state.auc:.3f}"]
        if state.best_epoch and self.preset.training.select == "auc":
            aucs.append(f"best {state.best_auc:.3f}")
        val = "  " + ", ".join(aucs) if aucs else ""
        losses = "  ".join(f"{name} {value}" for name, value in means.items()) + val
        if self.terminal and len(losses) > self.columns:
            losses = f"loss {means.get('loss', '–')}{val}"
        ended = state.batch == 0
        epoch = state.epoch if ended else state.epoch + 1
        self.bar.update(self.task, completed=state.step, total=total, epoch=epoch, losses=losses)
        self._estimate(state.step, total)
        if not self.terminal and ended and (epoch * 10 // self.epochs) > self.shown_epoch:
            self.shown_epoch = epoch * 10 // self.epochs
            console.note(f"epoch {epoch}/{self.epochs}  {losses}")

    def _estimate(self, step: int, total: int) -> None:
        """Estimate the time after a few steps of this process."""
        self.reports += 1
        skipped, timed = _TIMED_STEPS[self.device]
        if self.reports == skipped:
            self.first = (time.monotonic(), step)
        elif self.first is not None and not self.said and step - self.first[1] == timed:
            self.said = True
            seconds = (time.monotonic() - self.first[0]) / timed * (total - step)
            if seconds > _SLOW_SECONDS:
                quick = (
                    f"; --preset {self.preset.quick} shows the same in minutes" if self.preset.quick else ""
                )
                console.note(f"about {_duration(seconds)} left on this {self.device}{quick}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
