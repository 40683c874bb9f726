"""Evaluate a run and write ``evaluation.json`` and ``predictions.csv`` of its test part into its directory.

Other parts, other data and the last weights have separate files, ``evaluation_val.json``, ``evaluation_last.json``,
``evaluation_all_1a2b3c4d.json`` (with the beginning of the data's fingerprint), so readers of a run or study always
find the selected weights on the test part under the plain names.
"""

import hashlib
import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from gazekit.errors import DataError
from gazekit.measures.catalogue import SUBGROUP, UNIT_GROUP
from gazekit.measures.classification.threshold import separates_nothing
from gazekit.measures.evaluate import INTERVALS, Metrics, evaluate
from gazekit.measures.former_names import with_former_names
from gazekit.measures.limits import limits_of
from gazekit.measures.offered import offered_metrics
from gazekit.measures.subgroups import Subgroup, groupings, limits_of_subgroups, measure_subgroups
from gazekit.measures.units import How, Per, pooled_metrics
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import as_csv
from gazekit.records.arrays import Integers
from gazekit.records.labels import positive_of
from gazekit.runs.files import Evaluation, read_evaluation
from gazekit.runs.flattery import flattery
from gazekit.runs.trained import Progress, Trained


def evaluate_run(
    trained: Trained,
    dataset: PreparedDataset,
    part: str,
    *,
    resamples: int = 2000,
    per: Per | None = None,
    pool: How = "max",
    by: Sequence[str] = (),
    report: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """Predict one part of a data set, compare with the truth, write both files and return the content of the first.

    What an earlier call measured of the same predictions by other groups and units stays in the file.

    Args:
        trained: the run.
        dataset: the training data, or other data with ``part = "all"``.
        part: ``train``, ``val``, ``test`` or ``all``.
        resamples: number of bootstrap resamples over patients.
        per, pool: also measure sides or patients, and pool their exams so; see ``pooled_metrics``.
        by: also measure groups of exams separately; see ``groupings``.
        report: told the exams predicted and their number.
    """
    grouped = groupings(dataset, by)
    assert dataset.is_checked
    predictions = trained.predict(dataset, part, report=report)
    offered = offered_metrics(trained.registry)
    metrics = evaluate(
        dataset,
        predictions,
        metrics=offered,
        by_class=trained.explains_another,
        resamples=resamples,
    )
    if per is not None:
        by_unit = pooled_metrics(dataset, predictions, per, pool, metrics=offered, resamples=resamples)
        metrics = {
            "classification": metrics["classification"],
            f"{UNIT_GROUP}{per}_by_{pool}": by_unit,
            **metrics,
        }
    subgroups = measure_subgroups(dataset, predictions, grouped, metrics=offered, resamples=resamples)
    metrics |= {f"{SUBGROUP}{name}": dict(own.measures) for name, own in subgroups.items() if own.measures}
    record = _record(trained, dataset, predictions, metrics, part)
    record["subgroups"] = {f"{SUBGROUP}{name}": _counts(own, dataset) for name, own in subgroups.items()}
    measures, table = trained.run.evaluation_of(
        part, trained.weights.which, trained.other_than_training(dataset)
    )
    text = _predictions_csv(dataset, predictions)
    record |= {"files": [measures.name, table.name], "trained": trained.run.identity()}
    record["table"] = hashlib.sha256(text.encode()).hexdigest()
    _keep(measures, record, [own.by for own in grouped])
    record["limits"] += limits_of_subgroups(record["subgroups"], record["metrics"])
    trained.run.write_text(table.name, text)
    trained.run.write_json(measures.name, Evaluation(**record).model_dump(by_alias=True))
    return record


def _keep(path: Path, record: dict[str, Any], measured: Collection[str]) -> None:
    """Take over the groups and units that an earlier evaluation of the same predictions measured and this one did not.

    Args:
        path: the earlier evaluation, if there is one.
        record: the content of the new one.
        measured: names by which it groups exams.
    """
    try:
        before = read_evaluation(path)
    except DataError:  # none, or damaged, or of another version
        return
    if before["trained"] not in ("", record["trained"]):
        return
    old = {name: each for name, each in before["subgroups"].items() if each["by"] not in measured}
    kept = [name for name in before["metrics"] if name in old or name.startswith(UNIT_GROUP)]
    kept = [name for name in kept if name not in record["metrics"]]
    same = ("trained", "table", "called_above", "data")
    if all(before[key] == record[key] for key in same):
        record["metrics"] |= {name: before["metrics"][name] for name in kept}
        record["subgroups"] |= {name: each for name, each in old.items() if name not in record["subgroups"]}
    elif old or kept:
        names = dict.fromkeys(old[name]["by"] if name in old else name for name in [*old, *kept])
        warnings.warn(
            f"{path}: left out, because the predictions are not known to be the same: {', '.join(names)}; measure them "
            "again with --by and --per",
            stacklevel=3,
        )


def _record(
    trained: Trained, dataset: PreparedDataset, predictions: Predictions, metrics: Metrics, part: str
) -> dict[str, Any]:
    """Return the content of the file as plain values; a number that could not be computed is null."""
    labels = dataset.labels[predictions.indices]
    binary = predictions.probabilities.shape[1] == 2
    doubt = (
        separates_nothing(
            predictions.probabilities[:, 1],
            labels,
            dataset.classes,
            metrics["classification"].get("auc"),
            threshold=predictions.threshold,
        )
        if binary
        else ""
    )
    return {
        "preset": trained.facts.preset,
        "run": str(trained.run.path),
        "epoch": trained.weights.epoch,
        "weights": trained.weights.which,
        "chosen": trained.weights.why,
        "split": part,
        "data": dataset.fingerprint,
        "flattery": flattery(trained, dataset, part),
        "limits": limits_of(dataset, predictions, metrics, trained.preset.covariates),
        "exams": len(predictions.indices),
        "patients": len({dataset.patient_ids[i] for i in predictions.indices}),
        "classes": _classes(dataset, labels),
        "positive": positive_of(dataset.classes),
        "interval": f"95 %, {INTERVALS}",
        "leak": trained.facts.leak,
        "threshold": doubt,
        "called_above": predictions.threshold,
        "calibration": trained.calibration.words(),
        "metrics": {
            group: with_former_names(
                {
                    name: {"value": _number(i.value), "low": _number(i.low), "high": _number(i.high)}
                    for name, i in measures.items()
                }
            )
            for group, measures in metrics.items()
        },
    }


def _counts(subgroup: Subgroup, dataset: PreparedDataset) -> dict[str, Any]:
    exams = subgroup.exams
    return {
        "by": subgroup.by,
        "exams": len(exams.exam_ids),
        "patients": len(set(exams.patient_ids)),
        "classes": _classes(dataset, exams.labels),
    }


def _classes(dataset: PreparedDataset, labels: Integers) -> dict[str, int]:
    return {name: int((labels == number).sum()) for number, name in enumerate(dataset.classes)}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _predictions_csv(dataset: PreparedDataset, predictions: Predictions) -> str:
    labels = (dataset.classes[dataset.labels[exam]] for exam in predictions.indices)
    columns = ["exam_id", "patient_id", "label", *(f"p_{name}" for name in dataset.classes)]
    for target in predictions.further:
        columns += [target, *(f"{target}:p_{name}" for name in dataset.target_classes[target])]

    def further(row: int, exam: int) -> Iterator[str]:
        for target, probabilities in predictions.further.items():
            truth = dataset.targets[target][exam]
            yield dataset.target_classes[target][truth] if truth >= 0 else ""
            yield from map(_exact, probabilities[row])

    rows = (
        [dataset.exam_ids[exam], dataset.patient_ids[exam], label, *map(_exact, chances), *further(row, exam)]
        for row, (exam, label, chances) in enumerate(
            zip(predictions.indices, labels, predictions.probabilities, strict=True)
        )
    )
    return as_csv(columns, rows)


def _exact(probability: float) -> str:
    """Nine digits restore a float32 exactly."""
    return f"{probability:.9g}"
