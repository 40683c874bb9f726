"""Calls at a threshold: how many of each class were called what, and the rates of two classes with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazekit.measures.intervals import Interval, patient_bootstrap
from gazekit.measures.pooled import Pooled
from gazekit.records.arrays import Floats
from gazekit.reporting.run.cases import called_class

_STEPS = ((100, 1), (500, 2), (10**9, 5))
"""Up to so many exams, thresholds so many hundredths apart."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Truth against call.

    Args:
        threshold: above it the second of two classes is called; None for more classes.
        counts: ``[classes][classes]``, exams by truth and call.
        rates: of two classes, by name, with 95 % intervals over patients.
        origin: where the threshold comes from, in words.
        others: the same at other thresholds, in rising order and this one among them, for a reader to try; empty
            where there are none to try.
    """

    threshold: float | None
    counts: tuple[tuple[int, ...], ...]
    rates: dict[str, Interval]
    origin: str = ""
    others: tuple["Confusion", ...] = ()


def at_thresholds(pooled: Pooled, threshold: float, origin: str = "") -> Confusion:
    """The calls at a threshold, with those at the thresholds from 0.01 to 0.99, every one with its own intervals.

    Of many exams every second or fifth hundredth only: an interval takes the longer the more there are.
    """
    found = confusion(pooled, threshold, origin)
    if found.threshold is None:
        return found
    exams = len(pooled.labels)
    hundredths = next(step for most, step in _STEPS if exams <= most)
    tried = [n / 100 for n in range(hundredths, 100, hundredths)]
    nearest = min(tried, key=lambda each: abs(each - threshold))
    known = {
        found.counts: found
    }  # rising thresholds change one call after the other: equal counts, equal calls
    others = []
    for each in tried:
        if each == nearest:
            others.append(found)
            continue
        counts = _counts(pooled.labels, called_class(pooled.probabilities, each), 2)
        if counts not in known:
            known[counts] = confusion(pooled, each)
        others.append(replace(known[counts], threshold=each, origin=""))
    return replace(found, others=tuple(others))


def confusion(pooled: Pooled, threshold: float, origin: str = "") -> Confusion:
    """Call every exam and count."""
    classes = pooled.probabilities.shape[1]
    called = called_class(pooled.probabilities, threshold)
    counts = _counts(pooled.labels, called, classes)
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


def _counts(
    labels: NDArray[np.int64], called: NDArray[np.int64], classes: int
) -> tuple[tuple[int, ...], ...]:
    table = np.zeros((classes, classes), dtype=int)
    np.add.at(table, (labels, called), 1)
    return tuple(tuple(map(int, row)) for row in table)


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
