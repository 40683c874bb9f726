"""Systems compared with the data set as the unit: against SciPy, a loop over signs, and under the null hypothesis."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from gazekit.measures.comparing.over_data_sets import differences, over_data_sets, sign_flips, t_interval


def study(seed, sets=6, splits=2, seeds=3, lift=0.0):
    """AUCs of a system: data set → (split, seed) → value."""
    rng = np.random.default_rng(seed)
    return {
        f"set_{d}": {
            (f"split-{s}", k): float(0.7 + lift + 0.05 * rng.normal())
            for s in range(1, splits + 1)
            for k in range(seeds)
        }
        for d in range(sets)
    }


def test_interval_and_p_are_those_of_scipy_on_the_means_of_each_data_set():
    ours, theirs = study(0, lift=0.03), study(1)
    a, b = ([np.mean(list(runs.values())) for runs in each.values()] for each in (ours, theirs))
    found = over_data_sets(ours, theirs)
    assert (found.data_sets, found.compared) == (6, 6)
    assert found.value.value == pytest.approx(np.mean(a))
    low, high = stats.ttest_1samp(a, 0.0).confidence_interval(0.95)
    assert (found.value.low, found.value.high) == pytest.approx((low, high))
    paired = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.difference.value == pytest.approx(np.mean(a) - np.mean(b))
    assert (found.difference.low, found.difference.high) == pytest.approx((paired.low, paired.high))
    flipped = stats.permutation_test(
        (np.subtract(a, b),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found.p == pytest.approx(flipped.pvalue)


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.2, 0.3], [0.02, -0.01, 0.05, 0.05, 0.03], [0.0, 0.0, 0.1]])
def test_p_is_the_share_of_signs_with_a_sum_at_least_as_far_from_0(values):
    came = abs(sum(values))
    as_far = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) >= came - 1e-12
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    assert sign_flips(values) == pytest.approx(np.mean(as_far))


def test_five_data_sets_cannot_show_a_difference_at_5_percent_and_six_can():
    assert sign_flips([0.1] * 5) == 2 / 32 > 0.05 > sign_flips([0.1] * 6) == 2 / 64


def test_only_the_runs_that_both_systems_have_are_compared():
    ours, theirs = study(0), study(1)
    del ours["set_0"][("split-1", 0)], theirs["set_1"]
    expected = np.mean(
        [value - theirs["set_0"][run] for run, value in ours["set_0"].items() if run in theirs["set_0"]]
    )
    found = differences(ours, theirs)
    assert len(found) == 5 and found[0] == pytest.approx(expected)
    assert over_data_sets(ours, theirs).compared == 5


def test_one_data_set_has_neither_interval_nor_p_and_none_has_nothing():
    found = over_data_sets(study(0, sets=1), study(1, sets=1))
    assert math.isnan(found.value.low) and math.isnan(found.difference.high) and found.p is None
    two = over_data_sets(study(0, lift=1.0, sets=2), study(1, sets=2))
    assert two.p == 0.5  # two of the four signs
    assert over_data_sets({}) is None
    alone = over_data_sets(study(0), {})
    assert alone.difference is None and alone.p is None and alone.compared == 0


def test_equal_systems_are_called_different_as_often_as_is_said():
    """1000 studies of 8 data sets: p < 0.05 in about 5 %, and the interval contains 0 in about 95 %."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 0.03, (1000, 8)).tolist()
    false = np.mean([sign_flips(each) < 0.05 for each in drawn])
    inside = np.mean([(found := t_interval(each)).low < 0 < found.high for each in drawn])
    assert 0.03 < false < 0.065 and 0.93 < inside < 0.97
