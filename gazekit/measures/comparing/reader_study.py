"""Compare two ways of reading by the scores of several readers, and plan how many readers and exams show a difference.

Readers and exams are both drawn from more of their kind: the model of Obuchowski and Rockette with the degrees of
freedom of Hillis. A reader is anyone who scores every exam in both ways: a person without and with a model, or a
network of another seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from gazekit.errors import DataError
from gazekit.records.arrays import Floats, Integers

_MOST = 100.0
"""Largest study that is planned, in multiples of the pilot's patients."""
_LEAST = 1e-12
"""Variance of AUCs below which there is none but that of rounding."""


@dataclass(frozen=True, eq=False)
class ReaderScores:
    """Scores of the same readers on the same exams in two ways.

    Args:
        labels: truth 0 or 1, ``[N]``.
        scores: ``[2, J, N]``: way, reader, exam.
        patients: patient of each exam, ``[N]``.
        readers: names, ``[J]``.
        ways: names of the two.
    """

    labels: Integers
    scores: Floats
    patients: Sequence[str]
    readers: Sequence[str]
    ways: tuple[str, str] = ("the first way", "the second")


@dataclass(frozen=True, slots=True)
class ReaderComponents:
    """Where the variance of readers' AUCs comes from.

    Args:
        readers, patients: of the pilot.
        aucs: means over readers of the first and the second way.
        interaction: variance over readers of the true difference, σ²_TR.
        error: variance of an AUC by the draw of exams, σ²_ε.
        cov1: covariance of one reader in two ways; ``cov2``: of two readers in one way; ``cov3``: of two in two.
        p: two-sided, of no difference, in the pilot.
    """

    readers: int
    patients: int
    aucs: tuple[float, float]
    interaction: float
    error: float
    cov1: float
    cov2: float
    cov3: float
    p: float


def auc_covariance(labels: Integers, scores: Floats, patients: Sequence[str]) -> tuple[Floats, Floats]:
    """Compute the AUCs ``[K]`` of K scores ``[K, N]`` of the same exams, and their covariance ``[K, K]``.

    From the structural components of the Mann-Whitney statistic, summed within patients.

    Raises:
        DataError: fewer than two patients of a class.

    Source: DeLong et al. 1988, doi:10.2307/2531595; clusters: Obuchowski 1997, doi:10.2307/2533958.
    """
    positive = np.asarray(labels) == 1
    number = np.unique(np.asarray(patients), return_inverse=True)[1]
    ones, zeros, all_of_them = (len(np.unique(number[part])) for part in (positive, ~positive, slice(None)))
    if min(ones, zeros) < 2:
        raise DataError(f"expected two patients of each class, found {zeros} negative and {ones} positive")
    ranks = stats.rankdata(scores, axis=1)
    above = (ranks[:, positive] - stats.rankdata(scores[:, positive], axis=1)) / (~positive).sum()
    below = 1 - (ranks[:, ~positive] - stats.rankdata(scores[:, ~positive], axis=1)) / positive.sum()
    of_ones, of_zeros = (
        np.stack([np.bincount(number[part], each - each.mean(), number.max() + 1) for each in components])
        / components.shape[1]
        for components, part in ((above, positive), (below, ~positive))
    )  # [K, P]
    both = of_ones @ of_zeros.T
    covariance = (
        ones / (ones - 1) * of_ones @ of_ones.T
        + zeros / (zeros - 1) * of_zeros @ of_zeros.T
        + all_of_them / (all_of_them - 1) * (both + both.T)
    )
    return above.mean(axis=1), covariance


