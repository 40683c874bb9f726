"""Compare two systems on the same exams: AUC by DeLong, accuracy by McNemar; correct many comparisons by Holm.

The tests support two designs. Without ``patients`` exams count as independent, as in the classical papers. With
``patients`` the patient is the independent unit, and exams of one patient may be correlated. If every patient has one
exam, both give the same numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gazekit.errors import DataError
from gazekit.measures.classification.metrics import auc
from gazekit.measures.statistics.intervals import Interval, patient_bootstrap
from gazekit.records.arrays import Floats, Integers


@dataclass(frozen=True, slots=True)
class DeLong:
    """Comparison of two correlated AUCs: ``difference = auc_a - auc_b``, ``z`` its score, ``p`` two-sided."""

    auc_a: float
    auc_b: float
    difference: float
    z: float
    p: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Comparison of two accuracies: exams that only one system called correctly; ``p`` exact and two-sided."""

    only_a: int
    only_b: int
    p: float


def delong(
    labels: Sequence[int] | Integers,
    scores_a: Sequence[float] | Floats,
    scores_b: Sequence[float] | Floats,
    patients: Sequence[str] | None = None,
) -> DeLong:
    """Compare two AUCs measured on the same exams by DeLong's test.

    ``z = (auc_a - auc_b) / sqrt(var)``, var from the structural components of the Mann-Whitney statistic, summed
    within patients as in Obuchowski if ``patients`` are given. Equal scores give z = 0 and p = 1; a difference
    without any variance gives an infinite z and p = 0.

    Args:
        labels: truth 0 or 1, ``[N]``.
        scores_a, scores_b: any monotone scores of the two systems, ``[N]``.
        patients: patient of each exam, ``[N]``; without them exams count as independent, and if patients have several
            exams, the test finds differences that do not exist.

    Raises:
        DataError: a class with fewer than two exams (patients), or different lengths.

    Source: DeLong et al. 1988, doi:10.2307/2531595; by ranks as Sun & Xu 2014, doi:10.1109/LSP.2014.2337313;
        clusters: Obuchowski 1997, doi:10.2307/2533958.
    """
    positive = np.asarray(labels) == 1
    scores = np.stack([np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)])
    if scores.shape[1] != len(positive):
        raise DataError(f"{len(positive)} labels but {scores.shape[1]} scores: both need one entry per exam")
    patient = _numbered(patients, len(positive))
    ones, zeros = (len(np.unique(patient[part])) for part in (positive, ~positive))
    if min(ones, zeros) < 2:
        unit = "exams" if patients is None else "patients"
        raise DataError(
            f"DeLong's test needs at least two {unit} of each class, found {zeros} negative and {ones} positive"
        )

    ranks = stats.rankdata(scores, axis=1)  # [2, N], ties share their mean rank
    above = (ranks[:, positive] - stats.rankdata(scores[:, positive], axis=1)) / (~positive).sum()
    below = 1 - (ranks[:, ~positive] - stats.rankdata(scores[:, ~positive], axis=1)) / positive.sum()
    auc_a, auc_b = above.mean(axis=1)
    # The contrast (1, -1) is applied to the components: exact zero for equal scores, no cancellation.
    of_ones = _patient_means(above[0] - above[1], patient[positive], patient.max() + 1)
    of_zeros = _patient_means(below[0] - below[1], patient[~positive], patient.max() + 1)
    variance = (
        _unbiased(ones) * (of_ones @ of_ones)
        + _unbiased(zeros) * (of_zeros @ of_zeros)
        + 2 * _unbiased(patient.max() + 1) * (of_ones @ of_zeros)
    )
    difference = float(auc_a - auc_b)
    if variance > 0:
        z = difference / math.sqrt(variance)
    else:
        z = math.copysign(math.inf, difference) if difference else 0.0
    return DeLong(float(auc_a), float(auc_b), difference, z, float(2 * stats.norm.sf(abs(z))))


def auc_difference(
    labels: Sequence[int] | Integers,
    scores_a: Sequence[float] | Floats,
    scores_b: Sequence[float] | Floats,
    patients: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Compute ``auc_a - auc_b`` with its 95 % interval over patients: each resample scores both systems.

    Args:
        labels, scores_a, scores_b, patients: as in `delong`.
        seed, resamples: of the bootstrap.

    Raises:
        DataError: fewer than two patients.
    """
    positive = np.asarray(labels) == 1
    a, b = (np.asarray(scores, dtype=np.float64) for scores in (scores_a, scores_b))
    return patient_bootstrap(
        lambda weights: auc(positive, a, weights) - auc(positive, b, weights),
        patients,
        seed=seed,
        resamples=resamples,
        bounded=False,
    )


def mcnemar(
    correct_a: Sequence[bool], correct_b: Sequence[bool], patients: Sequence[str] | None = None
) -> McNemar:
    """Compare two accuracies measured on the same exams by McNemar's exact test.

    If the systems are equally good, every patient's (exam's) difference in correct calls is as likely as its
    negative. ``p`` is the chance that random signs give a total at least as far from 0: for single exams this is
    the binomial test of the discordant pairs. The exact test is conservative: with few discordant exams far fewer
    than 5 % of true null comparisons fall below 0.05.

    Args:
        correct_a, correct_b: whether each system called the exam correctly, ``[N]``.
        patients: patient of each exam, ``[N]``; without them exams count as independent.

    Raises:
        DataError: different lengths.

    Source: McNemar 1947, doi:10.1007/BF02295996.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if len(a) != len(b):
        raise DataError(f"{len(a)} exams of one system but {len(b)} of the other: expected the same exams")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    of_patient = np.bincount(_numbered(patients, len(a)), weights=a.astype(int) - b.astype(int))
    sizes, counts = np.unique(np.abs(of_patient[of_patient != 0]).astype(int), return_counts=True)

    chances = np.ones(1)  # of the total -reach … reach under random signs
    for size, count in zip(sizes, counts, strict=True):
        signs = np.zeros(2 * size * count + 1)
        signs[:: 2 * size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, signs)
    reach = len(chances) // 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(only_a - only_b)
    return McNemar(only_a, only_b, min(float(chances[as_far].sum()), 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that the chance of any false positive stays at the level.

    The i-th smallest of m becomes ``max_{j ≤ i} min(1, (m - j + 1) p_j)``. The order of the input is kept.

    Raises:
        DataError: a value outside [0, 1]; leave out comparisons that could not be made.

    Source: Holm 1979, https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p-values {p.tolist()}: expected numbers in [0, 1]; leave out what was not tested")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]


def _numbered(patients: Sequence[str] | None, exams: int) -> Integers:
    """Number the independent unit of each exam, ``[N]``: its patient, or the exam itself."""
    if patients is None:
        return np.arange(exams)
    if len(patients) != exams:
        raise DataError(f"{exams} exams but {len(patients)} patients: expected one per exam")
    return np.unique(np.asarray(patients), return_inverse=True)[1]


def _patient_means(contrast: Floats, patient: Integers, patients: int) -> Floats:
    """Return each patient's share ``[P]`` of the deviation of a class's mean contrast."""
    deviation = contrast - contrast.mean()
    return np.bincount(patient, weights=deviation, minlength=patients) / len(contrast)


def _unbiased(units: int) -> float:
    return units / (units - 1)
