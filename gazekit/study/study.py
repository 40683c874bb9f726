"""A study that is open: its systems, data, splits and runs, and what is left to carry out."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.study.cost import step_ratios
from gazekit.study.folder import StudyFolder, StudyKind, check_same_exams, enter, join_earlier
from gazekit.study.folds import study_splits
from gazekit.study.grid import RunTask, run_tasks
from gazekit.study.launch.launch import launch
from gazekit.study.running import is_finished
from gazekit.study.settings import StudySettings, SystemSettings, resolve_presets


@dataclass(frozen=True, eq=False)
class Study:
    """A study that is open: everything that its runs and its tables need."""

    folder: StudyFolder
    settings: StudySettings
    registry: Registry
    presets: Mapping[str, Preset]
    dataset: PreparedDataset
    datasets: Mapping[str, PreparedDataset]
    splits: Mapping[str, Split]
    tasks: tuple[RunTask, ...]

    def unfinished(self) -> list[RunTask]:
        """The runs that are still to be carried out."""
        return [task for task in self.tasks if not is_finished(task, self.presets[task.system])]

    def failures(self) -> dict[RunTask, str]:
        """Of the runs that are not finished, those that failed when they were last tried, and why."""
        noted = self.folder.read().get("failures", {})
        return {
            task: noted[f"{task.system}/{task.name}"]
            for task in self.unfinished()
            if f"{task.system}/{task.name}" in noted
        }

    def finished(self, system: str) -> list[RunTask]:
        """The runs of a system that are complete."""
        return [t for t in self.tasks if t.system == system and is_finished(t, self.presets[system])]


def open_study(
    folder: StudyFolder,
    settings: StudySettings,
    registry: Registry,
    *,
    device: torch.device,
    kind: StudyKind = "benchmark",
    splits: Callable[[PreparedDataset], Mapping[str, Split]] | None = None,
) -> Study:
    """Check everything that can be checked before a run begins, then write or enter the study directory.

    Args:
        folder: locked.
        settings: what is compared; systems that the folder has already stay in it.
        registry: where the components come from.
        device: that runs train on.
        kind: a folder is of one kind.
        splits: makes the splits in place of the settings' folds.

    Raises:
        ConfigurationError: a preset or option is wrong, or the folder belongs to another study.
        DataError: the data or the splits cannot be used.
    """
    presets = resolve_presets(settings, registry, os.environ)
    settings = join_earlier(folder, settings)
    for system in settings.systems:
        if system.name not in presets:
            presets[system.name] = registry.preset(str(folder.preset_path(system.name))).named(system.name)
    dataset = PreparedDataset.open(settings.data)
    datasets = {system.name: _data_of(system, dataset) for system in settings.systems}
    made = splits(dataset) if splits else study_splits(dataset, settings, presets)
    enter(folder, kind, settings, presets, made, datasets, dataset, registry)
    tasks = run_tasks(
        folder.path,
        [(name, data.root) for name, data in datasets.items()],
        list(made),
        settings.seeds,
        device=device.type,
        test=kind == "benchmark",
        allow_leak=settings.allow_leak,
    )
    return Study(folder, settings, registry, presets, dataset, datasets, made, tuple(tasks))


def finish(
    study: Study,
    *,
    launcher: str = "local",
    jobs: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    finished: Callable[[RunTask, str | None], None] = lambda _task, _reason: None,
) -> dict[RunTask, str]:
    """Carry out the runs that are not finished; the study directory keeps how long it took and what failed.

    Args:
        study: open, its folder locked.
        launcher, jobs, should_stop: see ``study.launch``.
        finished: told of each run that ends, with the reason if it failed.

    Returns:
        The runs that failed, with their reasons.

    Raises:
        Preempted: stopped on request.
    """
    failures: dict[RunTask, str] = {}
    began = time.monotonic()
    try:
        outcomes = launch(
            study.unfinished(),
            launcher=launcher,
            jobs=jobs,
            logs=study.folder.path / "logs",
            should_stop=should_stop,
        )
        for task, reason in outcomes:
            finished(task, reason)
            ended = time.monotonic()
            study.folder.add_seconds(ended - began)  # at once, for a kill leaves no time to
            began = ended
            study.folder.note(f"{task.system}/{task.name}", reason)
            if reason is not None:
                failures[task] = reason
    finally:
        study.folder.add_seconds(time.monotonic() - began)
    return failures


def step_times(study: Study, device: torch.device, report: Callable[[int, int], None]) -> dict[str, float]:
    """System → time of a training step as a ratio to the reference; see ``cost.step_ratios``."""
    return step_ratios(
        study.presets,
        study.datasets,
        next(iter(study.splits.values())),
        study.registry,
        reference=study.settings.reference_name,
        device=device,
        report=report,
    )


def check_reported(study: Study, paper: str) -> None:
    """Raise ConfigurationError if no system of the study has figures reported under a name."""
    names = sorted({name for preset in study.presets.values() for name in preset.reported})
    if paper not in names:
        raise ConfigurationError(
            f"--paper {paper}: no preset of this study has figures of that name; there are {', '.join(names) or 'none'}"
        )


def _data_of(system: SystemSettings, study: PreparedDataset) -> PreparedDataset:
    if system.data is None:
        return study
    dataset = PreparedDataset.open(system.data)
    check_same_exams(system, dataset, study)
    return dataset
