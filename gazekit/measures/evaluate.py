"""Evaluate predictions: classification, agreement of attention with gaze, localisation, each with its interval."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.measures.classification import classification_metrics
from gazekit.measures.gaze_agreement import fixation_counts, gaze_agreement
from gazekit.measures.intervals import Interval, mean_interval
from gazekit.measures.localisation import localisation
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset

Metrics = dict[str, dict[str, Interval]]


def evaluate(
    dataset: PreparedDataset, predictions: Predictions, *, seed: int = 0, resamples: int = 2000
) -> Metrics:
    """Compare predictions with labels, gaze and lesion masks.

    Args:
        dataset: the exams that were predicted.
        predictions: with attention maps if gaze agreement and localisation are wanted.
        seed, resamples: of the bootstrap over patients.

    Returns:
        ``classification`` and, if there are maps to compare with, ``gaze_agreement`` and ``localisation``:
        measure → mean over exams (an exam's views averaged) with its 95 % interval.
    """
    indices = predictions.indices
    patients = [dataset.patient_ids[i] for i in indices]
    metrics = {
        "classification": classification_metrics(
            predictions.probabilities, dataset.labels[indices], patients, seed=seed, resamples=resamples
        )
    }
    looked_at = _fixations_by_view(dataset, predictions)
    counts = {view: _all_counts(exams, dataset.size) for view, exams in looked_at.items()}

    def agreement(exam: int, view: str, attention: NDArray[np.float32]) -> dict[str, float] | None:
        column = dataset.views.index(view)
        if not dataset.has_gaze[exam, column]:
            return None
        own = looked_at[view].get(exam)
        rest = None
        if own is not None and len(looked_at[view]) > 1:
            rest = counts[view] - fixation_counts(own, dataset.size)
        return gaze_agreement(attention, dataset.heat_map(exam, view), own, rest)

    def location(exam: int, view: str, attention: NDArray[np.float32]) -> dict[str, float] | None:
        column = dataset.views.index(view)
        if not dataset.has_mask[exam, column]:
            return None
        return localisation(attention, dataset.masks[exam, column] > 0)

    for name, measure in {"gaze_agreement": agreement, "localisation": location}.items():
        found = _means(dataset, predictions, measure, seed=seed, resamples=resamples)
        if found:
            metrics[name] = found
    return metrics


def _all_counts(exams: Mapping[int, NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.int64]:
    """Count the fixations of all exams on each pixel, ``[H, W]``."""
    if not exams:
        return np.zeros(size, dtype=np.int64)
    return fixation_counts(np.concatenate(list(exams.values())), size)


def _fixations_by_view(dataset: PreparedDataset, predictions: Predictions) -> dict[str, dict[int, Any]]:
    """Map view → exam → ``[F, 2]``, the fixations inside the image in prepared pixels, for all predicted exams."""
    height, width = dataset.size
    found: dict[str, dict[int, Any]] = {view: {} for view in predictions.attention}
    for view, exam in itertools.product(predictions.attention, predictions.indices.tolist()):
        readers = [np.stack([each.x, each.y], axis=1) for each in dataset.fixations(exam, view)]
        points = np.concatenate([np.empty((0, 2)), *readers])
        inside = points[((points >= 0) & (points < (width, height))).all(axis=1)]
        if len(inside):
            found[view][exam] = inside
    return found


def _means(
    dataset: PreparedDataset,
    predictions: Predictions,
    measure: Callable[[int, str, NDArray[np.float32]], dict[str, float] | None],
    *,
    seed: int,
    resamples: int,
) -> dict[str, Interval]:
    """Average each measure over an exam's views, then over exams; at least two patients are needed."""
    per_measure: dict[str, list[tuple[float, str]]] = {}
    for row, exam in enumerate(predictions.indices):
        views = [measure(int(exam), view, maps[row]) for view, maps in predictions.attention.items()]
        for name in dict.fromkeys(name for values in views if values for name in values):
            of_exam = [values[name] for values in views if values and name in values]
            per_measure.setdefault(name, []).append((float(np.mean(of_exam)), dataset.patient_ids[exam]))
    return {
        name: mean_interval(*map(list, zip(*pairs, strict=True)), seed=seed, resamples=resamples)
        for name, pairs in per_measure.items()
        if len({patient for _, patient in pairs}) > 1
    }
