"""Collect the results of a study's finished runs."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from gazekit.errors import DataError
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.over_data_sets import OverDataSets, over_data_sets
from gazekit.measures.comparing.paired_tests import holm
from gazekit.measures.comparing.systems import Comparison, Difference, compare
from gazekit.measures.offered import OfferedMetrics, differences, offered_metrics
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import leak_of
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import preset_conflicts
from gazekit.study.data import fingerprints
from gazekit.study.folds import protocol
from gazekit.study.grid import RunTask
from gazekit.study.results.cost import count_parameters
from gazekit.study.results.dividing import divide_variance
from gazekit.study.results.evidence import evidence
from gazekit.study.results.gates import evaluate_gates
from gazekit.study.results.pooling import (
    RunRecord,
    by_data_set,
    compare_runs,
    estimates,
    of_targets,
    pool_data_sets,
    read_run,
)
from gazekit.study.results.result import DataSet, FailedRun, Reported, RunValues, StudyResult, SystemRow
from gazekit.study.settings import SystemSettings
from gazekit.study.study import Study
from gazekit.study.tuning.nested import in_words, tuned_runs

Failures = Mapping[RunTask, str]
"""Task → why it did not finish, in one line."""
_NO_CURVE = ("step", "best_epoch", "skipped_steps")
"""Keys of a line of ``metrics.jsonl`` that are no curve."""


def collect(
    study: Study, failures: Failures, *, ratios: Mapping[str, float] | None = None, paper: str = ""
) -> tuple[StudyResult, dict[str, Pooled]]:
    """Collect the results of the finished runs.

    Args:
        study: with some finished runs.
        failures: of the other runs.
        ratios: from ``step_times``; None: nothing was measured now, and those of the study's last results stay.
        paper: name under which presets store published figures; empty for none.

    Returns:
        The result, and the pooled predictions of every row with a finished run.
    """
    settings, sets = study.settings, study.data.sets
    ratios = _known_step_times(study) if ratios is None else ratios
    metrics = offered_metrics(study.registry)
    rows: dict[str, SystemRow] = {}
    pooled: dict[str, Pooled] = {}
    found: dict[str, list[RunRecord]] = {}
    finished = {system.name: study.finished(system.name) for system in settings.systems}
    for system in settings.systems:
        tasks = finished[system.name]
        records = [read_run(task.path) for task in tasks]
        row = _row(study, system, tasks, failures, paper)
        if settings.tune:
            space = settings.tune.space or study.presets[system.name].space
            row = replace(
                row,
                space=settings.tune.model_copy(update={"space": space}).model_dump(mode="json")["space"],
                tuned=tuned_runs(tasks),
            )
        if records:
            found[system.name] = records
            pooled[system.name] = pool_data_sets(sets, records)
            row = replace(
                row,
                runs=len(records),
                metrics=estimates(records, pooled[system.name], metrics=metrics),
                targets=of_targets(records),
                calibrated=sum(record.calibrated for record in records),
                explains_another=sum(record.explains_another for record in records),
            )
        rows[system.name] = replace(row, step_ratio=ratios.get(system.name))
    comparisons = _comparisons(pooled, found, settings.reference_name)
    differing = _differences(metrics, pooled, settings.reference_name)
    over_sets = _over_data_sets(found, settings.reference_name) if len(sets) > 1 else {}
    tested = [_tested(study, name) for name in sets]
    planned = {name: row.planned for name, row in rows.items()}
    result = StudyResult(
        title=settings.title,
        dataset=", ".join(dataset.root.resolve().name for dataset in sets.values()),
        fingerprint=fingerprints(sets),
        exams=sum(each.exams for each, _ in tested),
        patients=sum(each.patients for each, _ in tested),
        classes=dict(sum((classes for _, classes in tested), Counter())),
        protocol=protocol(study.dataset, settings, study.splits, study.presets[settings.reference_name]),
        folds=len(study.splits) // (len(sets) * settings.repeats),
        repeats=settings.repeats,
        seeds=settings.seeds,
        reference=settings.reference_name,
        rows=tuple(
            replace(
                row,
                comparison=comparisons.get(name),
                differences=differing.get(name, {}),
                over_data_sets=over_sets.get(name),
            )
            for name, row in rows.items()
        ),
        evidence=evidence(
            [task.path for task in chain.from_iterable(finished.values())],
            minutes=study.folder.read()["seconds"] / 60,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        ),
        changes=settings.changes,
        leak=_leaks(study, sets, finished),
        notes=_notes(study),
        reported=paper,
        tuning=in_words(settings.tune) if settings.tune else "",
        measures={name: metric.measure for name, metric in metrics.items()},
        data_sets=tuple(each for each, _ in tested) if len(sets) > 1 else (),
        variance=divide_variance(found, planned),
        gates=evaluate_gates(settings.gates, found, len(study.splits) * settings.seeds),
        run_values=tuple(
            _values(study, name, record) for name, records in found.items() for record in records
        ),
    )
    return result, pooled


def _tested(study: Study, name: str) -> tuple[DataSet, Counter[str]]:
    """Count the exams of a data set that are in a test part, and their classes."""
    dataset = study.data.sets[name]
    splits = [split for fold, split in study.splits.items() if study.data_of[fold] == name]
    exams = [i for i, exam in enumerate(dataset.exam_ids) if any(split[exam] == "test" for split in splits)]
    patients = len({dataset.patient_ids[i] for i in exams})
    classes = Counter(
        {each: int((dataset.labels[exams] == k).sum()) for k, each in enumerate(dataset.classes)}
    )
    return DataSet(name, dataset.fingerprint, len(exams), patients), classes


def _over_data_sets(
    records: Mapping[str, Sequence[RunRecord]], reference: str
) -> dict[str, OverDataSets | None]:
    """Compare every system with the reference over data sets, correcting p-values for their number."""
    runs = {name: by_data_set(found) for name, found in records.items()}
    found = {
        name: over_data_sets(ours, runs.get(reference) if name != reference else None)
        for name, ours in runs.items()
    }
    holms = _corrected({name: each.p for name, each in found.items() if each})
    return {name: replace(each, holm=holms.get(name)) if each else None for name, each in found.items()}


def _values(study: Study, system: str, record: RunRecord) -> RunValues:
    """Collect the values and the training curves of a run."""
    epochs = RunDirectory(record.path).read_metrics()
    keys = [key for key in dict.fromkeys(key for line in epochs for key in line) if key not in _NO_CURVE]
    return RunValues(
        system=system,
        data=record.name.data or next(iter(study.data.sets)),
        split_name=record.name.split_name,
        seed=record.name.seed,
        metrics=record.metrics,
        selected_epoch=epochs[-1]["best_epoch"],
        curves={key: [_five_digits(line.get(key)) for line in epochs] for key in keys},
    )


def _leaks(
    study: Study, sets: Mapping[str, PreparedDataset], finished: Mapping[str, Sequence[RunTask]]
) -> str:
    """Say how splits leak, and what initial weights had seen of their test parts; each once."""
    of_splits = {
        fold: str(leak_of(sets[study.data_of[fold]], split) or "") for fold, split in study.splits.items()
    }
    found = dict.fromkeys(of_splits.values())
    for task in chain.from_iterable(finished.values()):
        leak = RunDirectory.open(task.path).facts().leak.removeprefix(of_splits[task.fold])
        found[leak.removeprefix("; ")] = None
    return "; ".join(filter(None, found))


def _five_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _known_step_times(study: Study) -> dict[str, float]:
    """Read the step times that the study's last results hold, if those are relative to the same reference."""
    try:
        last = StudyResult.read(study.folder.path / "results.json")
    except DataError:  # none yet, or damaged: they are written again
        return {}
    if last.reference != study.settings.reference_name:
        return {}
    return {row.name: row.step_ratio for row in last.rows if row.step_ratio is not None}


