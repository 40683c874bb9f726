"""Tune a preset: train points of a grid on inner folds of the training part, and choose one of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gazekit.disk.atomic import write_atomically
from gazekit.errors import ConfigurationError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import Split, inner_folds
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.study.folder import StudyFolder
from gazekit.study.grid import RunTask
from gazekit.study.settings import StudySettings, SystemSettings, TuneSettings, parse_study
from gazekit.study.study import Study, open_study
from gazekit.study.tuning.sampling import TriedPoint, check_installed, point_of
from gazekit.study.tuning.search import (
    Candidate,
    Resolve,
    Tuning,
    candidate,
    check_trials,
    choose_of,
    grid_axes,
    grid_points,
    next_point,
    point_name,
    wrong_values,
)
from gazekit.training.start import GivenSplit, split_of

SAMPLERS = ("grid", "random", "tpe")


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedTuning:
    """A tuning that is asked for.

    Args:
        preset: the name or TOML file of one.
        changes: ``key.path=value`` items that all points share.
        data: folder of a prepared data set.
        grid: ``key.path=value,value`` items; without any, the preset's own space is drawn from.
        sampler: ``grid``, ``random`` or ``tpe``.
        trials, seed: of a sampler that draws.
        folds, seeds: inner folds, and runs per fold.
        split: whose test part stays closed; None makes one as a training would.
    """

    preset: str
    changes: Sequence[str]
    data: Path
    grid: Sequence[str]
    sampler: str
    trials: int
    seed: int
    folds: int
    seeds: int
    split: GivenSplit | None


def tune(
    folder: StudyFolder,
    asked: AskedTuning,
    registry: Registry,
    device: torch.device,
    finish: Callable[[Study], Mapping[RunTask, str]],
) -> tuple[Tuning, Study, dict[RunTask, str]]:
    """Train all points of a grid at once, or one trial after another; choose, and write tune.json.

    A stopped tuning goes on to the same trials.

    Args:
        folder: the study directory.
        asked: what is to be tuned.
        registry: provides the components.
        device: for training.
        finish: carries out the runs of a study, and returns those that failed with their reasons.

    Returns:
        The tuning, its study, and the runs that failed with their reasons.

    Raises:
        ConfigurationError: no such sampler, or it is not installed, a grid without points, fewer points than trials, a
            wrong value, or the folder belongs to another study.
        DataError: the data or the split cannot be used.
        GazekitError: no point has a value from all its runs.
    """

    def resolve(items: Sequence[str]) -> Preset:
        return registry.preset(asked.preset, environment=os.environ, overrides=[*asked.changes, *items])

    def inner_splits(dataset: PreparedDataset) -> dict[str, Split]:
        inner = inner_folds(dataset, split_of(base, dataset, asked.split), asked.folds)
        return {f"inner-{fold}": split for fold, split in enumerate(inner, start=1)}

    def open_points(points: Sequence[tuple[str, ...]]) -> Study:
        study = _study_of(asked, points, settings)
        return open_study(folder, study, registry, device=device, kind="tune", splits=inner_splits)

    base = resolve(())
    settings = _settings(asked, base, resolve)
    failures: dict[RunTask, str] = {}
    trials: list[TriedPoint] = []
    with folder.lock():
        if settings is None:
            study = open_points(grid_points(asked.grid))
            failures |= finish(study)
        else:
            points = [each.changes for each in folder.settings().systems] if folder.facts.exists() else []
            if len(points) < settings.trials:
                check_installed(settings.sampler)  # the first trial draws nothing, and trains
            for number in range(settings.trials):
                if number >= len(points):
                    points.append(next_point(base, settings, trials))
                study = open_points(points[: number + 1])
                failures |= finish(study)
                tried = _candidate(study, study.settings.systems[number])
                trials.append(TriedPoint(point_of(points[number]), tried.value))
        tuning = _choose(study, asked)
        write_atomically(folder.path / "tune.json", tuning.to_text())
    return tuning, study, failures


def _settings(asked: AskedTuning, preset: Preset, resolve: Resolve) -> TuneSettings | None:
    """Settle how points are chosen; None for all points of a grid, which needs no sampler."""
    if asked.sampler not in SAMPLERS:
        raise ConfigurationError(f"--sampler {asked.sampler}: expected {', '.join(SAMPLERS)}")
    if asked.sampler == "grid":
        if not asked.grid:
            raise ConfigurationError("--sampler grid: expected --grid KEY=V,V,…, or --sampler random or tpe")
        return None
    space = {
        key: tuple(point_of([f"{key}={value}"])[key] for value in values)
        for key, values in grid_axes(asked.grid).items()
    }
    values = {"sampler": asked.sampler, "trials": asked.trials, "seed": asked.seed}
    settings = TuneSettings.model_validate({**values, "space": space or preset.space})
    check_trials(settings.space, asked.trials, f"preset '{preset.name}'")
    if wrong := wrong_values(settings.space, resolve):
        raise ConfigurationError("\n".join(["the space cannot be drawn from:", *wrong]))
    return settings


def _study_of(
    asked: AskedTuning, points: Sequence[tuple[str, ...]], settings: TuneSettings | None
) -> StudySettings:
    """Describe the study of these points, a system for each."""
    values = {
        "data": str(asked.data),
        "folds": asked.folds,
        "seeds": asked.seeds,
        "set": list(asked.changes),
        "system": [{"name": point_name(each), "preset": asked.preset, "set": list(each)} for each in points],
    }
    tuned = {"tune": settings.model_dump(mode="json")} if settings else {}
    return parse_study({**values, **tuned}, "the grid of these options", folder=Path())


def _choose(study: Study, asked: AskedTuning) -> Tuning:
    """Read the validation AUC of every finished run and choose; raises as ``choose_of``."""
    settings = study.settings
    return choose_of(
        Tuning(
            preset=asked.preset,
            folds=len(study.splits),
            seeds=settings.seeds,
            fingerprint=study.dataset.fingerprint,
            candidates=tuple(_candidate(study, system) for system in settings.systems),
            chosen=(),
            sampler=settings.tune.sampler if settings.tune else "grid",
            seed=settings.tune.seed if settings.tune else 0,
        ),
        study.folder.path,
    )


def _candidate(study: Study, system: SystemSettings) -> Candidate:
    """Read what came of a point."""
    planned = sum(task.system == system.name for task in study.tasks)
    finished = [task.path for task in study.finished(system.name)]
    return candidate(system.changes, finished, planned, study.presets[system.name].training.select)
