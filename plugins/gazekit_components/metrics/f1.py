"""F1, the harmonic mean of precision and recall."""

import numpy as np

from gazekit.records.arrays import Floats, Integers
from gazekit_components.metrics.weighted_metric import WeightedMetric, confusion


class F1(WeightedMetric):
    """``2 TP / (2 TP + FP + FN)`` of the positive class; of several classes, the mean over those that exams have.

    A positive class that no exam has and none is called has none.
    """

    title = "F1"
    meaning = "harmonic mean of precision and recall (several classes: averaged over them)"
    higher_is_better = True
    scale = (0.0, 1.0)
    reads = "calls"

    def weighted(self, truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
        """Count calls ``[N, classes]`` by class."""
        table = confusion(truth, probabilities, weights)  # [R, truth, call]
        hits = np.diagonal(table, axis1=1, axis2=2)
        total = table.sum(axis=1) + table.sum(axis=2)
        found = np.divide(2 * hits, total, out=np.full_like(total, np.nan), where=total > 0)
        if probabilities.shape[1] == 2:
            return np.asarray(found[:, 1])
        there = table.sum(axis=2) > 0  # [R, classes]; a resample may lack one
        return np.asarray(np.where(there, found, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
