import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazekit.errors import DataError
from gazekit.evaluation.statistics import DeLong, delong, mean_interval, patient_bootstrap


def names(count, exams_each=1):
    return [f"patient {i // exams_each}" for i in range(count)]


def test_mean_interval_of_single_exams_is_scipys_bca_interval():
    values = np.random.default_rng(1).gamma(2.0, size=40)
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

    def needs_first_patient(weights):
        values = np.where(weights[:, 0] > 0, weights @ np.arange(6.0) / weights.sum(axis=1), np.nan)
        drawn.append(values)
        return values

    interval = patient_bootstrap(needs_first_patient, names(6), resamples=400)
    distribution = max(drawn, key=len)
    defined = distribution[~np.isnan(distribution)]
    assert interval.undefined == 400 - len(defined)
    assert interval.undefined / 400 == pytest.approx((5 / 6) ** 6, abs=0.08)
    assert interval.resamples == len(defined)
    assert interval.method == "percentile"
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(defined, [0.025, 0.975])))


def test_a_statistic_that_exists_in_no_resample_has_no_interval():
    interval = patient_bootstrap(lambda w: np.full(len(w), np.nan), names(5), resamples=50)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert (interval.resamples, interval.undefined) == (0, 50)


def test_no_variance_gives_an_interval_of_no_width():
    interval = mean_interval([0.25] * 8, names(8), resamples=50)
    assert (interval.value, interval.low, interval.high) == (0.25, 0.25, 0.25)


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
    monkeypatch.setattr("gazekit.evaluation.statistics._CELLS_PER_BATCH", 25 * 7)
    batched = mean_interval(values, names(25), resamples=200)
    assert (batched.low, batched.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_one_patient_and_a_value_that_is_no_number_are_refused():
    with pytest.raises(DataError, match="at least two patients, found 1"):
        mean_interval([0.1, 0.2], ["a", "a"])
    with pytest.raises(DataError, match="row 1 is nan"):
        mean_interval([0.1, math.nan], ["a", "b"])


def slow_delong(labels, scores_a, scores_b):
    """The structural components of the paper, pair by pair."""

    def psi(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    ones = [i for i, label in enumerate(labels) if label == 1]
    zeros = [i for i, label in enumerate(labels) if label == 0]
    above = [[sum(psi(s[i], s[j]) for j in zeros) / len(zeros) for i in ones] for s in (scores_a, scores_b)]
    below = [[sum(psi(s[i], s[j]) for i in ones) / len(ones) for j in zeros] for s in (scores_a, scores_b)]
    aucs = [sum(v) / len(v) for v in above]
    covariance = np.cov(above) / len(ones) + np.cov(below) / len(zeros)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = (aucs[0] - aucs[1]) / math.sqrt(variance)
    return DeLong(aucs[0], aucs[1], aucs[0] - aucs[1], z, math.erfc(abs(z) / math.sqrt(2)))


def as_tuple(result):
    return (result.auc_a, result.auc_b, result.difference, result.z, result.p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.sampled_from([1, 8]))
def test_delong_is_the_pairwise_definition(seed, zeros, ones, digits):
    rng = np.random.default_rng(seed)
    labels = rng.permutation([0] * zeros + [1] * ones)
    first = np.round(rng.normal(size=zeros + ones) + labels, digits)  # one digit: many ties
    second = np.round(rng.normal(size=zeros + ones), digits)
    ours = delong(labels, first, second)
    if math.isfinite(ours.z) and ours.z != 0:
        assert as_tuple(ours) == pytest.approx(as_tuple(slow_delong(labels, first, second)), abs=1e-9)
    swapped = delong(labels, second, first)
    assert as_tuple(swapped) == pytest.approx((ours.auc_b, ours.auc_a, -ours.difference, -ours.z, ours.p))
    assert as_tuple(delong(labels, np.exp(first), second)) == pytest.approx(as_tuple(ours))


# Albumin, total protein, K-G score and outcome of DeLong et al. 1988, as SAS/STAT publishes them in its example
# "Comparing Receiver Operating Characteristic Curves" (PROC LOGISTIC).
OVARIAN = """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
    3.8 5.7  5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
    2.3 4.4  6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
    3.1 6.6  6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
    3.7 6.1  5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
    3.3 5.7  6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def test_delong_on_the_papers_own_patients_as_sas_prints_it():
    albumin, protein, score, outcome = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    event = (outcome == 0).astype(int)
    against_protein = delong(event, -protein, score - 10)
    against_albumin = delong(event, -albumin, score - 10)
    assert against_protein.auc_a == pytest.approx(0.6478, abs=5e-5)
    assert against_protein.auc_b == pytest.approx(0.7258, abs=5e-5)
    assert against_albumin.auc_a == pytest.approx(0.7366, abs=5e-5)
    assert against_protein.z**2 == pytest.approx(0.5554, abs=5e-5)
    assert against_protein.p == pytest.approx(0.4561, abs=5e-5)


def test_delong_of_equal_scores_and_of_a_difference_without_variance():
    labels = [0, 0, 1, 1]
    same = delong(labels, [0.1, 0.4, 0.35, 0.8], [0.1, 0.4, 0.35, 0.8])
    assert (same.difference, same.z, same.p) == (0.0, 0.0, 1.0)
    opposite = delong(labels, [1, 2, 3, 4], [4, 3, 2, 1])
    assert (opposite.difference, opposite.z, opposite.p) == (1.0, math.inf, 0.0)


def test_delong_refuses_what_it_cannot_compare():
    with pytest.raises(DataError, match="at least two exams of each class, found 3 and 1"):
        delong([0, 0, 0, 1], [1, 2, 3, 4], [1, 2, 3, 4])
    with pytest.raises(DataError, match="4 labels but 3 scores"):
        delong([0, 0, 1, 1], [1, 2, 3], [1, 2, 3])
