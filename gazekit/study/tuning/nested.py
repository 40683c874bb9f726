"""Tune each run of a study on the training part of its fold, with the same budget for every row.

``tuning/SYSTEM/fold-1-seed-0`` holds the trials of a run: ``trial-01.toml`` is a resolved preset, ``trial-01/inner-1``
a run directory, ``tune.json`` the values found, and ``chosen.toml`` the preset of the study's own run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from gazekit.disk.atomic import own_folder, write_atomically
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, DataError, GazekitError, Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import inner_folds, read_split, write_split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.study.grid import RunTask
from gazekit.study.results.result import TunedRun
from gazekit.study.running import is_finished
from gazekit.study.settings import StudySettings, TuneSettings, resolve_presets
from gazekit.study.study import Study, finish
from gazekit.study.tuning.sampling import TriedPoint, changes, check_installed, own_point, point_of
from gazekit.study.tuning.search import (
    Candidate,
    Tuning,
    candidate,
    check_trials,
    choose_of,
    next_point,
    wrong_values,
)

_BUDGET = ("data", "training.epochs", "training.patience", "training.batch_size", "training.accumulate")
"""Keys that would give a row more training than another, or other exams."""


@dataclass(frozen=True)
class RunTuning:
    """The tuning of one run of a study.

    Args:
        task: the run; its preset is the one that this tuning chooses.
        row: resolved preset of its row, a TOML file; ``preset`` is the same, read.
        settings: with the space of the row.
        registry: provides the components.
    """

    task: RunTask
    row: Path
    preset: Preset
    settings: TuneSettings
    registry: Registry
    found: dict[int, Candidate] = field(default_factory=dict, compare=False)
    """Trials that were read, which do not change any more."""

    @property
    def folder(self) -> Path:
        """The folder of its trials."""
        return self.task.preset_path.parent

    @property
    def is_chosen(self) -> bool:
        """Whether it has ended."""
        return self.task.preset_path.exists()

    def runs(self, number: int) -> list[RunTask]:
        """List the runs of a trial, one per inner fold; trials count from 1. None reads the test part."""
        trial, inner = f"trial-{number:02}", self.settings.folds
        return [
            replace(
                self.task,
                fold=f"{self.task.fold}-{trial}-inner-{fold}",
                path=self.folder / trial / f"inner-{fold}",
                preset_path=self.folder / f"{trial}.toml",
                split_path=self.task.split_path if inner == 1 else self.folder / f"inner-{fold}.csv",
                test=False,
            )
            for fold in range(1, inner + 1)
        ]

    def left(self, number: int) -> list[RunTask]:
        """List the runs of a trial that have not finished."""
        return [run for run in self.runs(number) if not is_finished(run, self.preset)]

    def prepare(self, number: int) -> None:
        """Write the preset of a trial, whose point follows from the trials before, and the inner splits."""
        own_folder(self.folder)
        if self.settings.folds > 1 and not self.runs(number)[-1].split_path.exists():
            dataset = PreparedDataset.open(self.task.data)
            inner = inner_folds(dataset, read_split(self.task.split_path), self.settings.folds)
            for run, split in zip(self.runs(number), inner, strict=True):
                write_split(run.split_path, dataset, split)
        path = self.runs(number)[0].preset_path
        if not path.exists():
            before = [self.candidate(earlier) for earlier in range(1, number)]
            trials = [TriedPoint(point_of(each.changes), each.value) for each in before]
            self._write(path, next_point(self.preset, self.settings, trials))

    def candidate(self, number: int) -> Candidate:
        """Read the point and the validation AUC of a trial that has ended."""
        if number not in self.found:
            self.found[number] = self._read(number)
        return self.found[number]

    def _read(self, number: int) -> Candidate:
        runs = self.runs(number)
        path = runs[0].preset_path
        preset = self.registry.preset(str(path))
        point = own_point(preset, self.settings.space)
        if point is None:
            raise DataError(f"{path}: its values lie outside the space of the row; remove {self.folder}")
        done = [run.path for run in runs if is_finished(run, self.preset)]
        return candidate(changes(point), done, len(runs), preset.training.select)

    def choose(self) -> None:
        """Write the values found, and the chosen preset. Raises GazekitError: every trial has failed."""
        tuning = Tuning(
            preset=self.task.system,
            folds=self.settings.folds,
            seeds=1,
            fingerprint=PreparedDataset.open(self.task.data).fingerprint,
            candidates=tuple(map(self.candidate, range(1, self.settings.trials + 1))),
            chosen=(),
            sampler=self.settings.sampler,
            seed=self.settings.seed,
        )
        tuning = choose_of(tuning, self.folder)
        write_atomically(self.folder / "tune.json", tuning.to_text())
        self._write(self.task.preset_path, tuning.chosen)

    def _write(self, path: Path, items: Sequence[str]) -> None:
        write_atomically(path, self.registry.preset(str(self.row), overrides=items).to_toml())


def tunings(study: Study) -> list[RunTuning]:
    """List the tunings of a study's unfinished runs."""
    tune = study.settings.tune
    if tune is None:
        return []
    spaces = {name: tune.space or preset.space for name, preset in study.presets.items()}
    return [
        RunTuning(
            task,
            study.folder.preset_path(task.system),
            study.presets[task.system],
            tune.model_copy(update={"space": spaces[task.system]}),
            study.registry,
        )
        for task in study.unfinished()
    ]


