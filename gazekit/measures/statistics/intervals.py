"""Confidence intervals over patients."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import special

from gazekit.errors import DataError
from gazekit.measures.statistics.leaving_out import CELLS_PER_BATCH, LeavingOut, mean_without, one_by_one
from gazekit.records.arrays import Booleans, Floats, Integers

INTERVAL_METHOD = (
    "bootstrap over patients, exact for shares and AUCs of 0 or 1, none where resamples show nothing"
)
"""How intervals of means and shares are made, in words."""
WeightedStatistic = Callable[[Floats], Floats]
"""Exam weights ``[R, N]`` (how often each of N exams is in each of R resamples) to values ``[R]``."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval.

    Args:
        value: the estimate on the data.
        low, high: bounds of the interval; NaN when the estimate is undefined, and where resamples show nothing of other
            patients: they repeat one value, or the estimate is undefined without one of the patients.
        method: ``"BCa"``, ``"percentile"``, or, without resamples, ``"exact"`` (of a share that is 0 or 1) or ``"t"``
            (Student's).
        resamples: number of resamples that define the interval.
        undefined: number of resamples skipped because the statistic does not exist on them.
    """

    value: float
    low: float
    high: float
    method: str = "percentile"
    resamples: int = 0
    undefined: int = 0


def patient_bootstrap(
    statistic: WeightedStatistic,
    patients: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
    bounded: bool = True,
    leaving_out: LeavingOut | None = None,
) -> Interval:
    """Estimate the interval of a statistic by resampling patients, so that exams of one patient stay together.

    The interval is BCa if ``bounded``, if the statistic is defined on every resample and if BCa exists; else the
    percentile interval of the resamples where the statistic is defined (not NaN), widened for few patients.

    Args:
        statistic: exam weights ``[R, N]`` to values ``[R]``, NaN where undefined.
        patients: patient of each exam, ``[N]``.
        seed: equal seeds draw equal resamples of patients.
        resamples: number of resamples, at least 1.
        level: confidence level in (0, 1).
        bounded: whether the statistic may come near a bound, as an AUC may: its resamples are then skewed, which BCa
            corrects. A difference of two is not skewed; there the correction is noise and costs coverage
            (docs/statistics.md has the numbers), so False chooses the percentile interval.
        leaving_out: computes the statistic without each patient in one pass; without it the statistic is computed once
            for each, or for each of 2000 groups of patients where there are more.

    Raises:
        DataError: fewer than two patients.

    Source: BCa, Efron 1987, doi:10.1080/01621459.1987.10478410; the widened percentile interval, Hesterberg 2015,
        doi:10.1080/00031305.2015.1089789.
    """
    one = Statistic(statistic, leaving_out, bounded=bounded)
    (found,) = patient_bootstraps({"": one}, patients, seed=seed, resamples=resamples, level=level).values()
    return found


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic of weighted exams: see ``statistic``, ``leaving_out`` and ``bounded`` of `patient_bootstrap`.

    Args:
        of, leaving_out, bounded: as there.
        trials: for a share, or a mean of shares: from the patient of each exam ``[N]`` to the number of independent
            trials that had one outcome where the value is 0 or 1, see `patients_with` and `pairs_of_patients`. Every
            resample repeats such a value, and the interval is the exact one of so many trials.

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """

    of: WeightedStatistic
    leaving_out: LeavingOut | None = None
    bounded: bool = True
    trials: Callable[[Integers], int] | None = None


def patients_with(*wholes: Booleans) -> Callable[[Integers], int]:
    """Return a function that counts the patients who have an exam of a share; of a mean of shares, the fewest.

    The exact bound of the share with the fewest holds for the mean: some share is no larger than the mean, and it has
    at least as many patients.

    Args:
        wholes: the exams of each share, ``[N]``.
    """
    return lambda patient: min(len(np.unique(patient[whole])) for whole in wholes)


def pairs_of_patients(*positives: Booleans) -> Callable[[Integers], int]:
    """Return a function that counts the most pairs of a positive and a negative exam of which no two share a patient.

    Args:
        positives: the positive exams, ``[N]``; of a mean of AUCs those of each, and the fewest pairs count.
    """

    def pairs(positive: Booleans, patient: Integers) -> int:
        ones, zeros = (len(np.unique(patient[of_class])) for of_class in (positive, ~positive))
        return min(ones, zeros, len(np.unique(patient)) // 2)

    return lambda patient: min(pairs(positive, patient) for positive in positives)


def patient_bootstraps(
    statistics: Mapping[str, Statistic],
    patients: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Estimate the intervals of several statistics from the same resamples; each is that of `patient_bootstrap`.

    Args:
        statistics: name → statistic.
        patients, seed, resamples, level: as there.

    Raises:
        DataError: fewer than two patients.
    """
    if not statistics:
        return {}
    found = _resampled([each.of for each in statistics.values()], patients, seed=seed, resamples=resamples)
    return {
        name: _interval(statistic, found, row, level)
        for row, (name, statistic) in enumerate(statistics.items())
    }


def _interval(statistic: Statistic, found: "_Resampled", row: int, level: float) -> Interval:
    value, distribution = float(found.values[row]), found.distributions[row]
    if statistic.trials is not None and value in (0, 1):
        reach = ((1 - level) / 2) ** (1 / statistic.trials(found.patient_of_exam))
        low, high = (reach, 1.0) if value == 1 else (0.0, 1 - reach)
        return Interval(value, low, high, "exact")
    everywhere = bool(np.isfinite(distribution).all())
    if statistic.bounded and everywhere:
        with np.errstate(all="ignore"):
            low, high = _bca(value, distribution, _without_each(statistic, found), level)
        if np.isfinite([low, high]).all():
            return unless_a_point(Interval(value, low, high, "BCa", len(distribution)))
    interval = _percentile_of_defined(value, distribution, _widened(level, found.patients))
    if not everywhere and np.isnan(_without_each(statistic, found)).any():
        return replace(interval, low=math.nan, high=math.nan)
    return interval


def _without_each(statistic: Statistic, found: "_Resampled") -> Floats:
    others = statistic.leaving_out or partial(one_by_one, statistic.of)
    return others(found.patient_of_exam)


def unless_a_point(interval: Interval) -> Interval:
    """Take the bounds of an interval away if they are equal, up to rounding: no resample tells of other patients."""
    if interval.high - interval.low > 1e-12 * max(1.0, abs(interval.value)):
        return interval
    return replace(interval, low=math.nan, high=math.nan)


def paired_bootstrap(
    difference: WeightedStatistic, patients: Sequence[str], *, seed: int = 0, resamples: int = 2000
) -> tuple[Interval, float | None]:
    """Estimate a difference of two systems on the same exams: its 95 % interval over patients, and p of no difference.

    The interval is the percentile interval of `patient_bootstrap` with ``bounded=False``. p is two-sided and inverts
    it: 1 minus the level of the interval that ends at 0, so that p < 0.05 where the 95 % interval leaves 0 out. With
    the share s of resamples beyond 0 (their ties count half), ``p = 2 P(T > Φ⁻¹(1 - s) / √(n / (n - 1)))``, T of n - 1
    degrees of freedom; s is at least 1 / (resamples + 1). None if no resample has a difference.

    Args:
        difference: exam weights ``[R, N]`` to values ``[R]``, NaN where undefined.
        patients, seed, resamples: as in `patient_bootstrap`.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, 15.4; widened as the interval, Hesterberg 2015.
    """
    found = _resampled([difference], patients, seed=seed, resamples=resamples)
    (distribution,) = found.distributions
    interval = _interval(Statistic(difference, bounded=False), found, 0, 0.95)
    defined = distribution[np.isfinite(distribution)]
    if defined.size == 0:
        return interval, None
    below = (np.count_nonzero(defined < 0) + np.count_nonzero(defined <= 0)) / 2
    beyond = max(min(below, defined.size - below), defined.size / (defined.size + 1)) / defined.size
    reach = -special.ndtri(beyond) / math.sqrt(found.patients / (found.patients - 1))
    return interval, min(float(2 * special.stdtr(found.patients - 1, -reach)), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Resampled:
    """Statistics ``[S]``, also on resamples ``[S, R]``; the number of patients, the patient of each exam ``[N]``."""

    values: Floats
    distributions: Floats
    patients: int
    patient_of_exam: Integers


def _resampled(
    statistics: Sequence[WeightedStatistic], patients: Sequence[str], *, seed: int, resamples: int
) -> _Resampled:
    """Compute statistics on resamples of the patients. Raises DataError: fewer than two patients."""
    names, patient_of_exam = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"intervals need at least two patients, found {len(names)}: evaluate on more data")

    everyone = np.ones((1, len(patient_of_exam)))
    values = np.array([float(statistic(everyone)[0]) for statistic in statistics])
    generator, batch = np.random.default_rng(seed), max(1, CELLS_PER_BATCH // len(patient_of_exam))
    parts = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of what is not defined
        for first in range(0, resamples, batch):
            drawn = generator.integers(0, len(names), (min(batch, resamples - first), len(names)))  # [r, P]
            weights = _counts(drawn, len(names))[:, patient_of_exam]
            parts.append(np.stack([np.asarray(statistic(weights)) for statistic in statistics]))
    return _Resampled(values, np.concatenate(parts, axis=1), len(names), patient_of_exam)


def _bca(value: float, distribution: Floats, without: Floats, level: float) -> tuple[float, float]:
    """Compute the bias-corrected and accelerated interval; NaN if it does not exist.

    Args:
        value: the statistic.
        distribution: the statistic on resamples, ``[R]``.
        without: the statistic without each patient, or group of patients, ``[P]``.
        level: confidence level.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, 14.3; Eq. 15.36 for the acceleration.
    """
    below = np.count_nonzero(distribution < value) + np.count_nonzero(distribution <= value)
    bias = special.ndtri(below / (2 * len(distribution)))
    patients = len(without)
    influence = (patients - 1) * (without.mean() - without)
    acceleration = (influence**3).sum() / patients**3 / 6 / ((influence**2).sum() / patients**2) ** 1.5
    shifted = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    shares = special.ndtr(bias + shifted / (1 - acceleration * shifted))
    if not np.isfinite(shares).all():
        return math.nan, math.nan
    low, high = np.quantile(distribution, shares)
    return float(low), float(high)


def _widened(level: float, patients: int) -> float:
    """Return the level whose normal interval is as wide as the t interval of this many patients at the given level.

    The spread of resamples is too small by √((n - 1) / n), and their quantiles ignore Student's t.
    """
    reach = math.sqrt(patients / (patients - 1)) * special.stdtrit(patients - 1, (1 + level) / 2)
    return float(1 - 2 * special.ndtr(-reach))


def _counts(drawn: Integers, patients: int) -> Floats:
    """Count how often each patient was drawn: indices ``[R, P']`` to counts ``[R, P]``."""
    flat = drawn + patients * np.arange(len(drawn))[:, None]
    return np.bincount(flat.ravel(), minlength=len(drawn) * patients).reshape(-1, patients).astype(np.float64)


def _percentile_of_defined(value: float, distribution: Floats, level: float) -> Interval:
    defined = distribution[np.isfinite(distribution)]
    undefined = distribution.size - defined.size
    if defined.size == 0 or not math.isfinite(value):
        return Interval(value, math.nan, math.nan, undefined=undefined)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return unless_a_point(
        Interval(value, float(low), float(high), resamples=defined.size, undefined=undefined)
    )


def influence_interval(
    value: float, influence: Floats, positive: Booleans, patients: Sequence[str], *, least: float = 0.0
) -> Interval:
    """Return Student's 95 % t interval of a statistic from the influence of each exam, summed within patients.

    ``value ± t(P - 1, 0.975) √(P / (P - 1) Σ_p (Σ_i∈p u_i)²)`` over P patients; no interval where u is 0, or if
    a class has one patient, without whom there is no such statistic.

    Args:
        value: the statistic.
        influence: u, by how much each exam moves it, ``[N]``; their sum is 0.
        positive: truth, ``[N]``; both cases occur.
        patients: patient of each exam, ``[N]``.
        least: the variance is no smaller than this.

    Source: Liang & Zeger 1986, doi:10.1093/biomet/73.1.13.
    """
    owner = np.unique(np.asarray(patients), return_inverse=True)[1]
    if patients_with(positive, ~positive)(owner) < 2:
        return Interval(value, math.nan, math.nan, "t")
    of_patient = np.bincount(owner, weights=influence)
    number = len(of_patient)
    variance = max(number / (number - 1) * float(of_patient @ of_patient), least)
    reach = float(special.stdtrit(number - 1, 0.975)) * math.sqrt(variance)
    return unless_a_point(Interval(value, value - reach, value + reach, "t"))


def mean_interval(
    values: Sequence[float] | Floats,
    patients: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 2000,
    bounded: bool = True,
    is_share: bool = False,
) -> Interval:
    """Average one finite number per exam, with a 95 % interval over patients; arguments as in `patient_bootstrap`.

    The mean of a number that says whether something holds of an exam (``is_share``) has the exact interval if it holds
    of all or none; see `Statistic`.

    Raises:
        DataError: fewer than two patients, or a value that is not finite.
    """
    mean = _mean_of(np.asarray(values, dtype=np.float64), bounded=bounded, is_share=is_share)
    return patient_bootstraps({"": mean}, patients, seed=seed, resamples=resamples)[""]


def mean_intervals(
    values: Mapping[str, Sequence[float] | Floats],
    patients: Sequence[str],
    *,
    shares: Sequence[str] = (),
    resamples: int = 2000,
) -> dict[str, Interval]:
    """Average numbers per exam by name (some are ``shares``), each as in `mean_interval`, from the same resamples."""
    means = {
        name: _mean_of(np.asarray(each, dtype=np.float64), is_share=name in shares)
        for name, each in values.items()
    }
    return patient_bootstraps(means, patients, resamples=resamples)


def _mean_of(exams: Floats, *, bounded: bool = True, is_share: bool = False) -> Statistic:
    if not np.isfinite(exams).all():
        row = int(np.argmin(np.isfinite(exams)))
        raise DataError(f"value of row {row} is {exams[row]}: expected a number; leave that exam out")

    def mean(weights: Floats) -> Floats:
        return np.asarray(weights @ exams / weights.sum(axis=1))

    everyone = np.ones(len(exams), dtype=bool)
    trials = patients_with(everyone) if is_share else None
    return Statistic(mean, partial(mean_without, exams), bounded, trials)
