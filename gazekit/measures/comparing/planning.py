"""Plan how many exams show a difference of two AUCs, by simulation from the predictions of a pilot.

The pilot is the population: simulated studies draw its patients with replacement and test the difference as a study
does. The difference to be found is imposed on the scores, so that the pilot's own difference does not matter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse, stats

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.classification.metrics import auc
from gazekit.measures.comparing.paired_tests import delong
from gazekit.records.arrays import Booleans, Floats, Integers

Progress = Callable[[int, int], None]
_GRID = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Patients to simulate first, in multiples of the closed form's."""
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
_FEWEST = 6
_MOST = 10**6
_CELLS = 2_000_000
"""Pairs of exams held at once."""
_PILOTS = 200
"""Resampled pilots that give the interval of the closed form."""


@dataclass(frozen=True, eq=False)
class Pilot:
    """Scores of two systems on the same exams.

    Args:
        labels: truth 0 or 1, ``[N]``.
        reference, system: scores, such as logits, ``[N]``.
        patients: patient of each exam, ``[N]``.
    """

    labels: Integers
    reference: Floats
    system: Floats
    patients: Sequence[str]

    @property
    def aucs(self) -> tuple[float, float]:
        """AUC of the reference and of the system."""
        return _area(self.labels, self.reference), _area(self.labels, self.system)


@dataclass(frozen=True, slots=True)
class PowerAt:
    """Power of a study of a size.

    Args:
        patients: number drawn; ``exams``: their mean number of exams.
        power: share of simulated studies that found a difference.
        low, high: 95 % interval of the simulation (Wilson); it does not cover chance in the pilot.
        undefined: simulated studies without a test, because they lack a class; they count as finding nothing.
    """

    patients: int
    exams: float
    power: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True, slots=True)
class ExamPlan:
    """How many exams a study needs.

    Args:
        difference: imposed on the pilot; ``imposed`` is the one that its exams allow, a step away at most.
        auc_reference, auc_system: of the pilot, before the difference was imposed.
        power, alpha: of the study to plan.
        simulations: simulated studies per size.
        curve: power at every size that was simulated, the smallest first.
        needed: the size that reaches the power.
        closed_form: patients that the normal approximation asks for.
        closed_form_low, closed_form_high: the same from 95 % of resampled pilots: a small pilot says little.
        pilots: number of resampled pilots on which the difference could be imposed, of 200.
    """

    difference: float
    imposed: float
    auc_reference: float
    auc_system: float
    power: float
    alpha: float
    simulations: int
    curve: tuple[PowerAt, ...]
    needed: PowerAt
    closed_form: int
    closed_form_low: int
    closed_form_high: int
    pilots: int


def impose(pilot: Pilot, difference: float) -> Pilot:
    """Shift the system's scores of positive exams so that its AUC is that of the reference plus a difference.

    Args:
        pilot: with both classes.
        difference: ``AUC_system - AUC_reference``.

    Raises:
        ConfigurationError: no AUC can be so far from that of the reference.
    """
    goal = pilot.aucs[0] + difference
    if not 0 < goal < 1:
        raise ConfigurationError(
            f"a difference of {difference:+.3f} to a reference of AUC {pilot.aucs[0]:.3f} is an AUC of {goal:.3f}; "
            "expected one between 0 and 1: choose a smaller difference"
        )
    positive = pilot.labels == 1
    ones, zeros = pilot.system[positive], np.sort(pilot.system[~positive])

    def area(by: float) -> float:
        return (
            float(sum(np.searchsorted(zeros, ones + by, side=side).mean() for side in _SIDES))
            / 2
            / len(zeros)
        )

    high = float(np.ptp(pilot.system)) + 1.0
    low = -high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) < goal else (low, middle)
    found = min((low, high), key=lambda by: abs(area(by) - goal))
    return replace(pilot, system=pilot.system + found * positive)


def power_at(
    pilot: Pilot, patients: int, *, alpha: float = 0.05, simulations: int = 1000, seed: int = 0
) -> PowerAt:
    """Simulate studies that draw the patients of a pilot with replacement, and count those with p below alpha.

    A patient keeps all exams. One that is drawn twice counts as two. The test is DeLong's, clustered by patient.

    Args:
        pilot: with the difference imposed.
        patients: size of a study.
        alpha: level of the two-sided test.
        simulations: number of studies.
        seed: equal seeds draw equal studies.
    """
    generator = np.random.default_rng([seed, patients])
    number = len(set(pilot.patients))
    counts = generator.multinomial(patients, np.full(number, 1 / number), size=simulations)
    z = resampled_z(pilot, counts.astype(np.float64))
    undefined = int(np.isnan(z).sum())
    found = int((np.abs(z) > stats.norm.isf(alpha / 2)).sum())
    interval = stats.binomtest(found, simulations).proportion_ci(method="wilson")
    return PowerAt(
        patients=patients,
        exams=patients * len(pilot.labels) / number,
        power=found / simulations,
        low=float(interval.low),
        high=float(interval.high),
        undefined=undefined,
    )


