"""One evaluation: classification, agreement of attention with gaze, localisation, each with its interval."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.data.prepared import PreparedDataset
from gazekit.evaluation.gaze_agreement import gaze_agreement
from gazekit.evaluation.localisation import localisation
from gazekit.evaluation.metrics import classification_metrics
from gazekit.evaluation.prediction import Predictions
from gazekit.evaluation.statistics import Interval, mean_interval

Metrics = dict[str, dict[str, Interval]]


def evaluate(
    dataset: PreparedDataset, predictions: Predictions, *, seed: int = 0, resamples: int = 2000
) -> Metrics:
    """Compare predictions with labels, gaze and lesion masks.

    Args:
        dataset: what was predicted.
        predictions: with attention maps if gaze agreement and localisation are wanted.
        seed, resamples: of the bootstrap over patients.

    Returns:
        ``classification`` and, where there are maps to compare with, ``gaze_agreement`` and ``localisation``:
        measure → mean over exams (an exam's views averaged) with its 95 % interval.
    """
    indices = predictions.indices
    patients = [dataset.patient_ids[i] for i in indices]
    metrics = {
        "classification": classification_metrics(
            predictions.probabilities, dataset.labels[indices], patients, seed=seed, resamples=resamples
        )
    }
    others = _fixations_by_view(dataset, predictions)

    def agreement(exam: int, view: str, attention: NDArray[np.float32]) -> dict[str, float] | None:
        column = dataset.views.index(view)
        if not dataset.has_gaze[exam, column]:
            return None
        own = others[view].get(exam)
        rest = [points for other, points in others[view].items() if other != exam]
        return gaze_agreement(
            attention,
            dataset.gaze[exam, column],
            own,
            np.concatenate(rest) if own is not None and rest else None,
        )

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


def _fixations_by_view(dataset: PreparedDataset, predictions: Predictions) -> dict[str, dict[int, Any]]:
    """View → exam → ``[F, 2]`` in prepared pixels, of all exams that were predicted."""
    return {
        view: {
            int(exam): np.concatenate([np.stack([each.x, each.y], axis=1) for each in readers])
            for exam in predictions.indices
            if (readers := dataset.fixations(int(exam), view))
        }
        for view in predictions.attention
    }


def _means(
    dataset: PreparedDataset,
    predictions: Predictions,
    measure: Callable[[int, str, NDArray[np.float32]], dict[str, float] | None],
    *,
    seed: int,
    resamples: int,
) -> dict[str, Interval]:
    """Each measure averaged over the views of an exam, then over exams; empty with fewer than two patients."""
    per_exam: list[dict[str, float]] = []
    patients: list[str] = []
    for row, exam in enumerate(predictions.indices):
        views = [measure(int(exam), view, maps[row]) for view, maps in predictions.attention.items()]
        found = [values for values in views if values]
        if found:
            names = found[0].keys()
            per_exam.append({name: float(np.mean([v[name] for v in found if name in v])) for name in names})
            patients.append(dataset.patient_ids[exam])
    if len(set(patients)) < 2:
        return {}
    return {
        name: mean_interval([values[name] for values in per_exam], patients, seed=seed, resamples=resamples)
        for name in per_exam[0]
        if all(name in values for values in per_exam)
    }