def trial_runs(study: Study) -> list[RunTask]:
    """List the runs of trials that are left."""
    return [
        run
        for tuning in tunings(study)
        if not tuning.is_chosen
        for number in range(1, tuning.settings.trials + 1)
        for run in tuning.left(number)
    ]


def check_spaces(settings: StudySettings, registry: Registry, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if the space of a row has a wrong key or value, or changes the budget; names all."""
    tune = settings.tune
    if tune is None:
        return
    problems: list[str] = []
    for name, preset in resolve_presets(settings, registry, environment).items():
        (system,) = (each for each in settings.systems if each.name == name)
        space = tune.space or preset.space
        problems += [
            f"{name}: {key}: would change the exams or the budget, which is the same for all rows"
            for key in space
            if key.startswith(_BUDGET)
        ]
        items = (*settings.changes, *system.changes)
        resolve = partial(_resolved, registry, system.preset, environment, items)
        problems += [f"{name}: {wrong}" for wrong in wrong_values(space, resolve)]
        try:
            check_trials(space, tune.trials, name)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError("\n".join(["the rows of this study cannot be tuned:", *problems]))


def _resolved(
    registry: Registry, preset: str, environment: Mapping[str, str], items: Sequence[str], more: Sequence[str]
) -> Preset:
    return registry.preset(preset, environment=environment, overrides=(*items, *more))


def finish_tuned(
    study: Study,
    *,
    launcher: str = "local",
    jobs: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    finished: Callable[[RunTask, str | None], None] = lambda _task, _reason: None,
) -> dict[RunTask, str]:
    """Tune and carry out unfinished runs, all rows of a seed and fold before the next; see ``study.finish``.

    A trial with a failed run is never chosen; a run fails without being started if all of its trials do. The rows'
    trials of one number run together, so that ``jobs`` have something to do.
    """

    def carry_out(tasks: Sequence[RunTask]) -> dict[RunTask, str]:
        try:
            return finish(
                study, tasks, launcher=launcher, jobs=jobs, should_stop=should_stop, finished=finished
            )
        except Preempted as error:
            left = len(trial_runs(study)) + len(study.unfinished())
            error.args = (f"{error}; in all {counted(left, 'run')} of the study left",)
            raise

    if study.settings.tune and trial_runs(study):
        check_installed(study.settings.tune.sampler)
    failures: dict[RunTask, str] = {}
    for _, group in groupby(tunings(study), key=lambda tuning: (tuning.task.seed, tuning.task.fold)):
        rows = list(group)
        open_rows = [row for row in rows if not row.is_chosen]
        reasons: dict[str, str] = {}
        for number in range(1, study.settings.tune.trials + 1) if study.settings.tune else ():
            for row in open_rows:
                row.prepare(number)
            failed = carry_out([run for row in open_rows for run in row.left(number)])
            reasons |= {run.system: reason for run, reason in failed.items()}
        for row in open_rows:
            try:
                row.choose()
            except GazekitError as error:
                failures[row.task] = f"all of its trials failed: {reasons.get(row.task.system, error)}"
                study.folder.note(f"{row.task.system}/{row.task.name}", failures[row.task])
                finished(row.task, failures[row.task])
        failures |= carry_out([row.task for row in rows if row.is_chosen])
    return failures


def tuned_runs(tasks: Sequence[RunTask]) -> tuple[TunedRun, ...]:
    """Read what the tuning of each of these runs chose."""
    found = []
    for task in tasks:
        tuning = Tuning.read(task.preset_path.with_name("tune.json"))
        # a narrow range may have fewer numbers than there are trials, so a point may come twice
        chosen = next(each for each in tuning.candidates if each.changes == tuning.chosen)
        tried = sum(each.value is not None for each in tuning.candidates)
        found.append(TunedRun(task.name, chosen.changes, chosen.value or 0.0, tried))
    return tuple(found)


def in_words(settings: TuneSettings) -> str:
    """Describe the tuning of a study."""
    judged = (
        "the validation part of the fold"
        if settings.folds == 1
        else f"{settings.folds} inner folds of the exams outside the test part"
    )
    return (
        f"each run was tuned first: {settings.trials} trials ({settings.sampler}, seed {settings.seed}) of the same "
        f"length, judged by the AUC on {judged}; the test part stayed closed"
    )
