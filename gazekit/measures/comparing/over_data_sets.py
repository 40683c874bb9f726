"""Compare a system with the reference with the data set as the independent unit.

``m_i`` is the mean of a measure over the splits and seeds of data set i, ``d_i = m_i(system) - m_i(reference)`` on the
same splits and seeds, ``i = 1 … n``:

    mean            d̄ = Σ d_i / n
    interval        d̄ ± t(n - 1, 0.975) · s / √n,    s² = Σ (d_i - d̄)² / (n - 1)
    sign flips      p = #{ε ∈ {-1, 1}ⁿ : |Σ ε_i d_i| ≥ |Σ d_i|} / 2ⁿ

The interval holds for differences that are about normal over data sets; p, for any that are symmetric around 0 when the
systems are equal, and it is never below 2 / 2ⁿ.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from gazekit.errors import DataError
from gazekit.measures.comparing.systems import Bounded
from gazekit.measures.statistics.intervals import Interval, unless_a_point
from gazekit.measures.statistics.permutation import permute_runs

Runs = Mapping[str, Mapping[tuple[str, int], float]]
"""Data set → split and seed of a run → value of a measure."""


@dataclass(frozen=True, slots=True)
class OverDataSets:
    """A system over data sets, and its difference to the reference.

    Args:
        data_sets: number with finished runs.
        value: mean over data sets, with the t interval; the bounds are NaN for one.
        compared: number of data sets in which both systems have finished runs of the same split and seed.
        difference: system minus reference over these; None for the reference itself, or without such runs.
        p: two-sided, by sign flips; None with fewer than two data sets.
        holm: the same, corrected by Holm for the systems of the study.
    """

    data_sets: int
    value: Bounded
    compared: int = 0
    difference: Bounded | None = None
    p: float | None = None
    holm: float | None = None


def over_data_sets(system: Runs, reference: Runs | None = None) -> OverDataSets | None:
    """Average a system's runs within each data set and compare data sets; None without runs.

    Args:
        system, reference: their runs; without a reference there is no difference.
    """
    means = [_mean(runs.values()) for runs in system.values() if runs]
    if not means:
        return None
    found = differences(system, reference) if reference is not None else []
    return OverDataSets(
        data_sets=len(means),
        value=t_interval(means),
        compared=len(found),
        difference=t_interval(found) if found else None,
        p=sign_flips(found) if len(found) > 1 else None,
    )


def differences(system: Runs, reference: Runs) -> list[float]:
    """Return the mean difference in each data set, over the runs that both systems have."""
    found = []
    for name, ours in system.items():
        theirs = reference.get(name, {})
        both = [ours[run] - theirs[run] for run in ours if run in theirs]
        if both:
            found.append(_mean(both))
    return found


def t_interval(values: Sequence[float]) -> Interval:
    """Average independent numbers, with Student's 95 % t interval; its bounds are NaN for a single one, or equal ones.

    Raises:
        DataError: there is none.

    Source: Student 1908, doi:10.2307/2331554.
    """
    if not values:
        raise DataError("a mean over data sets needs at least one")
    mean, number = _mean(values), len(values)
    if number == 1:
        return Interval(mean, math.nan, math.nan, "t")
    reach = float(stats.t.ppf(0.975, number - 1) * np.std(values, ddof=1) / math.sqrt(number))
    return unless_a_point(Interval(mean, mean - reach, mean + reach, "t"))


def sign_flips(values: Sequence[float]) -> float:
    """Return the two-sided p of the hypothesis that the values are symmetric around 0, by flipping their signs.

    Exact up to 14 values; of more, 20,000 random flips are tried.

    Source: Fisher 1935, The Design of Experiments.
    """
    return permute_runs([[value] for value in values], [[0.0]] * len(values))[1]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
