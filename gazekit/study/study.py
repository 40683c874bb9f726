"""Open a study (systems, data, splits, runs) and carry out its remaining runs."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import weights_files
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.runs.tracking import check_trackers
from gazekit.study.data import StudyData, open_data
from gazekit.study.folder import StudyFolder, StudyKind, enter, join_earlier
from gazekit.study.folds import study_splits
from gazekit.study.grid import RunTask, run_tasks
from gazekit.study.launch.launch import launch
from gazekit.study.results.cost import step_ratios
from gazekit.study.running import check_own, is_finished
from gazekit.study.settings import StudySettings, resolve_presets
from gazekit.study.tuning.sampling import changes, values_to_check


@dataclass(frozen=True, eq=False)
class Study:
    """An open study: everything that its runs and tables need."""

    folder: StudyFolder
    settings: StudySettings
    registry: Registry
    presets: Mapping[str, Preset]
    data: StudyData
    splits: Mapping[str, Split]
    """Name → split of one data set."""
    data_of: Mapping[str, str]
    """Name of a split → name of its data set."""
    tasks: tuple[RunTask, ...]

    @property
    def dataset(self) -> PreparedDataset:
        """The first data set."""
        return self.data.first

    def trained_on(self, system: str, fold: str) -> PreparedDataset:
        """Return the data that a system is trained and tested on in a split."""
        return self.data.of(system, self.data_of[fold])

    def unfinished(self) -> list[RunTask]:
        """List the runs still to be carried out."""
        return [task for task in self.tasks if not is_finished(task, self.presets[task.system])]

    def failures(self) -> dict[RunTask, str]:
        """List unfinished runs whose last attempt failed, with the reason."""
        noted = self.folder.read().get("failures", {})
        return {
            task: noted[f"{task.system}/{task.name}"]
            for task in self.unfinished()
            if f"{task.system}/{task.name}" in noted
        }

    def finished(self, system: str) -> list[RunTask]:
        """List the finished runs of a system."""
        return [t for t in self.tasks if t.system == system and is_finished(t, self.presets[system])]


def open_study(
    folder: StudyFolder,
    settings: StudySettings,
    registry: Registry,
    *,
    device: torch.device,
    kind: StudyKind = "benchmark",
    splits: Callable[[PreparedDataset], Mapping[str, Split]] | None = None,
    adds: bool = True,
) -> Study:
    """Check everything that can be checked before a run starts, then create or reuse the study directory.

    Args:
        folder: the study directory.
        settings: the comparison; systems already in the folder stay.
        registry: provides the components.
        device: for training.
        kind: of the folder; a folder has one kind.
        splits: makes the splits of a data set instead of the settings' folds.
        adds: whether systems, seeds or the study itself may be added; otherwise it is only read, as another process
            may carry it out.

    Raises:
        ConfigurationError: a preset or option is wrong, or the folder belongs to another study.
        DataError: the data or the splits cannot be used.
    """
    presets = resolve_presets(settings, registry, os.environ)
    settings = join_earlier(folder, settings)
    for system in settings.systems:
        if system.name not in presets:
            presets[system.name] = registry.preset(str(folder.preset_path(system.name))).named(system.name)
    data = open_data(settings)
    made: dict[str, tuple[PreparedDataset, Split]] = {}
    data_of: dict[str, str] = {}
    for name, dataset in data.sets.items():
        dealt = splits(dataset) if splits else study_splits(dataset, settings, presets)
        for each, split in dealt.items():
            fold = data.fold(name, each)
            made[fold], data_of[fold] = (dataset, split), name
    tasks = run_tasks(
        folder.path,
        [
            (fold, system.name, data.of(system.name, data_of[fold]).root)
            for fold in made
            for system in settings.systems
        ],
        settings.seeds,
        device=device.type,
        test=kind == "benchmark",
        allow_leak=settings.allow_leak,
        tuned=kind == "benchmark" and settings.tune is not None,
    )
    if adds:
        check_trackers(registry, ())
        _check_weights(tasks, _started_from(settings, presets, registry), data, registry)
    enter(folder, kind, settings, presets, made, data, registry, adds=adds)
    only = {fold: split for fold, (_, split) in made.items()}
    study = Study(folder, settings, registry, presets, data, only, data_of, tuple(tasks))
    for task in tasks:
        if is_finished(task, presets[task.system]):  # the others are checked when they go on
            preset = registry.preset(str(task.preset_path)).named(task.system)
            check_own(task, preset, registry, study.trained_on(task.system, task.fold))
    return study


def _check_weights(
    tasks: Sequence[RunTask],
    presets: Mapping[str, Sequence[Preset]],
    data: StudyData,
    registry: Registry,
) -> None:
    """Raise ConfigurationError naming each missing file of weights that a run has yet to start from.

    Args:
        tasks: the runs.
        presets: system → its preset, and with other values where it is tuned.
        data, registry: of the study.
    """
    to_start = [task.system for task in tasks if not (task.path / "run.json").exists()]
    missing: list[str] = []
    for system in dict.fromkeys(to_start):
        dataset = data.of(system, next(iter(data.sets)))
        known = {
            "classes": len(dataset.classes),
            "in_channels": dataset.settings.channels,
            "targets": dataset.target_classes,
            "size": dataset.settings.size,
        }
        found = set[Path]().union(*(weights_files(each, registry, **known) for each in presets[system]))
        missing += [
            f"system '{system}': {path}: no such file; expected the weights that its backbone starts from: put them "
            "there, or change its backbone.weights"
            for path in sorted(found)
            if not path.is_file()
        ]
    if missing:
        raise ConfigurationError("\n".join(missing))


def _started_from(
    settings: StudySettings, presets: Mapping[str, Preset], registry: Registry
) -> dict[str, list[Preset]]:
    """Return the preset of each system, and where it is tuned those with each value that may name a file."""
    found = {name: [preset] for name, preset in presets.items()}
    for system in settings.systems if settings.tune else ():
        space = (settings.tune and settings.tune.space) or presets[system.name].space
        first = {key: values_to_check(axis)[0] for key, axis in space.items()}
        for key, value in ((key, value) for key, axis in space.items() for value in values_to_check(axis)):
            for point in ({key: value}, first | {key: value}) if isinstance(value, str) else ():
                items = (*settings.changes, *system.changes, *changes(point))
                with suppress(ConfigurationError):  # a value may need those of other keys
                    found[system.name].append(
                        registry.preset(system.preset, environment=os.environ, overrides=items)
                    )
    return found


def finish(
    study: Study,
    tasks: Sequence[RunTask] | None = None,
    *,
    launcher: str = "local",
    jobs: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    finished: Callable[[RunTask, str | None], None] = lambda _task, _reason: None,
) -> dict[RunTask, str]:
    """Carry out unfinished runs; the study directory records the time taken and the failures.

    Args:
        study: open, with its folder locked.
        tasks: those to carry out; None for all unfinished ones.
        launcher, jobs, should_stop: see ``study.launch``.
        finished: called for each run that ends, with the reason if it failed.

    Returns:
        The runs that failed, with their reasons.

    Raises:
        Preempted: the study was stopped on request.
    """
    failures: dict[RunTask, str] = {}
    began = time.monotonic()
    try:
        outcomes = launch(
            study.unfinished() if tasks is None else tasks,
            launcher=launcher,
            jobs=jobs,
            logs=study.folder.path / "logs",
            should_stop=should_stop,
        )
        for task, reason in outcomes:
            finished(task, reason)
            ended = time.monotonic()
            study.folder.add_seconds(ended - began)  # at once: a kill would leave no time
            began = ended
            study.folder.note(f"{task.system}/{task.name}", reason)
            if reason is not None:
                failures[task] = reason
    finally:
        study.folder.add_seconds(time.monotonic() - began)
    return failures


def step_times(study: Study, device: torch.device, report: Callable[[int, int], None]) -> dict[str, float]:
    """Measure each system's training step time relative to the reference; see ``cost.step_ratios``."""
    fold, split = next(iter(study.splits.items()))
    return step_ratios(
        study.presets,
        {system.name: study.trained_on(system.name, fold) for system in study.settings.systems},
        split,
        study.registry,
        reference=study.settings.reference_name,
        device=device,
        report=report,
    )


def check_reported(study: Study, paper: str) -> None:
    """Raise ConfigurationError if no system of the study has reported figures under a name."""
    names = sorted({name for preset in study.presets.values() for name in preset.reported})
    if paper not in names:
        raise ConfigurationError(
            f"--paper {paper}: no preset of this study has figures of that name; there are {', '.join(names) or 'none'}"
        )