def reader_components(pilot: ReaderScores) -> ReaderComponents:
    """Estimate the components of variance and test the difference of the two ways.

    ``F = MS(T) / (MS(TR) + max(J (Cov2 - Cov3), 0))`` on 1 and ``(MS(TR) + max(J (Cov2 - Cov3), 0))² / (MS(TR)² / (J -
    1))`` degrees of freedom.

    Raises:
        DataError: fewer than two readers, or than two patients of a class.

    Source: Obuchowski & Rockette 1995, doi:10.1080/03610919508813243; Hillis 2007, doi:10.1002/sim.2532.
    """
    ways, readers, exams = pilot.scores.shape
    if readers < 2:
        raise DataError(f"a reader study needs two readers or more, found {readers}")
    areas, covariance = auc_covariance(
        pilot.labels, pilot.scores.reshape(ways * readers, exams), pilot.patients
    )
    area = areas.reshape(ways, readers)
    parts = covariance.reshape(ways, readers, ways, readers)
    one, other = np.eye(readers, dtype=bool), ~np.eye(readers, dtype=bool)
    same = (parts[0, :, 0] + parts[1, :, 1]) / 2
    across = (parts[0, :, 1] + parts[0, :, 1].T) / 2
    error, cov1, cov2, cov3 = (float(x.mean()) for x in (same[one], across[one], same[other], across[other]))
    contrast = area[1] - area[0]
    ms_interaction = float(contrast.var(ddof=1)) / 2
    ms_way = readers * float(contrast.mean()) ** 2 / 2
    shared = max(readers * (cov2 - cov3), 0.0)
    below = ms_interaction + shared
    p = 1.0 if ms_way == 0 else 0.0
    if below > 0:
        freedom = below**2 / (ms_interaction**2 / (readers - 1)) if ms_interaction > 0 else math.inf
        p = float(
            stats.f.sf(ms_way / below, 1, freedom) if freedom < 1e6 else stats.chi2.sf(ms_way / below, 1)
        )
    return ReaderComponents(
        readers=readers,
        patients=len(set(pilot.patients)),
        aucs=(float(area[0].mean()), float(area[1].mean())),
        interaction=max(ms_interaction - error + cov1 + max(cov2 - cov3, 0.0), 0.0),
        error=error,
        cov1=cov1,
        cov2=cov2,
        cov3=cov3,
        p=p,
    )


def reader_power(
    found: ReaderComponents, *, difference: float, readers: int, patients: float, alpha: float = 0.05
) -> float:
    """Compute the power of a study of other numbers of readers and patients.

    ``λ = r d² / 2 / (σ²_TR + c (σ²_ε - Cov1 + (r - 1) max(Cov2 - Cov3, 0)))`` with r readers and c the pilot's patients
    over those of the study; the power is that of the F test with non-centrality λ.

    Args:
        found: components of the pilot.
        difference: of the two mean AUCs.
        readers, patients: of the study.
        alpha: level of the test.

    Raises:
        DataError: the pilot's ways differ without any variance.

    Source: Hillis et al. 2011, doi:10.1016/j.acra.2010.09.007.
    """
    share = found.patients / patients
    apart = max(found.cov2 - found.cov3, 0.0)
    below = found.interaction + share * (found.error - found.cov1 + (readers - 1) * apart)
    if below < _LEAST:
        raise DataError(
            "the two ways of the pilot's readers differ without any variance; expected scores of two ways that "
            "disagree on some exams: give those of two ways, or of more exams"
        )
    own = found.interaction + share * (found.error - found.cov1 - apart)
    freedom = min(below**2 / (max(own, _LEAST) ** 2 / (readers - 1)), 1e6)
    critical = stats.f.isf(alpha, 1, freedom)
    return float(stats.ncf.sf(critical, 1, freedom, readers * difference**2 / 2 / below))


def patients_needed(
    found: ReaderComponents, *, difference: float, readers: int, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Find the smallest number of patients that reaches a power; None if no study of 100 times the pilot's does.

    Args and Raises as in `reader_power`.
    """

    def lacking(patients: float) -> float:
        return power - reader_power(
            found, difference=difference, readers=readers, patients=patients, alpha=alpha
        )

    low, high = 4.0, _MOST * found.patients
    if lacking(high) > 0:
        return None
    return math.ceil(optimize.brentq(lacking, low, high, xtol=0.01)) if lacking(low) > 0 else int(low)
