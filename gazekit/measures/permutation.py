"""The runs of two systems compared by a permutation test."""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from gazekit.errors import DataError
from gazekit.records.arrays import Floats


def permute_runs(
    runs_a: Sequence[Sequence[float]], runs_b: Sequence[Sequence[float]], *, seed: int = 0, most: int = 20_000
) -> tuple[float, float]:
    """Compare a measure of the runs of two systems: whose run it was is dealt anew within each fold.

    The difference is the mean over folds of ``mean(a) - mean(b)``. If initial weights, order and augmentation are all
    that sets the runs apart, every way to deal them to the systems is as likely; ``p`` is the share of ways with a
    difference at least as far from 0. All ways are counted, or ``most`` random ones and the one that came.

    Args:
        runs_a, runs_b: of each fold the values of its runs; the folds are the same.
        seed, most: of the random ways.

    Returns:
        the difference, and p, two-sided; never below one over the number of ways.

    Raises:
        DataError: no fold, or one without runs.

    Source: Fisher 1935, The Design of Experiments; random ways: Phipson & Smyth 2010, doi:10.2202/1544-6115.1585.
    """
    if not runs_a or len(runs_a) != len(runs_b) or not all([*runs_a, *runs_b]):
        raise DataError("a permutation test of runs needs runs of both systems in each fold")
    came = sum(float(np.mean(a) - np.mean(b)) for a, b in zip(runs_a, runs_b, strict=True))
    dealt = [_dealt(a, b) for a, b in zip(runs_a, runs_b, strict=True)]
    if math.prod(map(len, dealt)) <= most:
        sums = functools.reduce(np.add.outer, dealt).ravel()
        extra = 0
    else:
        random = np.random.default_rng(seed)
        sums = np.sum([random.choice(differences, most) for differences in dealt], axis=0)
        extra = 1
    as_far = int((np.abs(sums) >= abs(came) - 1e-12).sum())
    return came / len(dealt), (as_far + extra) / (len(sums) + extra)


def _dealt(a: Sequence[float], b: Sequence[float]) -> Floats:
    """The difference of the means in every way to deal the runs of a fold."""
    values = np.array([*a, *b])
    ways = np.array(list(itertools.combinations(range(len(values)), len(a))))
    ours: Floats = values[ways].sum(axis=1)
    differences: Floats = ours / len(a) - (values.sum() - ours) / len(b)
    return differences
