"""Compute statistics with each patient left out in turn, in one pass over the exams.

BCa intervals need the statistic once per patient. Computed one by one, the time grows with the square of the number of
patients; here each patient's exams are subtracted from existing sums. Every function but `one_by_one` takes the patient
of each exam ``[N]``, numbered from 0, and returns ``[P]``, NaN if the statistic does not exist without that patient.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Array, Booleans, Floats, Integers

LeavingOut = Callable[[Integers], Floats]
CELLS_PER_BATCH = 50_000
"""Weights held at once: they fit in the cache, which halves the time."""
MOST_TIMES = 2000
"""A statistic that knows no shorter way is computed that many times at most (ours)."""


def one_by_one(
    statistic: Callable[[Floats], Floats], patient: Integers, kind: Integers | None = None
) -> Floats:
    """Compute a statistic of weighted exams without each patient, one call for patients whose exams are alike.

    Of more than `MOST_TIMES` patients who are not alike, groups are left out instead of patients: group g has the
    patients g, g + `MOST_TIMES`, … BCa reads its acceleration from these values, the sum of their cubed deviations over
    that of the squared ones to the power 1.5, which independent patients and groups of them share, up to chance.

    Args:
        statistic: exam weights ``[R, N]`` to values ``[R]``.
        patient: of each exam, ``[N]``, numbered from 0.
        kind: of each exam, ``[N]``: exams of one kind may be exchanged. Without it no two are alike.

    Returns:
        ``[P]``, or ``[MOST_TIMES]`` of groups.
    """
    alike = np.arange(int(patient.max()) + 1) if kind is None else _alike(patient, kind)
    _, first, which = np.unique(alike, return_index=True, return_inverse=True)
    if len(first) > MOST_TIMES:
        patient, first = patient % MOST_TIMES, np.arange(MOST_TIMES)
        which = first
    rows = max(1, CELLS_PER_BATCH // len(patient))
    parts = [
        statistic((patient != first[start : start + rows, None]).astype(np.float64))
        for start in range(0, len(first), rows)
    ]
    return np.asarray(np.concatenate(parts)[which])


def _alike(patient: Integers, kind: Integers) -> Integers:
    """Number the patients ``[P]`` so that two with exams of the same kinds, equally many of each, have one number."""
    order = np.lexsort((kind, patient))
    kinds, ends = kind[order], np.cumsum(np.bincount(patient))
    numbers: dict[bytes, int] = {}
    return np.array(
        [
            numbers.setdefault(kinds[start:end].tobytes(), len(numbers))
            for start, end in itertools.pairwise([0, *ends.tolist()])
        ]
    )


def mean_without(values: NDArray[np.generic], patient: Integers) -> Floats:
    """Compute ``Σ v / N`` without each patient."""
    numbers = values.astype(np.float64)
    return ratio(numbers.sum() - _sums(patient, numbers), len(numbers) - _sums(patient))


def share_without(part: Booleans, whole: Booleans, patient: Integers) -> Floats:
    """Compute ``Σ part / Σ whole`` without each patient."""
    counts = (each.sum() - _sums(patient, each.astype(np.float64)) for each in (part, whole))
    return ratio(*counts)


def balanced_accuracy_without(labels: Integers, correct: Booleans, patient: Integers) -> Floats:
    """Average over the classes the share of exams called correctly, without each patient."""
    patients = patient.max() + 1
    recalls = []
    for label in np.unique(labels):
        of_class = labels == label
        own, hits = patient[of_class], correct[of_class].astype(np.float64)
        kept = len(own) - np.bincount(own, minlength=patients)
        recalls.append(ratio(hits.sum() - np.bincount(own, weights=hits, minlength=patients), kept))
    return np.asarray(np.mean(recalls, axis=0))


def calibration_error_without(gaps: Floats, bins: Integers, count: int, patient: Integers) -> Floats:
    """Compute ``Σ_bins |Σ gap| / N`` without each patient.

    Args:
        gaps: hit minus confidence of each exam, ``[N]``.
        bins: bin of each exam, ``[N]``, below ``count``.
        count: number of bins.
        patient: patient of each exam.
    """
    patients = patient.max() + 1
    own = np.bincount(patient * count + bins, weights=gaps, minlength=patients * count).reshape(
        patients, count
    )
    left = np.bincount(bins, weights=gaps, minlength=count) - own  # [P, bins]
    return ratio(np.abs(left).sum(axis=1), len(gaps) - _sums(patient))


def auc_without(positive: Booleans, scores: Floats, patient: Integers) -> Floats:
    """Compute the area under the ROC curve without each patient.

    From the pairs won, ``U = Σ [s⁺ > s⁻] + ½ [s⁺ = s⁻]``, subtract those with an exam of the patient and add back those
    between two of the patient's exams, which were subtracted twice.
    """
    patients = patient.max() + 1
    won = _wins(positive, scores)  # of each exam, against the exams of the other class
    pairs = won[positive].sum() - _sums(patient, won)
    for own in _with_both_classes(positive, patient):
        pairs[patient[own[0]]] += _wins(positive[own], scores[own])[positive[own]].sum()
    ones = positive.sum() - np.bincount(patient[positive], minlength=patients)
    zeros = (~positive).sum() - np.bincount(patient[~positive], minlength=patients)
    return ratio(pairs, ones.astype(np.float64) * zeros)


def average_precision_without(positive: Booleans, scores: Floats, patient: Integers) -> Floats:
    """Compute average precision ``Σ h_t f_t / (H c_t)`` without each patient.

    h are the positives at a distinct score t, f and c the positives and all exams from the highest score down to it.
    Below m exams of a patient, a of them positive, a term is ``h (f - a) / (c - m)``. The terms between two exams of a
    patient are therefore differences of running sums of ``h f / (c - m)`` and ``h / (c - m)``, one pair per m.
    """
    patients = int(patient.max()) + 1
    place, scored = _from_the_top(positive, scores)
    order = np.lexsort((place, patient))  # by patient, highest score first
    owner, at, is_positive = patient[order], place[order], positive[order].astype(np.float64)
    starts = np.searchsorted(owner, np.arange(patients))
    rank = np.arange(len(owner)) - starts[owner]  # rank of an exam among those of its patient
    running = np.cumsum(is_positive)
    # positives of the patient so far, with this one
    seen = running - (running[starts] - is_positive[starts])[owner]
    last = np.r_[(owner[1:] != owner[:-1]) | (at[1:] != at[:-1]), True]  # of a patient at one score
    follows = np.r_[(owner[1:] == owner[:-1]), False]
    # position of the patient's next exam, else the end
    until = np.where(follows, np.r_[at[1:], 0], len(scored.hits))
    exams = _ExamsByPatient(owner, at, is_positive, seen)
    total = np.zeros(patients)
    sums = _running(scored, 0)
    total += _between(sums, np.zeros(patients, dtype=np.int64), at[starts], np.zeros(patients))
    for taken in range(1, int(rank.max()) + 2):
        here = np.flatnonzero(last & (rank == taken - 1))
        if len(here) == 0:
            continue
        sums = _running(scored, taken)
        own, begin = owner[here], at[here]
        np.add.at(total, own, _between(sums, begin + 1, until[here], seen[here]))
        np.add.at(total, own, _at_own(scored, exams, here, taken))
    kept = positive.sum() - np.bincount(patient[positive], minlength=patients)
    return ratio(total, kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Counts at each distinct score, highest first, ``[T]``: its positives, all positives and all exams down to it."""

    hits: Floats
    found: Floats
    called: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _ExamsByPatient:
    """All exams ``[N]``, sorted by patient, then by score from the highest.

    Args:
        owner: patient.
        at: place of its score.
        is_positive: 1 or 0.
        seen: positives of its patient down to its score.
    """

    owner: Integers
    at: Integers
    is_positive: Floats
    seen: Floats


