"""Calls at a threshold: how many of each class were called what, and the rates of two classes with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.evaluation.statistics import Floats, Interval, patient_bootstrap
from gazekit.report.cases import called_class
from gazekit.study.result import Pooled


@dataclass(frozen=True, slots=True)
class Confusion:
    """Truth against call.

    Args:
        threshold: above it the second of two classes is called; None for more classes.
        counts: ``[classes][classes]``, exams by truth and call.
        rates: of two classes, by name, with 95 % intervals over patients.
        origin: where the threshold comes from, in words.
    """

    threshold: float | None
    counts: tuple[tuple[int, ...], ...]
    rates: dict[str, Interval]
    origin: str = ""


def confusion(pooled: Pooled, threshold: float, origin: str = "") -> Confusion:
    """Call every exam and count."""
    classes = pooled.probabilities.shape[1]
    called = called_class(pooled.probabilities, threshold)
    table = np.zeros((classes, classes), dtype=int)
    np.add.at(table, (pooled.labels, called), 1)
    counts = tuple(tuple(map(int, row)) for row in table)
    if classes != 2:
        return Confusion(None, counts, {})
    return Confusion(threshold, counts, _rates(pooled.labels, called, pooled.patient_ids), origin)


def youden_threshold(pooled: Pooled) -> float:
    """The threshold of greatest sensitivity + specificity, halfway between the probabilities beside it.

    Of several the one nearest to 0.5. To be chosen on exams that are not reported on.

    Source: Youden 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """
    scores, positive = pooled.probabilities[:, 1], pooled.labels == 1
    values = np.unique(scores)
    cuts = np.r_[values[0] / 2, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    called = scores[None] > cuts[:, None]  # [cuts, N]
    youden = called[:, positive].mean(axis=1) - called[:, ~positive].mean(axis=1)
    best = cuts[youden >= youden.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _rates(
    labels: NDArray[np.int64], called: NDArray[np.int64], patients: Sequence[str]
) -> dict[str, Interval]:
    truth, call = labels == 1, called == 1
    shares = {
        "sensitivity": (truth & call, truth),
        "specificity": (~truth & ~call, ~truth),
        "positive_predictive_value": (truth & call, call),
        "negative_predictive_value": (~truth & ~call, ~call),
    }
    if len(set(patients)) < 2:
        return {}
    return {name: patient_bootstrap(_share(*parts), patients) for name, parts in shares.items()}


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    def statistic(weights: Floats) -> Floats:
        total = weights @ whole.astype(float)
        found = weights @ part.astype(float)
        return np.asarray(np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0))

    return statistic
