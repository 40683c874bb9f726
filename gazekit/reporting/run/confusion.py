"""Count calls at a threshold by class, and the rates of two classes with intervals."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazekit.measures.classification.likelihood_ratios import likelihood_ratios
from gazekit.measures.classification.metrics import rates
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class, share_above
from gazekit.measures.statistics.intervals import Interval, patient_bootstraps

_STEPS = ((100, 1), (500, 2), (10**9, 5))
"""(maximum number of exams, step between thresholds in hundredths)."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of truth against call.

    Args:
        threshold: the second of two classes is called above it; None for more classes.
        counts: ``[classes][classes]``, exams by truth and call.
        rates: for two classes, also their likelihood ratios, by name, with 95 % intervals over patients.
        origin: text that says where the threshold comes from.
        others: counts at other thresholds for the reader to try, in rising order, this one included; may be empty.
    """

    threshold: float | None
    counts: tuple[tuple[int, ...], ...]
    rates: dict[str, Interval]
    origin: str = ""
    others: tuple["Confusion", ...] = ()


def at_thresholds(pooled: Pooled, threshold: float, origin: str = "") -> Confusion:
    """Count calls at a threshold and at the thresholds from 0.01 to 0.99, each with intervals.

    With many exams only every second or fifth hundredth is used: intervals take longer.
    """
    found = confusion(pooled, threshold, origin)
    if found.threshold is None:
        return found
    exams = len(pooled.labels)
    hundredths = next(step for most, step in _STEPS if exams <= most)
    tried = [n / 100 for n in range(hundredths, 100, hundredths)]
    nearest = min(tried, key=lambda each: abs(each - threshold))
    # rising thresholds change one call after another, so equal counts mean equal calls
    known = {found.counts: found}
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
    found = {}
    if len(set(pooled.patient_ids)) > 1:
        found = patient_bootstraps(rates(pooled.labels == 1, called == 1), pooled.patient_ids)
        if len(set(pooled.labels.tolist())) == 2:
            found |= likelihood_ratios(pooled.labels == 1, called == 1, pooled.patient_ids)
    return Confusion(threshold, counts, found, origin)


def youden_threshold(pooled: Pooled) -> float:
    """Find the threshold of greatest sensitivity + specificity, halfway between adjacent probabilities.

    Of several it takes the one nearest to 0.5. Choose it on exams that are not reported.

    Source: Youden 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
    """
    scores, positive = pooled.probabilities[:, 1], pooled.labels == 1
    values = np.unique(scores)
    cuts = np.r_[values[0] / 2, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    youden = share_above(scores[positive], cuts) - share_above(scores[~positive], cuts)
    best = cuts[youden >= youden.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _counts(
    labels: NDArray[np.int64], called: NDArray[np.int64], classes: int
) -> tuple[tuple[int, ...], ...]:
    table = np.zeros((classes, classes), dtype=int)
    np.add.at(table, (labels, called), 1)
    return tuple(tuple(map(int, row)) for row in table)
