import math

import numpy as np
import pytest
from scipy import stats

from gazekit.errors import DataError
from gazekit.measures.statistics.intervals import mean_interval, paired_bootstrap, patient_bootstrap
from gazekit.measures.statistics.leaving_out import CELLS_PER_BATCH


def names(count, exams_each=1):
    return [f"patient {i // exams_each}" for i in range(count)]


@pytest.mark.parametrize("discrete", [False, True])
def test_mean_interval_of_single_exams_is_scipys_bca_interval(discrete):
    values = np.random.default_rng(1).gamma(2.0, size=40)
    if discrete:  # many resamples have the value itself
        values = (values > 3).astype(float)
    ours = mean_interval(values, names(40), seed=3, resamples=500)
    in_our_order = values[
        np.argsort(names(40))
    ]  # patients are sorted by name, so these draw the same resamples
    theirs = stats.bootstrap(
        (in_our_order,), np.mean, n_resamples=500, method="BCa", rng=np.random.default_rng(3)
    ).confidence_interval
    assert ours.method == "BCa"
    assert ours.value == pytest.approx(values.mean(), abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("exams", [40, 3000])  # the many take several batches
def test_resamples_are_those_of_scipy_to_the_bit(exams):
    values = np.random.default_rng(5).integers(0, 9, exams).astype(float)  # whole numbers: sums are exact
    drawn = []

    def total(weights):
        drawn.append(weights @ values)
        return drawn[-1]

    patient_bootstrap(total, [f"{each:04d}" for each in range(exams)], seed=3, resamples=101, bounded=False)
    batch = max(1, CELLS_PER_BATCH // exams)
    theirs = stats.bootstrap(
        (values,), np.sum, n_resamples=101, batch=batch, method="percentile", rng=np.random.default_rng(3)
    ).bootstrap_distribution
    assert np.array_equal(np.concatenate(drawn[1:]), theirs)


@pytest.mark.parametrize("shift", [0.0, 0.4, -0.4, 9.0])
def test_the_p_of_a_difference_is_that_of_the_resamples_beyond_zero(shift):
    values = np.round(np.random.default_rng(4).normal(size=12) + shift)  # whole numbers: ties at 0
    drawn = []

    def mean(weights):
        drawn.append(weights @ values / weights.sum(axis=1))
        return drawn[-1]

    _, p = paired_bootstrap(mean, names(12), seed=1, resamples=300)
    found = np.concatenate(drawn)[1:]  # the first is that of the exams themselves
    assert len(found) == 300
    below = (np.sum(found < 0) + np.sum(found == 0) / 2) / 300
    beyond = max(min(below, 1 - below), 1 / 301)
    reach = stats.norm.isf(beyond) / np.sqrt(12 / 11)
    assert p == pytest.approx(2 * stats.t(11).sf(reach), rel=1e-9)
    assert (found == 0).any() == (abs(shift) < 1)


def test_copying_every_exam_within_its_patient_adds_no_certainty():
    values = np.random.default_rng(2).normal(size=30)
    once = mean_interval(values, names(30))
    thrice = mean_interval(np.repeat(values, 3), names(90, exams_each=3))
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx(
        (once.value, once.low, once.high), abs=1e-12
    )
    as_if_independent = mean_interval(np.repeat(values, 3), names(90))
    assert as_if_independent.high - as_if_independent.low < 0.7 * (once.high - once.low)


def test_a_resample_draws_whole_patients_with_replacement():
    patients = ["a", "b", "b", "c", "c", "c"]
    seen = []

    def exams(weights):
        seen.append(weights)
        return weights.sum(axis=1)

    patient_bootstrap(exams, patients, resamples=300)
    weights = max(seen, key=len)  # the resamples; the rest are the point estimate and the jackknife
    assert weights.shape == (300, 6)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert set(np.unique(weights)) == {0, 1, 2, 3}


def test_resamples_without_the_statistic_are_left_out_and_counted():
    drawn = []

    def needs_two_patients(weights):
        values = np.where(weights[:, :2].any(axis=1), weights @ np.arange(6.0) / weights.sum(axis=1), np.nan)
        drawn.append(values)
        return values

    interval = patient_bootstrap(needs_two_patients, names(6), resamples=400)
    distribution = max(drawn, key=len)
    defined = distribution[~np.isnan(distribution)]
    assert interval.undefined == 400 - len(defined)
    assert interval.undefined / 400 == pytest.approx((4 / 6) ** 6, abs=0.05)
    assert interval.resamples == len(defined)
    assert interval.method == "percentile"
    tail = stats.norm.cdf(-math.sqrt(6 / 5) * stats.t.ppf(0.975, 5))  # Hesterberg 2015 for six patients
    assert tail == pytest.approx(0.0024, abs=5e-5)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(defined, [tail, 1 - tail])))


