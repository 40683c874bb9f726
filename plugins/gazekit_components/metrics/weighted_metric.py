"""Base of metrics that measure many resamples at once, and the counts along a rising threshold that several need."""

from abc import ABC, abstractmethod

import numpy as np

from gazekit.records.arrays import Booleans, Floats, Integers


class WeightedMetric(ABC):
    """A metric whose value is that of exams with equal weights."""

    def __call__(self, truth: Integers, probabilities: Floats) -> float:
        """Measure predictions ``[N, classes]``."""
        return float(self.weighted(truth, probabilities, np.ones((1, len(truth))))[0])

    @abstractmethod
    def weighted(self, truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
        """Measure weighted exams: weights ``[R, N]`` to ``[R]``, NaN where it says nothing."""


def rates(positive: Booleans, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rate ``[R, T + 1]`` as the threshold falls over the T distinct scores.

    Both begin with 0, where nothing is called positive, and end with 1. NaN where a class has no weight.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    starts = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])
    found = []
    for of_class in (~positive, positive):
        called = np.cumsum(np.add.reduceat((weights * of_class)[:, order], starts, axis=1), axis=1)
        total = called[:, -1:]
        share = np.divide(called, total, out=np.full_like(called, np.nan), where=total > 0)
        found.append(np.pad(share, ((0, 0), (1, 0))))
    return found[0], found[1]


def confusion(truth: Integers, called: Floats, weights: Floats) -> Floats:
    """Weigh the exams of each truth and call: ``[R, classes, classes]``; ``called`` is 1 for the called class."""
    of_truth = np.eye(called.shape[1])[truth]
    return np.asarray(np.einsum("rn,nt,nc->rtc", weights, of_truth, called, optimize=True))


def nothing(weights: Floats) -> Floats:
    """NaN for each resample."""
    return np.full(len(weights), np.nan)
