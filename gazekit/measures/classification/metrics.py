"""Measures of classification; metrics take exam weights, so a bootstrap is one call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.measures.classification.likelihood_ratios import likelihood_ratios
from gazekit.measures.classification.recalibration import recalibration
from gazekit.measures.statistics.intervals import (
    Interval,
    Statistic,
    pairs_of_patients,
    patient_bootstraps,
    patients_with,
)
from gazekit.measures.statistics.leaving_out import (
    auc_without,
    average_precision_without,
    balanced_accuracy_without,
    calibration_error_without,
    mean_without,
    ratio,
    share_without,
)
from gazekit.records.arrays import Booleans, Floats, Integers

CALIBRATION_BINS = 10
"""Number of equal-width bins of the calibration error (ours): test parts in this field hold about a hundred exams."""


def auc(positive: Booleans, scores: Floats, weights: Floats) -> Floats:
    """Compute the area under the ROC curve, ``P(score⁺ > score⁻) + ½ P(score⁺ = score⁻)``.

    Args:
        positive: ``[N]``.
        scores: ``[N]``, higher means more likely positive.
        weights: ``[R, N]``, not negative.

    Returns:
        ``[R]``, NaN if a row gives weight to one class only.
    """
    return _Ranked.of(positive, scores).auc(weights)


def average_precision(positive: Booleans, scores: Floats, weights: Floats) -> Floats:
    """Compute average precision, ``Σ (R_t - R_t-1) P_t`` over the distinct scores as thresholds, highest first.

    Args and Returns as in `auc`; NaN if a row gives no weight to positives.
    """
    return _Ranked.of(positive, scores).average_precision(weights)


def balanced_accuracy(labels: Integers, correct: Booleans, weights: Floats) -> Floats:
    """Average over the classes in ``labels`` the share of their exams called correctly; ``[R]``."""
    recalls = []
    for label in np.unique(labels):
        of_class = weights[:, labels == label]
        recalls.append(ratio(of_class @ correct[labels == label], of_class.sum(axis=1)))
    return np.asarray(np.mean(recalls, axis=0))


def calibration_error(confidence: Floats, hit: Booleans, weights: Floats) -> Floats:
    """Compute the expected calibration error, ``Σ_bins |Σ w (hit - confidence)| / Σ w``; ``[R]``.

    Source: Guo et al. 2017, arXiv:1706.04599, with `CALIBRATION_BINS` equal-width bins.
    """
    member = calibration_bins(confidence)[:, None] == np.arange(CALIBRATION_BINS)  # [N, bins]
    gaps = weights @ (member * (hit - confidence)[:, None])  # [R, bins]
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def classification_metrics(
    probabilities: NDArray[np.floating],
    labels: Integers,
    patients: Sequence[str],
    *,
    threshold: float = 0.5,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Interval]:
    """Compute every classification metric with its 95 % interval over patients.

    Two classes: column 1 is the positive class, called above the threshold by ``accuracy`` and `rates`; ``brier`` is
    the mean of ``(p - y)²``; ``calibration_error`` bins p. More classes: ``auc`` and ``average_precision`` are macro
    one-vs-rest over the classes present; the highest probability is called; ``brier`` sums over classes;
    ``calibration_error`` bins the probability of the called class. A resample without one of the classes present has
    no AUC: it is skipped and counted in ``Interval.undefined``.

    Args:
        probabilities: ``[N, C]``, C ≥ 2, rows sum to 1; never logits.
        labels: truth, ``[N]``, in ``0 … C - 1``.
        patients: patient of each exam, ``[N]``.
        threshold: the second of two classes is called above it.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        ``auc``, ``accuracy``, ``balanced_accuracy``, ``average_precision``, ``brier``, ``calibration_error``; of two
        classes also those of `rates`, `likelihood_ratios` and `recalibration`.

    Raises:
        DataError: one class only, fewer than two patients, or arrays of different lengths.
    """
    statistics = _statistics(probabilities, labels, threshold)
    if len(patients) != len(labels):
        raise DataError(f"{len(labels)} exams but {len(patients)} patients: expected one per exam")
    found = patient_bootstraps(statistics, patients, seed=seed, resamples=resamples)
    if probabilities.shape[1] != 2:
        return found
    positive, stated = np.asarray(labels) == 1, np.asarray(probabilities, dtype=np.float64)
    ratios = likelihood_ratios(positive, stated[:, 1] > threshold, patients)
    return found | ratios | recalibration(positive, stated, patients)


def area_under_roc(probabilities: NDArray[np.floating], labels: Integers) -> float:
    """Compute only the ``auc`` of `classification_metrics`, without its interval; same Args and Raises."""
    return float(_statistics(probabilities, labels)["auc"].of(np.ones((1, len(labels))))[0])


def _statistics(
    probabilities: NDArray[np.floating], labels: Integers, threshold: float = 0.5
) -> dict[str, Statistic]:
    truth = np.asarray(labels, dtype=np.int64)
    chances = np.asarray(probabilities, dtype=np.float64)
    _check(chances, truth)
    return _binary(chances, truth, threshold) if chances.shape[1] == 2 else _multiclass(chances, truth)


def _binary(chances: Floats, truth: Integers, threshold: float) -> dict[str, Statistic]:
    score, positive = chances[:, 1], truth == 1
    ranked = _Ranked.of(positive, score)
    called = score > threshold
    correct = called == positive
    return {
        "auc": Statistic(
            ranked.auc, partial(auc_without, positive, score), trials=pairs_of_patients(positive)
        ),
        "accuracy": _share_of(correct, np.ones_like(correct)),
        "balanced_accuracy": _mean_recall(truth, correct),
        "average_precision": Statistic(
            ranked.average_precision, partial(average_precision_without, positive, score)
        ),
        "brier": _mean_of((score - positive) ** 2),
        "calibration_error": _calibration_of(score, positive),
        **rates(positive, called),
    }


def rates(positive: Booleans, called: Booleans) -> dict[str, Statistic]:
    """Return sensitivity, specificity and both predictive values of calls, NaN where nothing is of that kind.

    Args:
        positive: ``[N]``.
        called: whether an exam is called positive, ``[N]``.
    """
    correct = called == positive
    wholes = {
        "sensitivity": positive,
        "specificity": ~positive,
        "positive_predictive_value": called,
        "negative_predictive_value": ~called,
    }
    return {name: _share_of(correct & whole, whole) for name, whole in wholes.items()}


def _multiclass(chances: Floats, truth: Integers) -> dict[str, Statistic]:
    present = np.unique(truth)
    ranked = [_Ranked.of(truth == c, chances[:, c]) for c in present]
    correct = chances.argmax(axis=1) == truth
    squares = ((chances - np.eye(chances.shape[1])[truth]) ** 2).sum(axis=1)

    def macro(of_class: "Callable[[_Ranked, Floats], Floats]", weights: Floats) -> Floats:
        return np.asarray(np.mean([of_class(each, weights) for each in ranked], axis=0))

    def macro_without(of_class: Callable[[Booleans, Floats, Integers], Floats], patient: Integers) -> Floats:
        return np.asarray(np.mean([of_class(truth == c, chances[:, c], patient) for c in present], axis=0))

    return {
        "auc": Statistic(
            partial(macro, _Ranked.auc),
            partial(macro_without, auc_without),
            trials=pairs_of_patients(*(truth == c for c in present)),
        ),
        "accuracy": _share_of(correct, np.ones_like(correct)),
        "balanced_accuracy": _mean_recall(truth, correct),
        "average_precision": Statistic(
            partial(macro, _Ranked.average_precision), partial(macro_without, average_precision_without)
        ),
        "brier": _mean_of(squares),
        "calibration_error": _calibration_of(chances.max(axis=1), correct),
    }


def _mean_of(values: NDArray[np.generic]) -> Statistic:
    return Statistic(partial(_mean, values), partial(mean_without, values))


def _share_of(part: Booleans, whole: Booleans) -> Statistic:
    return Statistic(
        partial(_share, part, whole), partial(share_without, part, whole), trials=patients_with(whole)
    )


def _mean_recall(truth: Integers, correct: Booleans) -> Statistic:
    return Statistic(
        partial(balanced_accuracy, truth, correct),
        partial(balanced_accuracy_without, truth, correct),
        trials=patients_with(*(truth == label for label in np.unique(truth))),
    )


def _calibration_of(confidence: Floats, hit: Booleans) -> Statistic:
    gaps, bins = hit - confidence, calibration_bins(confidence)
    return Statistic(
        partial(calibration_error, confidence, hit),
        partial(calibration_error_without, gaps, bins, CALIBRATION_BINS),
    )


def calibration_bins(confidence: Floats) -> Integers:
    """Number the bin ``[k / 10, (k + 1) / 10)`` of each probability ``[N]``, from 0; the last one holds 1, too."""
    edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS  # not linspace, whose 0.3 is above 0.3
    return np.searchsorted(edges, confidence, side="right")


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Exams in the order of their scores, lowest first, sorted once for all resamples.

    Args:
        order: places of the exams, ``[N]``.
        positive: in this order, ``[N]``.
        starts: where each of the T distinct scores begins, ``[T]``.
    """

    order: Integers
    positive: Booleans
    starts: Integers

    @classmethod
    def of(cls, positive: Booleans, scores: Floats) -> "_Ranked":
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        starts = np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]])
        return cls(order, positive[order], starts)

    def auc(self, weights: Floats) -> Floats:
        hits, misses = self._by_threshold(weights)
        below = np.cumsum(misses, axis=1) - misses
        return ratio((hits * (below + misses / 2)).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1))

    def average_precision(self, weights: Floats) -> Floats:
        hits, misses = (part[:, ::-1] for part in self._by_threshold(weights))  # highest first
        found = np.cumsum(hits, axis=1)
        called = found + np.cumsum(misses, axis=1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return ratio((hits * precision).sum(axis=1), hits.sum(axis=1))

    def _by_threshold(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the weight of positives and negatives at each distinct score, lowest first: two ``[R, T]``."""
        ordered = weights[:, self.order]
        hits = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        misses = np.add.reduceat(ordered * ~self.positive, self.starts, axis=1)
        return hits, misses


def _mean(values: NDArray[np.generic], weights: Floats) -> Floats:
    return ratio(weights @ values.astype(np.float64), weights.sum(axis=1))


def _share(part: Booleans, whole: Booleans, weights: Floats) -> Floats:
    return ratio(weights @ part.astype(np.float64), weights @ whole.astype(np.float64))


def _check(chances: Floats, truth: Integers) -> None:
    if chances.ndim != 2 or chances.shape[1] < 2:
        raise DataError(f"probabilities have shape {chances.shape}: expected [exams, classes ≥ 2]")
    if len(chances) != len(truth):
        raise DataError(
            f"{len(chances)} rows of probabilities but {len(truth)} labels: expected one per exam"
        )
    wrong = ~((chances >= 0) & (chances <= 1)).all(axis=1) | ~np.isclose(chances.sum(axis=1), 1, atol=1e-3)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"probabilities of row {row} are {chances[row].tolist()}: expected values in [0, 1] that sum to 1"
        )
    if np.any((truth < 0) | (truth >= chances.shape[1])):
        raise DataError(
            f"labels run from {truth.min()} to {truth.max()}: expected 0 to {chances.shape[1] - 1}"
        )
    if len(np.unique(truth)) < 2:
        raise DataError(
            f"all {len(truth)} exams have the label {truth[:1].tolist()}: metrics need at least two classes; "
            "evaluate on a split that holds both"
        )
