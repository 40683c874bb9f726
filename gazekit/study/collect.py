"""Collect the results of a study's finished runs."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gazekit.measures.comparison import holm
from gazekit.measures.offered import OfferedMetrics, differences, offered_metrics
from gazekit.measures.pooled import Comparison, Difference, Pooled, compare
from gazekit.prepared.splits import leak_of
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import preset_conflicts
from gazekit.study.cost import count_parameters
from gazekit.study.evidence import evidence
from gazekit.study.folds import protocol
from gazekit.study.grid import RunTask
from gazekit.study.nested_tuning import in_words, tuned_runs
from gazekit.study.pooling import RunRecord, compare_runs, estimates, of_targets, pool, read_run
from gazekit.study.result import FailedRun, Reported, StudyResult, SystemRow
from gazekit.study.settings import SystemSettings
from gazekit.study.study import Study

Failures = Mapping[RunTask, str]
"""Task → why it did not finish, in one line."""


def collect(
    study: Study, failures: Failures, *, ratios: Mapping[str, float] | None = None, paper: str = ""
) -> tuple[StudyResult, dict[str, Pooled]]:
    """Collect the results of the finished runs.

    Args:
        study: with some finished runs.
        failures: of the other runs.
        ratios: from ``step_times``.
        paper: name under which presets store published figures; empty for none.

    Returns:
        The result, and the pooled predictions of every row with a finished run.
    """
    settings, dataset = study.settings, study.dataset
    metrics = offered_metrics(study.registry)
    rows: dict[str, SystemRow] = {}
    pooled: dict[str, Pooled] = {}
    found: dict[str, list[RunRecord]] = {}
    for system in settings.systems:
        runs = [task.path for task in study.finished(system.name)]
        records = [read_run(path) for path in runs]
        row = _row(study, system, runs, failures, paper)
        if settings.tune:
            space = settings.tune.space or study.presets[system.name].space
            row = replace(
                row,
                space=settings.tune.model_copy(update={"space": space}).model_dump(mode="json")["space"],
                tuned=tuned_runs(study.finished(system.name)),
            )
        if records:
            found[system.name] = records
            pooled[system.name] = pool(dataset, records)
            row = replace(
                row,
                runs=len(records),
                metrics=estimates(records, pooled[system.name], metrics=metrics),
                targets=of_targets(records),
            )
        rows[system.name] = replace(row, step_ratio=(ratios or {}).get(system.name))
    comparisons = _comparisons(pooled, found, settings.reference_name)
    differing = _differences(metrics, pooled, settings.reference_name)
    exams = [i for i, exam in enumerate(dataset.exam_ids) if _is_tested(study, exam)]
    result = StudyResult(
        title=settings.title,
        dataset=dataset.root.name,
        fingerprint=dataset.fingerprint,
        exams=len(exams),
        patients=len({dataset.patient_ids[i] for i in exams}),
        classes={name: int((dataset.labels[exams] == k).sum()) for k, name in enumerate(dataset.classes)},
        protocol=protocol(dataset, settings, study.splits, study.presets[settings.reference_name]),
        folds=len(study.splits) // settings.repeats,
        repeats=settings.repeats,
        seeds=settings.seeds,
        reference=settings.reference_name,
        rows=tuple(
            replace(row, comparison=comparisons.get(name), differences=differing.get(name, {}))
            for name, row in rows.items()
        ),
        evidence=evidence(
            [task.path for name in rows for task in study.finished(name)],
            minutes=study.folder.read()["seconds"] / 60,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        ),
        changes=settings.changes,
        leak="; ".join(
            dict.fromkeys(str(leak_of(dataset, s)) for s in study.splits.values() if leak_of(dataset, s))
        ),
        notes=_notes(study),
        reported=paper,
        tuning=in_words(settings.tune) if settings.tune else "",
        measures={name: metric.measure for name, metric in metrics.items()},
    )
    return result, pooled


def _row(
    study: Study, system: SystemSettings, runs: Sequence[Path], failures: Failures, paper: str
) -> SystemRow:
    preset = study.presets[system.name]
    figures = preset.reported.get(paper)
    if figures and preset_conflicts(study.registry.preset(system.preset).named(system.name), preset):
        figures = None  # the preset was changed: published figures no longer apply
    starts = {", ".join(run.facts().weights_origin): None for run in map(RunDirectory.open, runs)}
    return SystemRow(
        name=system.name,
        preset=system.preset.rsplit("/", 1)[-1],
        runs=0,
        planned=sum(task.system == system.name for task in study.tasks),
        changes=system.changes,
        stand_in=preset.stand_in,
        starts=tuple(starts) if len(starts) > 1 else (),
        failures=tuple(
            FailedRun(t.name, reason) for t, reason in failures.items() if t.system == system.name
        ),
        parameters=count_parameters(
            preset, study.registry, len(study.dataset.classes), study.dataset.target_classes
        ),
        reported=Reported(figures.auc, figures.acc, figures.source) if figures else None,
        data=system.data.name if system.data else "",
    )


def _comparisons(
    pooled: Mapping[str, Pooled], records: Mapping[str, list[RunRecord]], reference: str
) -> dict[str, Comparison]:
    """Compare every other system with the reference, correcting p-values for their number."""
    if reference not in pooled:
        return {}
    found: dict[str, Comparison] = {}
    for name, each in pooled.items():
        comparison = compare(each, pooled[reference]) if name != reference else None
        if comparison:
            difference, p = compare_runs(records[name], records[reference]) or (None, None)
            found[name] = replace(comparison, runs_difference=difference, runs_p=p)
    auc = _corrected({name: comparison.delong_p for name, comparison in found.items()})
    accuracy = _corrected({name: comparison.mcnemar_p for name, comparison in found.items()})
    runs = _corrected({name: comparison.runs_p for name, comparison in found.items()})
    return {
        name: replace(
            comparison,
            delong_holm=auc.get(name),
            mcnemar_holm=accuracy.get(name),
            runs_holm=runs.get(name),
        )
        for name, comparison in found.items()
    }


def _differences(
    metrics: OfferedMetrics, pooled: Mapping[str, Pooled], reference: str
) -> dict[str, dict[str, Difference]]:
    """Compare every other system with the reference by the metrics of plugins, correcting p-values for their number."""
    if reference not in pooled:
        return {}
    found = {
        name: differences(metrics, each, pooled[reference])
        for name, each in pooled.items()
        if name != reference
    }
    for metric in metrics:
        holms = _corrected({name: its[metric].p for name, its in found.items() if metric in its})
        for name, its in found.items():
            if metric in its:
                its[metric] = replace(its[metric], holm=holms.get(name))
    return found


def _corrected(p_values: Mapping[str, float | None]) -> dict[str, float]:
    tested = {name: p for name, p in p_values.items() if p is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def _is_tested(study: Study, exam: str) -> bool:
    return any(split[exam] == "test" for split in study.splits.values())


def _notes(study: Study) -> tuple[str, ...]:
    notes = []
    if len(study.dataset.classes) > 2:
        notes.append("systems are compared in pairs only for two classes")
    if any(system.data for system in study.settings.systems):
        notes.append(
            "gaze agreement and localisation are measured on the gaze and masks of a system's own data"
        )
    return tuple(notes)