def test_an_interval_that_shall_not_be_bca_is_the_percentile_interval_widened_as_students_t():
    """Of a mean with many resamples it comes close to the textbook's t interval."""
    values = np.random.default_rng(4).normal(size=20)

    def mean(weights):
        return weights @ values / weights.sum(axis=1)

    ours = patient_bootstrap(mean, names(20), resamples=40_000, bounded=False)
    textbook = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert (ours.method, ours.undefined) == ("percentile", 0)
    assert (ours.low, ours.high) == pytest.approx(textbook, abs=0.03 * (textbook[1] - textbook[0]))


def test_a_statistic_that_exists_in_no_resample_has_no_interval():
    interval = patient_bootstrap(lambda w: np.full(len(w), np.nan), names(5), resamples=50)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert (interval.resamples, interval.undefined) == (0, 50)


def test_resamples_that_repeat_one_value_show_nothing_and_give_no_interval():
    for each in (0.25, 0.1):  # means of 0.1 differ by rounding
        interval = mean_interval([each] * 8, names(8), resamples=50)
        assert (
            interval.value == pytest.approx(each) and math.isnan(interval.low) and math.isnan(interval.high)
        )
    differences = np.r_[0.5, np.zeros(499)]  # hardly a resample has the first exam often enough
    interval, p = paired_bootstrap(lambda w: (w @ differences > 2.4).astype(float), names(500), resamples=300)
    assert interval.value == 0 and math.isnan(interval.low) and math.isnan(interval.high)
    assert p == pytest.approx(1, abs=0.02)


def test_a_statistic_that_does_not_exist_without_one_patient_has_no_interval():
    values = np.arange(6.0)

    def needs_first_patient(weights):
        return np.where(weights[:, 0] > 0, weights @ values / weights.sum(axis=1), np.nan)

    interval = patient_bootstrap(needs_first_patient, names(6), resamples=400)
    assert interval.value == 2.5 and math.isnan(interval.low) and math.isnan(interval.high)
    assert interval.undefined / 400 == pytest.approx((5 / 6) ** 6, abs=0.08)
    difference, _ = paired_bootstrap(needs_first_patient, names(6), resamples=400)
    assert difference.value == 2.5 and math.isnan(difference.low) and math.isnan(difference.high)


def test_same_seed_same_interval_and_another_seed_another():
    values = np.random.default_rng(0).normal(size=25)
    first, again, other = (mean_interval(values, names(25), seed=s, resamples=200) for s in (7, 7, 8))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(0).normal(size=25)

    def mean(weights):
        return weights @ values / weights.sum(axis=1)

    narrow, wide = (patient_bootstrap(mean, names(25), resamples=500, level=v) for v in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_batches_do_not_change_the_interval(monkeypatch):
    values = np.random.default_rng(0).normal(size=25)
    whole = mean_interval(values, names(25), resamples=200)
    monkeypatch.setattr("gazekit.measures.statistics.intervals.CELLS_PER_BATCH", 25 * 7)
    batched = mean_interval(values, names(25), resamples=200)
    assert (batched.low, batched.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_one_patient_and_a_value_that_is_no_number_are_refused():
    with pytest.raises(DataError, match="at least two patients, found 1"):
        mean_interval([0.1, 0.2], ["a", "a"])
    with pytest.raises(DataError, match="row 1 is nan"):
        mean_interval([0.1, math.nan], ["a", "b"])
