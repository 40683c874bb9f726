"""The runs of a study: systems × folds × seeds, each a task that any process can carry out."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunTask:
    """One run of a study, complete in itself: it can be pickled, or handed to another process as text.

    Args:
        system: name of the row.
        fold: ``fold-1``, or ``repeat-1-fold-1``; names the split.
        seed: of initial weights, order, augmentation and dropout.
        path: the run directory.
        preset_path: resolved preset, TOML.
        data: prepared data set.
        split: split file.
        device: ``cpu`` or ``cuda``.
        test: predict and evaluate the test part once the training is complete.
        allow_leak: train even if the split leaks.
    """

    system: str
    fold: str
    seed: int
    path: Path
    preset_path: Path
    data: Path
    split: Path
    device: str
    test: bool = True
    allow_leak: bool = False

    @property
    def name(self) -> str:
        """``fold-1-seed-0``."""
        return f"{self.fold}-seed-{self.seed}"

    def to_text(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_text(cls, text: str) -> "RunTask":
        """From ``to_text``."""
        values = json.loads(text)
        return cls(**values | {key: Path(values[key]) for key in ("path", "preset_path", "data", "split")})

    def command(self) -> list[str]:
        """The command that carries the task out in a process of its own; resumes, exits 75 or 130 when stopped."""
        return [sys.executable, "-m", "gazekit.study", self.to_text()]


def run_tasks(
    out: Path,
    systems: Iterable[tuple[str, Path]],
    folds: Sequence[str],
    seeds: int,
    *,
    device: str,
    test: bool = True,
    allow_leak: bool = False,
) -> list[RunTask]:
    """The grid, in the order in which it is best carried out: a seed of a fold for every system before the next.

    Args:
        out: the study directory.
        systems: name and prepared data set of each.
        folds: names of the splits.
        seeds: how many; they are 0, 1, …
        device, test, allow_leak: see ``RunTask``.
    """
    rows = list(systems)
    return [
        RunTask(
            system=system,
            fold=fold,
            seed=seed,
            path=out / "runs" / system / f"{fold}-seed-{seed}",
            preset_path=out / "systems" / f"{system}.toml",
            data=data,
            split=out / "splits" / f"{fold}.csv",
            device=device,
            test=test,
            allow_leak=allow_leak,
        )
        for seed in range(seeds)
        for fold in folds
        for system, data in rows
    ]