def _at_own(scored: _Scored, exams: _ExamsByPatient, here: Integers, taken: int) -> Floats:
    """Return the term at the score of a patient's exam, without the patient's exams at that score."""
    begin, own = exams.at[here], exams.owner[here]
    removed = np.zeros(len(here))
    back = here.copy()
    while True:  # loop over the exams of a patient at one score: few
        same = (back >= 0) & (exams.owner[back] == own) & (exams.at[back] == begin)
        if not same.any():
            break
        removed += np.where(same, exams.is_positive[back], 0)
        back = np.where(same, back - 1, -1)
    left = scored.called[begin] - taken
    found = scored.found[begin] - exams.seen[here]
    precision = np.divide(found, left, out=np.zeros(len(here)), where=left > 0)
    return np.asarray((scored.hits[begin] - removed) * precision)


def _running(scored: _Scored, taken: int) -> tuple[Floats, Floats]:
    """Return running sums, starting with zero, of ``h f / (c - m)`` and ``h / (c - m)``."""
    left = scored.called - taken
    weight = np.divide(scored.hits, left, out=np.zeros_like(scored.hits), where=left > 0)
    return np.r_[0, np.cumsum(weight * scored.found)], np.r_[0, np.cumsum(weight)]


def _between(sums: tuple[Floats, Floats], begin: Integers, end: Integers, positives: Floats) -> Floats:
    """Sum the terms from ``begin`` up to but excluding ``end``, with this many positives of the patient above."""
    with_found, alone = sums
    end = np.maximum(end, begin)
    return (with_found[end] - with_found[begin]) - positives * (alone[end] - alone[begin])


def _from_the_top(positive: Booleans, scores: Floats) -> tuple[Integers, _Scored]:
    """Return each exam's place by score, highest first, ``[N]``, and the counts at each place."""
    values, inverse = np.unique(scores, return_inverse=True)
    place = len(values) - 1 - inverse
    hits = np.bincount(place[positive], minlength=len(values)).astype(np.float64)
    called = np.cumsum(np.bincount(place, minlength=len(values))).astype(np.float64)
    return place, _Scored(hits, np.cumsum(hits), called)


def _wins(positive: Booleans, scores: Floats) -> Floats:
    """Count for a positive exam the negatives below it, for a negative the positives above it; ties count half."""
    won = np.empty(len(scores))
    ones, zeros = np.sort(scores[positive]), np.sort(scores[~positive])
    for mine, theirs, sign in ((positive, zeros, 1), (~positive, ones, -1)):
        below, up_to = (np.searchsorted(theirs, scores[mine], side=side) for side in ("left", "right"))
        won[mine] = (below + up_to) / 2 if sign > 0 else len(theirs) - (below + up_to) / 2
    return won


def _with_both_classes(positive: Booleans, patient: Integers) -> list[Integers]:
    """Return the exams of each patient who has both classes."""
    order = np.argsort(patient, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(patient[order])) + 1)
    return [group for group in groups if positive[group].any() and not positive[group].all()]


def _sums(patient: Integers, values: Floats | None = None) -> Floats:
    return np.bincount(patient, weights=values).astype(np.float64)


def ratio(numerator: Array, denominator: Array) -> Floats:
    """Divide; NaN if the divisor is 0."""
    quotient = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