def _row(
    study: Study, system: SystemSettings, finished: Sequence[RunTask], failures: Failures, paper: str
) -> SystemRow:
    preset = study.presets[system.name]
    figures = preset.reported.get(paper)
    if figures and preset_conflicts(study.registry.preset(system.preset).named(system.name), preset):
        figures = None  # the preset was changed: published figures no longer apply
    facts = [RunDirectory.open(task.path).facts() for task in finished]
    starts = dict.fromkeys(each.initial_weights for each in facts)
    return SystemRow(
        name=system.name,
        preset=system.preset.rsplit("/", 1)[-1],
        runs=0,
        planned=sum(task.system == system.name for task in study.tasks),
        group=system.group,
        select=preset.training.select,
        changes=system.changes,
        stand_in=preset.stand_in,
        starts=tuple(starts) if len(starts) > 1 else (),
        failures=tuple(
            FailedRun(t.name, reason) for t, reason in failures.items() if t.system == system.name
        ),
        parameters=count_parameters(
            preset, study.registry, study.trained_on(system.name, next(iter(study.splits)))
        ),
        reported=Reported(figures.auc, figures.acc, figures.source) if figures else None,
        data=", ".join(_named(name, own) for name, own in study.data.controls.get(system.name, {}).items()),
    )


def _named(name: str, control: PreparedDataset) -> str:
    """Name a control so that it differs from the data set ``name`` that it replaces."""
    root = control.root
    return f"{root.parent.name}/{root.name}" if root.name == name else root.name


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


def _notes(study: Study) -> tuple[str, ...]:
    notes = []
    if len(study.dataset.classes) > 2:
        notes.append("AUCs and ACCs are compared in pairs only for two classes")
    if any(system.data for system in study.settings.systems):
        notes.append(
            "gaze agreement and localisation are measured on the gaze and masks of a system's own data"
        )
    return tuple(notes)
