"""List the runs of a study (systems × data sets × splits × seeds) as tasks that any process can carry out."""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gazekit.disk.plain_text import visible
from gazekit.errors import DataError

_RUN = re.compile(
    r"(?:(?P<data>.+?)-)??(?P<split>(?:repeat-\d+-)?(?:fold|split)-\d+)-seed-(?P<seed>\d+)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class RunName:
    """The factors of a run: data set (empty if the study has one), split within it, seed."""

    data: str
    split_name: str
    seed: int

    @classmethod
    def parse(cls, name: str) -> "RunName":
        """Read a name such as ``phantom_1-split-2-seed-0``. Raises DataError: a run of a study has no such name."""
        found = _RUN.fullmatch(name)
        if found is None:
            raise DataError(
                f"{visible(name)}: no run of a study is named so; expected a name such as fold-1-seed-0; move it away"
            )
        return cls(found["data"] or "", found["split"], int(found["seed"]))


@dataclass(frozen=True, slots=True)
class RunTask:
    """One self-contained run of a study: it can be pickled, or passed to another process as text.

    Args:
        system: name of the row.
        fold: ``fold-1``, ``repeat-1-fold-1`` or ``split-1``, after the data set if there are several; names the split.
        seed: for initial weights, order, augmentation and dropout.
        path: the run directory.
        preset_path: the resolved preset, a TOML file.
        data: the prepared data set.
        split_path: the split file.
        device: ``cpu`` or ``cuda``.
        test: predict and evaluate the test part when training is complete.
        allow_leak: train even if the split leaks.
    """

    system: str
    fold: str
    seed: int
    path: Path
    preset_path: Path
    data: Path
    split_path: Path
    device: str
    test: bool = True
    allow_leak: bool = False

    @property
    def name(self) -> str:
        """``fold-1-seed-0``."""
        return f"{self.fold}-seed-{self.seed}"

    def to_text(self) -> str:
        """Serialise the task as one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_text(cls, text: str) -> "RunTask":
        """Restore a task from ``to_text``."""
        values = json.loads(text)
        return cls(
            **values | {key: Path(values[key]) for key in ("path", "preset_path", "data", "split_path")}
        )

    def command(self) -> list[str]:
        """The command that carries out the task in a new process; it resumes, and exits 75 or 130 when stopped."""
        return [sys.executable, "-m", "gazekit.study", self.to_text()]


def run_tasks(
    out: Path,
    cells: Iterable[tuple[str, str, Path]],
    seeds: int,
    *,
    device: str,
    test: bool = True,
    allow_leak: bool = False,
    tuned: bool = False,
) -> list[RunTask]:
    """List the runs in the best order: every system for a seed of a split before the next one.

    Args:
        out: the study directory.
        cells: split, system and prepared data set of the runs that differ in their seed alone.
        seeds: number of seeds; they are 0, 1, …
        device, test, allow_leak: see ``RunTask``.
        tuned: each run has the preset that its tuning chooses.
    """
    each = list(cells)
    return [
        RunTask(
            system=system,
            fold=fold,
            seed=seed,
            path=out / "runs" / system / f"{fold}-seed-{seed}",
            preset_path=out / "tuning" / system / f"{fold}-seed-{seed}" / "chosen.toml"
            if tuned
            else out / "systems" / f"{system}.toml",
            data=data,
            split_path=out / "splits" / f"{fold}.csv",
            device=device,
            test=test,
            allow_leak=allow_leak,
        )
        for seed in range(seeds)
        for fold, system, data in each
    ]
