"""Pool the probabilities of exams that belong together: those of one side of a patient, or of a patient."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.evaluate import measure_classes, pooled_of
from gazekit.measures.offered import OfferedMetrics
from gazekit.measures.statistics.intervals import Interval
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset

Per = Literal["side", "patient"]
How = Literal["max", "mean"]


def pooled_metrics(
    dataset: PreparedDataset,
    predictions: Predictions,
    per: Per,
    how: How,
    *,
    metrics: OfferedMetrics | None = None,
    resamples: int = 2000,
) -> dict[str, Interval]:
    """Measure the classification of sides or patients; the truth of one is the greatest class of its exams.

    Args:
        dataset: the exams that were predicted.
        predictions: of the exams.
        per: ``"side"`` pools the exams of one side of a patient (several images of a view), ``"patient"`` all of a
            patient.
        how: ``"max"`` takes the exam with the highest probability of the positive class, for two classes only;
            ``"mean"`` the mean of all.
        metrics: those that plugins offer.
        resamples: of the bootstrap over patients.

    Raises:
        ConfigurationError: the maximum of several classes.
        DataError: all have one class.
    """
    if how == "max" and len(dataset.classes) != 2:
        raise ConfigurationError(
            f"a maximum over exams needs two classes, and there are {len(dataset.classes)}; pool by the mean"
        )
    units = [_unit(dataset, int(exam), per) for exam in predictions.indices]
    together = pooled(units, pooled_of(dataset, predictions), how)
    if len(present := np.unique(together.labels)) == 1:
        raise DataError(
            f"all {len(together.labels)} {per}s are of the class '{dataset.classes[present[0]]}', the greatest of "
            "their exams: metrics need at least two; leave out --per"
        )
    return measure_classes(together, threshold=predictions.threshold, metrics=metrics, resamples=resamples)


def pooled(units: Sequence[tuple[str, str]], exams: Pooled, how: How) -> Pooled:
    """Pool exams of equal units, in order of appearance.

    Args:
        units: (patient, side) of each exam, ``[N]``.
        exams: N exams.
        how: see ``pooled_metrics``.
    """
    places = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    of = np.array([places[unit] for unit in units])
    found = np.zeros((len(places), exams.probabilities.shape[1]))
    if how == "max":
        np.maximum.at(found[:, 1], of, exams.probabilities[:, 1])
        found[:, 0] = 1 - found[:, 1]
    else:
        np.add.at(found, of, exams.probabilities)
        found /= np.bincount(of)[:, None]
    truth = np.zeros(len(places), dtype=np.int64)
    np.maximum.at(truth, of, exams.labels)
    return Pooled(
        [" ".join(unit).strip() for unit in places], [patient for patient, _ in places], truth, found
    )


def _unit(dataset: PreparedDataset, exam: int, per: Per) -> tuple[str, str]:
    """Patient and side; an exam of an unknown side stands alone."""
    patient = dataset.patient_ids[exam]
    if per == "patient":
        return patient, ""
    return patient, side_of(dataset, exam) or dataset.exam_ids[exam]


def side_of(dataset: PreparedDataset, exam: int) -> str:
    """The side of an exam; empty if none of its views says it, or they say two."""
    sides = {side for side in dataset.laterality[exam].values() if side}
    return sides.pop() if len(sides) == 1 else ""
