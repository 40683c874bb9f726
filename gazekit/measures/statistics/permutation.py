"""Compare the runs of two systems by a permutation test."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from gazekit.errors import DataError
from gazekit.records.arrays import Floats


def permute_runs(
    runs_a: Sequence[Sequence[float]], runs_b: Sequence[Sequence[float]], *, most: int = 20_000
) -> tuple[float, float]:
    """Compare a measure of two systems' runs by permuting the runs between the systems within each fold.

    The difference is the mean over folds of ``mean(a) - mean(b)``. If the runs differ only in initial weights, order
    and augmentation, every assignment of runs to systems is equally likely. ``p`` is the share of assignments with
    a difference at least as far from 0, out of all assignments or of ``most`` random ones and the observed one.

    Args:
        runs_a, runs_b: for each fold the values of its runs; the folds are the same.
        most: number of the random assignments.

    Returns:
        the difference, and the two-sided p, never below one over the number of assignments.

    Raises:
        DataError: no fold, or a fold without runs.

    Source: Fisher 1935, The Design of Experiments; random ways: Phipson & Smyth 2010, doi:10.2202/1544-6115.1585.
    """
    if not runs_a or len(runs_a) != len(runs_b) or not all([*runs_a, *runs_b]):
        raise DataError("a permutation test of runs needs runs of both systems in each fold")
    came = sum(float(np.mean(a) - np.mean(b)) for a, b in zip(runs_a, runs_b, strict=True))
    folds = [(np.array([*a, *b]), len(a)) for a, b in zip(runs_a, runs_b, strict=True)]
    if math.prod(math.comb(len(values), ours) for values, ours in folds) <= most:
        sums = functools.reduce(np.add.outer, [_all_ways(values, ours) for values, ours in folds]).ravel()
        extra = 0
    else:
        random = np.random.default_rng(0)
        sums = np.sum([_random_ways(values, ours, most, random) for values, ours in folds], axis=0)
        extra = 1
    as_far = int((np.abs(sums) >= abs(came) - 1e-12).sum())
    return came / len(folds), (as_far + extra) / (len(sums) + extra)


def _all_ways(values: Floats, ours: int) -> Floats:
    """Return the difference of the means for every assignment of a fold's runs, of which ``ours`` are the first's."""
    ways = np.array(list(itertools.combinations(range(len(values)), ours)))
    return _differences(values[ways].sum(axis=1), values, ours)


def _random_ways(values: Floats, ours: int, ways: int, random: np.random.Generator) -> Floats:
    """Return the same for random assignments."""
    shuffled = random.permuted(np.tile(values, (ways, 1)), axis=1)
    return _differences(shuffled[:, :ours].sum(axis=1), values, ours)


def _differences(sums: Floats, values: Floats, ours: int) -> Floats:
    """Return the differences of the means from the sums of the first system's runs."""
    return np.asarray(sums / ours - (values.sum() - sums) / (len(values) - ours))
