"""Evaluate predictions: classification, agreement of attention with gaze, localisation, each with its interval."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.measures.catalogue import CLASS_GROUP, READER_GROUP
from gazekit.measures.classification.metrics import classification_metrics
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.measures.gaze.observer_ceiling import share_interval
from gazekit.measures.images import MeasuredImages, MeasureOfImage
from gazekit.measures.offered import OfferedMetrics, measure_offered
from gazekit.measures.statistics.intervals import INTERVAL_METHOD, Interval, mean_intervals
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Floats, Integers

INTERVALS = (
    f"{INTERVAL_METHOD}; Student's t for likelihood ratios, calibration intercept and slope of two classes"
)
"""How the intervals of an evaluation are made, in words."""
Metrics = dict[str, dict[str, Interval]]
_SHARES = ("pointing_game",)
"""Measures that say whether something holds of an exam."""


def evaluate(
    dataset: PreparedDataset,
    predictions: Predictions,
    *,
    metrics: OfferedMetrics | None = None,
    by_class: bool = False,
    resamples: int = 2000,
) -> Metrics:
    """Compare predictions with labels, gaze and lesion masks.

    Args:
        dataset: the exams that were predicted.
        predictions: with attention maps if gaze agreement and localisation are wanted.
        metrics: those that plugins offer.
        by_class: compare attention with gaze and lesions in the exams of each class, too, where exams of the negative
            one are compared.
        resamples: of the bootstrap over patients.

    Returns:
        ``classification``, ``target_NAME`` for each further target (over the exams whose class is known, if they have
        two classes and two patients at least) and, if there are maps to compare with, ``gaze_agreement`` and
        ``localisation``; if scanpaths were predicted, and readers have some, ``scanpaths``. Each is measure → mean over
        exams (an exam's views averaged) with its 95 % interval. Measures that compare with fixations are averaged over
        the readers of an image; where several readers have names, ``reader_NAME`` has those of each, and ``in_CLASS``
        agreement and localisation in the exams of a class, if asked for. A predicted scanpath has no times, so only the
        places and order of theirs count.

    Raises:
        DataError: all exams are of one class.
    """
    indices = predictions.indices
    exams = pooled_of(dataset, predictions)
    if len(only := np.unique(exams.labels)) == 1:
        raise DataError(
            f"{dataset.root}: all {len(indices)} exams to measure are of the class '{dataset.classes[only[0]]}': "
            "metrics need at least two; evaluate exams that have both (--part, --data)"
        )
    measured = {
        "classification": measure_classes(
            exams, threshold=predictions.threshold, metrics=metrics, resamples=resamples
        )
    }
    measured |= _of_targets(dataset, predictions, metrics or {}, resamples=resamples)
    views = dict.fromkeys((*predictions.attention, *predictions.scanpaths))
    images = MeasuredImages(dataset, LookedAt.of(dataset, indices.tolist(), views))

    def over_exams(given: Mapping[str, NDArray[np.float32]], measure: MeasureOfImage) -> dict[str, Interval]:
        return _over_exams(dataset, indices, given, measure, resamples=resamples)

    attention = predictions.attention
    measured["gaze_agreement"] = over_exams(attention, images.gaze_agreement)
    measured["localisation"] = over_exams(attention, images.localisation)
    measured["scanpaths"] = over_exams(predictions.scanpaths, images.scanpath)
    if by_class and any(dataset.labels[exam] == 0 for exam, _ in images.found):
        for label, name in enumerate(dataset.classes):
            measured[f"{CLASS_GROUP}{name}"] = over_exams(attention, images.in_class(label))
    for reader in images.readers_worth_telling_apart():
        measured[f"{READER_GROUP}{reader}"] = over_exams(attention, images.of_reader(reader))
    return {name: found for name, found in measured.items() if found}


def pooled_of(dataset: PreparedDataset, predictions: Predictions) -> Pooled:
    """Combine predictions with truth and patient of each exam."""
    exams = predictions.indices
    return Pooled(
        exam_ids=[dataset.exam_ids[i] for i in exams],
        patient_ids=[dataset.patient_ids[i] for i in exams],
        labels=dataset.labels[exams],
        probabilities=np.asarray(predictions.probabilities, dtype=np.float64),
    )


def _of_targets(
    dataset: PreparedDataset, predictions: Predictions, metrics: OfferedMetrics, *, resamples: int
) -> Metrics:
    """Measure the further targets; the likeliest class is called."""
    found = {}
    everyone = pooled_of(dataset, predictions)
    for name, probabilities in predictions.further.items():
        truth = dataset.targets[name][predictions.indices]
        exams = replace(everyone, labels=truth, probabilities=np.asarray(probabilities, dtype=np.float64))
        exams = exams.at(np.flatnonzero(truth >= 0).tolist())
        if len(np.unique(exams.labels)) > 1 and len(set(exams.patient_ids)) > 1:
            found[f"target_{name}"] = measure_classes(exams, metrics=metrics, resamples=resamples)
    return found


def measure_classes(
    exams: Pooled,
    *,
    threshold: float = 0.5,
    metrics: OfferedMetrics | None = None,
    resamples: int = 2000,
) -> dict[str, Interval]:
    """Measure a classification by the core's measures and those that plugins offer; see ``classification_metrics``."""
    called = called_class(exams.probabilities, threshold)
    return classification_metrics(
        exams.probabilities,
        exams.labels,
        exams.patient_ids,
        threshold=threshold,
        resamples=resamples,
    ) | measure_offered(metrics or {}, exams, called, resamples=resamples)


def _over_exams(
    dataset: PreparedDataset,
    indices: Integers,
    given: Mapping[str, NDArray[np.float32]],
    measure: MeasureOfImage,
    *,
    resamples: int,
) -> dict[str, Interval]:
    """Average each measure over an exam's views, then over exams; at least two patients are needed."""
    per_measure: dict[str, list[tuple[Floats, str]]] = {}
    for row, exam in enumerate(indices):
        views = [measure(int(exam), view, of_view[row]) for view, of_view in given.items()]
        for name in dict.fromkeys(name for values in views if values for name in values):
            of_exam = np.array([values[name] for values in views if values and name in values])
            per_measure.setdefault(name, []).append((of_exam.mean(axis=0), dataset.patient_ids[exam]))
    found: dict[str, Interval] = {}
    means: dict[tuple[str, ...], dict[str, Floats]] = {}  # of the same patients, to resample these once
    for name, pairs in per_measure.items():
        values, patients = np.array([value for value, _ in pairs]), tuple(patient for _, patient in pairs)
        if len(set(patients)) < 2:
            continue
        if values.ndim == 2:
            found[name] = share_interval(values, patients, resamples=resamples)
        else:
            means.setdefault(patients, {})[name] = values
    for patients, of_patients in means.items():
        found |= mean_intervals(of_patients, patients, shares=_SHARES, resamples=resamples)
    return {name: found[name] for name in per_measure if name in found}
