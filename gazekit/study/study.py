"""A study from its settings to its result: open it, see what is left to run, put together what was found."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from gazekit.data.prepared import PreparedDataset
from gazekit.data.splits import Split, leak_of
from gazekit.errors import ConfigurationError
from gazekit.evaluation.comparison import holm
from gazekit.preset import Preset
from gazekit.registry import Registry
from gazekit.study.cost import count_parameters, step_ratios
from gazekit.study.evidence import evidence
from gazekit.study.folder import Kind, StudyFolder, check_same_exams, enter, join_earlier
from gazekit.study.folds import protocol, study_splits
from gazekit.study.grid import RunTask, run_tasks
from gazekit.study.pooling import compare, estimates, pool, read_run
from gazekit.study.result import Comparison, Failure, Pooled, Reported, Row, StudyResult
from gazekit.study.running import is_finished
from gazekit.study.settings import StudySettings, SystemSettings, resolve_presets

Failures = Mapping[RunTask, str]
"""Task → why it could not be finished, in one line."""


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

    def finished(self, system: str) -> list[RunTask]:
        """The runs of a system that are complete."""
        return [t for t in self.tasks if t.system == system and is_finished(t, self.presets[system])]


def open_study(
    folder: StudyFolder,
    settings: StudySettings,
    registry: Registry,
    *,
    device: torch.device,
    environment: Mapping[str, str],
    kind: Kind = "benchmark",
    splits: Callable[[PreparedDataset], Mapping[str, Split]] | None = None,
) -> Study:
    """Check everything that can be checked before a run begins, then write or enter the study directory.

    Args:
        folder: locked.
        settings: what is compared; systems that the folder has already stay in it.
        registry: where the components come from.
        device: that runs train on.
        environment: ``GAZEKIT_*`` variables, laid over the presets.
        kind: a folder is of one kind.
        splits: makes the splits in place of the settings' folds.

    Raises:
        ConfigurationError: a preset or option is wrong, or the folder belongs to another study.
        DataError: the data or the splits cannot be used.
    """
    presets = resolve_presets(settings, registry, environment)
    settings = join_earlier(folder, settings)
    for system in settings.systems:
        if system.name not in presets:
            presets[system.name] = registry.preset(str(folder.preset(system.name))).named(system.name)
    dataset = PreparedDataset.open(settings.data)
    datasets = {system.name: _data_of(system, dataset) for system in settings.systems}
    made = splits(dataset) if splits else study_splits(dataset, settings)
    enter(folder, kind, settings, presets, made, dataset, registry)
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
            f"--paper {paper}: no preset of this study has figures under that name; there are {', '.join(names) or 'none'}"
        )


def collect(
    study: Study, failures: Failures, *, ratios: Mapping[str, float] | None = None, paper: str = ""
) -> tuple[StudyResult, dict[str, Pooled]]:
    """Put together what the finished runs found.

    Args:
        study: some of its runs finished.
        failures: of the others.
        ratios: of ``step_times``.
        paper: name under which presets report figures; empty for none.

    Returns:
        the result, and the pooled predictions of every row with a finished run.
    """
    settings, dataset = study.settings, study.dataset
    rows: dict[str, Row] = {}
    pooled: dict[str, Pooled] = {}
    for system in settings.systems:
        records = [read_run(task) for task in study.finished(system.name)]
        row = _row(study, system, failures, paper)
        if records:
            pooled[system.name] = pool(dataset, records)
            row = replace(row, runs=len(records), metrics=estimates(records, pooled[system.name]))
        rows[system.name] = replace(row, step_ratio=(ratios or {}).get(system.name))
    comparisons = _comparisons(pooled, settings.reference_name)
    exams = [i for i, exam in enumerate(dataset.exam_ids) if _is_tested(study, exam)]
    result = StudyResult(
        title=settings.title,
        dataset=dataset.root.name,
        fingerprint=dataset.fingerprint,
        exams=len(exams),
        patients=len({dataset.patient_ids[i] for i in exams}),
        classes={name: int((dataset.labels[exams] == k).sum()) for k, name in enumerate(dataset.classes)},
        protocol=protocol(dataset, settings, study.splits),
        folds=len(study.splits) // settings.repeats,
        repeats=settings.repeats,
        seeds=settings.seeds,
        reference=settings.reference_name,
        rows=tuple(replace(row, comparison=comparisons.get(name)) for name, row in rows.items()),
        evidence=evidence(
            [task.path for name in rows for task in study.finished(name)],
            minutes=study.folder.read()["seconds"] / 60,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        ),
        leak="; ".join(
            dict.fromkeys(str(leak_of(dataset, s)) for s in study.splits.values() if leak_of(dataset, s))
        ),
        notes=_notes(study),
        reported=paper,
    )
    return result, pooled


def _row(study: Study, system: SystemSettings, failures: Failures, paper: str) -> Row:
    preset = study.presets[system.name]
    figures = preset.reported.get(paper) if not system.changes else None
    return Row(
        name=system.name,
        preset=system.preset.rsplit("/", 1)[-1],
        runs=0,
        planned=sum(task.system == system.name for task in study.tasks),
        changes=system.changes,
        stand_in=preset.stand_in,
        failures=tuple(Failure(t.name, reason) for t, reason in failures.items() if t.system == system.name),
        parameters=count_parameters(preset, study.registry, len(study.dataset.classes)),
        reported=Reported(figures.auc, figures.acc, figures.source) if figures else None,
        data=system.data.name if system.data else "",
    )


def _comparisons(pooled: Mapping[str, Pooled], reference: str) -> dict[str, Comparison]:
    """Every other system against the reference, the p-values corrected for their number."""
    if reference not in pooled:
        return {}
    made = {name: compare(each, pooled[reference]) for name, each in pooled.items() if name != reference}
    found = {name: comparison for name, comparison in made.items() if comparison}
    for test in ("delong", "mcnemar"):
        p = {
            name: getattr(c, f"{test}_p") for name, c in found.items() if getattr(c, f"{test}_p") is not None
        }
        for name, corrected in zip(p, holm(list(p.values())), strict=True):
            found[name] = replace(found[name], **{f"{test}_holm": corrected})
    return found


def _is_tested(study: Study, exam: str) -> bool:
    return any(split[exam] == "test" for split in study.splits.values())


def _data_of(system: SystemSettings, study: PreparedDataset) -> PreparedDataset:
    if system.data is None:
        return study
    dataset = PreparedDataset.open(system.data)
    check_same_exams(system, dataset, study)
    return dataset


def _notes(study: Study) -> tuple[str, ...]:
    notes = []
    if len(study.dataset.classes) > 2:
        notes.append("systems are compared in pairs where there are two classes only")
    if any(system.data for system in study.settings.systems):
        notes.append(
            "gaze agreement and localisation are measured on the gaze and masks of a system's own data"
        )
    return tuple(notes)
