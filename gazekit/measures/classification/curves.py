"""ROC, precision-recall, calibration and decision curves of a binary classification, with bands over patients."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gazekit.measures.classification.metrics import calibration_bins
from gazekit.measures.classification.pooled import Pooled
from gazekit.records.arrays import Floats

GRID: Floats = np.linspace(0, 1, 101)
"""Common grid: false positive rates of a ROC curve, recalls of a precision-recall curve."""
THRESHOLDS: Floats = np.arange(1, 100) / 100  # not linspace, whose 0.06 is above 0.06
"""Threshold probabilities of a decision curve."""
_AHEAD = 1e-7
"""Distance beyond a rate of the grid where a curve is read, so that it has the highest of the values at the rate."""
_RESAMPLES = 400


def is_binary(pooled: Pooled | None) -> bool:
    """Whether there are two classes and exams of both; otherwise there is no curve."""
    return pooled is not None and pooled.probabilities.shape[1] == 2 and len(set(pooled.labels.tolist())) == 2


def roc(pooled: Pooled, weights: Floats | None = None) -> Floats:
    """Return the true positive rate at the false positive rates of ``GRID``; ties are straight lines.

    Args:
        pooled: predictions of two classes, with exams of both.
        weights: weights of the exams, ``[N]``, 1 by default. Both classes need some weight.
    """
    hits, alarms = _counts(pooled, weights)
    rates = [np.concatenate(([0.0], counts / counts[-1])) for counts in (alarms, hits)]
    # of equal rates the last, highest one counts
    steps = rates[0] + np.linspace(0, _AHEAD / 2, len(rates[0]))
    return np.asarray(np.interp(GRID + _AHEAD, steps, rates[1]))


def precision_recall(pooled: Pooled, weights: Floats | None = None) -> Floats:
    """Return the precision at the recalls of ``GRID``, at the highest threshold that reaches the recall.

    The area under these steps is the average precision. Args as in `roc`.
    """
    hits, alarms = _counts(pooled, weights)
    reached = np.searchsorted(hits / hits[-1], GRID - 1e-9)
    # a threshold without weight has no precision; recall 0 takes the first one that exists
    first = int(np.argmax(hits + alarms > 0))
    at = np.maximum(reached, first)
    return np.asarray(hits[at] / (hits + alarms)[at])


def net_benefit(pooled: Pooled, weights: Floats | None = None) -> Floats:
    """Return the net benefit of treating the exams above each of ``THRESHOLDS``.

    With the share TP of all exams that are positive and above the threshold p, and FP that are negative and above it::

        NB(p) = TP - FP · p / (1 - p)

    To treat above p is to take the harm of treating a negative exam for p / (1 - p) of the benefit of treating a
    positive one. To treat nobody has a net benefit of 0; see `treat_all`. Args as in `roc`.

    Source: Vickers & Elkin 2006, doi:10.1177/0272989X06295361.
    """
    hits, alarms = (np.concatenate(([0.0], counts)) for counts in _counts(pooled, weights))
    scores = np.unique(pooled.probabilities[:, 1])
    above = len(scores) - np.searchsorted(scores, THRESHOLDS, side="right")
    return np.asarray((hits[above] - alarms[above] * _odds()) / (hits[-1] + alarms[-1]))


def treat_all(pooled: Pooled) -> Floats:
    """Return the net benefit of treating every exam, at ``THRESHOLDS``; it is 0 where p is the share of positives."""
    share = float((pooled.labels == 1).mean())
    return np.asarray(share - (1 - share) * _odds())


def band(curve: Callable[[Pooled, Floats | None], Floats], pooled: Pooled) -> tuple[Floats, Floats]:
    """Return the pointwise 2.5 % and 97.5 % quantiles of the curves of resampled patients."""
    # in order, each curve is sorted in one pass
    pooled = pooled.at(np.argsort(-pooled.probabilities[:, 1], kind="stable").tolist())
    _, patient = np.unique(pooled.patient_ids, return_inverse=True)
    number = int(patient.max()) + 1
    generator = np.random.default_rng(0)
    curves = []
    for _ in range(_RESAMPLES):
        weight = np.bincount(generator.integers(0, number, number), minlength=number)[patient].astype(float)
        if 0 < weight[pooled.labels == 1].sum() < weight.sum():
            curves.append(curve(pooled, weight))
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return low, high


@dataclass(frozen=True, slots=True)
class Bin:
    """Exams of similar probability: number, mean probability, share of positives, its 95 % interval."""

    exams: int
    stated: float
    observed: float
    low: float
    high: float


def calibration(probabilities: Floats, positive: NDArray[np.bool_]) -> list[Bin]:
    """Return the non-empty bins of the calibration error, lowest first, with Wilson's intervals.

    Args:
        probabilities: predicted probabilities, ``[N]``.
        positive: whether it came true, ``[N]``.
    """
    places = calibration_bins(probabilities)
    found = []
    for place in np.unique(places):
        inside = places == place
        count, hits = int(inside.sum()), int(positive[inside].sum())
        wilson = stats.binomtest(hits, count).proportion_ci(method="wilson")
        stated = float(probabilities[inside].mean())
        found.append(Bin(count, stated, hits / count, float(wilson.low), float(wilson.high)))
    return found


def _odds() -> Floats:
    return THRESHOLDS / (1 - THRESHOLDS)


def _counts(pooled: Pooled, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return the weight of positives and negatives called at each distinct score as threshold, highest first."""
    score, positive = pooled.probabilities[:, 1], pooled.labels == 1
    weight = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    hits, alarms = (np.cumsum((weight * of_class)[order])[ends] for of_class in (positive, ~positive))
    return hits, alarms