def resampled_z(pilot: Pilot, counts: Floats) -> Floats:
    """Compute DeLong's score ``[R]``, clustered by patient, of R resamples of a pilot's patients.

    The same as ``delong`` on the resampled exams. Which of two systems orders a pair of exams better is settled once,
    so that a resample costs two matrix products, whatever its size.

    Args:
        pilot: P patients.
        counts: how often each patient was drawn, ``[R, P]``; patients in sorted order, each draw another patient.

    Returns:
        NaN where fewer than two patients have a class.
    """
    positive, number = pilot.labels == 1, np.unique(np.asarray(pilot.patients), return_inverse=True)[1]
    ones, zeros = number[positive], number[~positive]
    of_ones, of_zeros = counts[:, ones], counts[:, zeros]  # [R, N+], [R, N-]
    n_ones, n_zeros = (np.maximum(part.sum(axis=1, keepdims=True), 1) for part in (of_ones, of_zeros))
    above, below = np.empty_like(of_ones), np.zeros_like(of_zeros)
    step = max(1, _CELLS // max(len(zeros), 1))
    for start in range(0, len(ones), step):
        rows = slice(start, start + step)
        better = _wins(pilot.system, positive, rows) - _wins(pilot.reference, positive, rows)
        above[:, rows] = of_zeros @ better.T / n_zeros
        below += of_ones[:, rows] @ better / n_ones
    difference = (of_ones * above).sum(axis=1, keepdims=True) / n_ones
    own_ones, own_zeros = (
        (part - difference) @ _membership(whose, counts.shape[1]) / size
        for part, whose, size in ((above, ones, n_ones), (below, zeros, n_zeros))
    )  # [R, P]: each patient's share of the deviation
    patients = [counts[:, np.unique(whose)].sum(axis=1) for whose in (ones, zeros, number)]
    with np.errstate(all="ignore"):
        bessel = [np.where(found > 1, found / (found - 1), np.nan) for found in patients]
        variance = (
            bessel[0] * (counts * own_ones**2).sum(axis=1)
            + bessel[1] * (counts * own_zeros**2).sum(axis=1)
            + 2 * bessel[2] * (counts * own_ones * own_zeros).sum(axis=1)
        )
        found: Floats = np.where(difference[:, 0] == 0, variance * 0, difference[:, 0] / np.sqrt(variance))
    return found


def _membership(whose: Integers, patients: int) -> sparse.csr_array:
    """Say which patient an exam belongs to, ``[N, P]``."""
    exams = len(whose)
    return sparse.csr_array((np.ones(exams), (np.arange(exams), whose)), shape=(exams, patients))


def _wins(scores: Floats, positive: Booleans, rows: slice) -> Floats:
    """Say which pairs are in order, ``[rows, N-]``: 1, or 0.5 for a tie."""
    ones, zeros = scores[positive][rows, None], scores[~positive]
    wins: Floats = (ones > zeros) + (ones == zeros) / 2
    return wins


def closed_form(pilot: Pilot, *, power: float, alpha: float) -> int:
    """Return the patients that the normal approximation asks for.

    ``P = P₀ Var₀ (z_{1-α/2} + z_{power})² / d²``, with P₀ patients, the variance by DeLong (clustered by patient) and
    the difference d of the pilot.

    Raises:
        DataError: there is no difference, or no variance.
    """
    found = delong(pilot.labels, pilot.system, pilot.reference, pilot.patients)
    if not math.isfinite(found.z) or found.z == 0:
        raise DataError(
            "the pilot's scores differ without any variance, or by less than its exams can show; expected predictions "
            "of two systems on more exams, or a larger difference"
        )
    reach = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    return math.ceil(len(set(pilot.patients)) * (reach / found.z) ** 2)


def plan_exams(
    pilot: Pilot,
    *,
    difference: float,
    power: float = 0.8,
    alpha: float = 0.05,
    sizes: Sequence[int] = (),
    simulations: int = 1000,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> ExamPlan:
    """Find the smallest study that shows a difference with some power.

    Sizes around the closed form's are simulated, and more until they enclose the power. ``Φ⁻¹(power)`` is nearly a
    straight line over ``√patients``; the size at which the line through all of them reaches the power is simulated too.
    Sizes that are given besides do not decide: one far away, where every study finds the difference, would turn the
    line.

    Args:
        pilot: predictions of both systems on the same exams.
        difference: to be found, above 0.
        power, alpha: of the study to plan.
        sizes: numbers of patients to simulate besides.
        simulations, seed: see ``power_at``.
        progress: called with the sizes done and, as far as known, of all.

    Raises:
        ConfigurationError: the difference cannot be imposed.
        DataError: the pilot has too few patients of a class, or no size encloses the power.
    """
    shifted = impose(pilot, difference)
    start = closed_form(shifted, power=power, alpha=alpha)
    curve: dict[int, PowerAt] = {}

    def simulate(patients: int, more: int = 0) -> float:
        if patients not in curve:
            curve[patients] = power_at(shifted, patients, alpha=alpha, simulations=simulations, seed=seed)
            progress(len(curve), len(curve) + more)
        return curve[patients].power

    first = sorted({max(_FEWEST, round(start * share)) for share in _GRID})
    for number, patients in enumerate(first):
        simulate(patients, len(first) - number + len(sizes))
    while simulate(min(curve)) >= power and min(curve) > _FEWEST:
        simulate(max(_FEWEST, min(curve) // 2))
    while simulate(max(curve)) < power:
        if max(curve) > _MOST:
            raise DataError(f"no study of up to {_MOST} patients has a power of {power:g}")
        simulate(max(curve) * 2)
    needed = _size_for(power, sorted(curve.values(), key=lambda each: each.patients), simulations)
    for number, patients in enumerate((needed, *sizes)):
        simulate(patients, len(sizes) - number)
    low, high, pilots = _over_pilots(pilot, difference, power=power, alpha=alpha, seed=seed)
    before, after = pilot.aucs[0], shifted.aucs[1]
    return ExamPlan(
        difference=difference,
        imposed=after - before,
        auc_reference=before,
        auc_system=pilot.aucs[1],
        power=power,
        alpha=alpha,
        simulations=simulations,
        curve=tuple(curve[patients] for patients in sorted(curve)),
        needed=curve[needed],
        closed_form=start,
        closed_form_low=low,
        closed_form_high=high,
        pilots=pilots,
    )


def _size_for(power: float, curve: Sequence[PowerAt], simulations: int) -> int:
    """Return the patients at which a straight line through ``Φ⁻¹(power)`` over ``√patients`` reaches the power.

    The line is fitted to all sizes by least squares, each weighted by the inverse variance of its ``Φ⁻¹``, so that the
    chance of one simulation does not decide. The result lies between the smallest and the largest size.

    Raises:
        DataError: the line does not rise, because the simulations are too few.
    """
    roots = np.sqrt([each.patients for each in curve])
    least = 0.5 / simulations
    found = np.clip([each.power for each in curve], least, 1 - least)
    probits = stats.norm.ppf(found)
    width = np.sqrt(found * (1 - found) / simulations) / stats.norm.pdf(probits)
    slope, start = np.polyfit(roots, probits, 1, w=1 / width)
    if not slope > 0:
        raise DataError(
            "the simulated power does not grow with the patients; expected more simulations (--simulations)"
        )
    root = max(float((stats.norm.ppf(power) - start) / slope), 0.0)
    return min(max(math.ceil(root**2), curve[0].patients), curve[-1].patients)


def _over_pilots(
    pilot: Pilot, difference: float, *, power: float, alpha: float, seed: int
) -> tuple[int, int, int]:
    """Return the bounds of the closed form over resampled pilots, and how many of them allow the difference.

    Raises:
        DataError: half of them do not: they lack a class, or their reference is too good.
    """
    generator = np.random.default_rng([seed, 0])
    exams_of = _exams_of(pilot.patients)
    found = []
    for _ in range(_PILOTS):
        drawn = generator.integers(len(exams_of), size=len(exams_of))
        rows = np.concatenate([exams_of[k] for k in drawn])
        whose = np.repeat(np.arange(len(drawn)), [len(exams_of[k]) for k in drawn])
        other = Pilot(
            pilot.labels[rows], pilot.reference[rows], pilot.system[rows], whose.astype(str).tolist()
        )
        try:
            found.append(closed_form(impose(other, difference), power=power, alpha=alpha))
        except (ConfigurationError, DataError):
            continue
    if len(found) < _PILOTS / 2:
        raise DataError(
            f"only {len(found)} of {_PILOTS} resampled pilots have both classes and room for a difference of "
            f"{difference:+.3f}; expected half of them: choose a smaller difference, or take a larger pilot"
        )
    low, high = np.quantile(found, [0.025, 0.975])
    return int(low), math.ceil(high), len(found)


def _exams_of(patients: Sequence[str]) -> list[Integers]:
    """List the exams of each patient."""
    number = np.unique(np.asarray(patients), return_inverse=True)[1]
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _area(labels: Integers, scores: Floats) -> float:
    return float(auc(labels == 1, scores, np.ones((1, len(labels))))[0])
