"""Curves and calibration against slow counts; more of ROC curves and bands is in test_study_figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_study import made_pooled
from scipy import stats

from gazekit.measures.classification.curves import (
    GRID,
    THRESHOLDS,
    band,
    calibration,
    is_binary,
    net_benefit,
    precision_recall,
    roc,
    treat_all,
)
from gazekit.measures.classification.metrics import calibration_bins, calibration_error
from gazekit.measures.classification.pooled import Pooled


def slow_precision(pooled, recall, weights):
    """Of the highest threshold whose recall is not below the wanted one."""
    score, positive = pooled.probabilities[:, 1], pooled.labels == 1
    for threshold in sorted(set(score), reverse=True):
        called = score >= threshold
        hits, all_called = weights[called & positive].sum(), weights[called].sum()
        if all_called > 0 and hits / weights[positive].sum() >= recall - 1e-9:
            return hits / all_called
    raise AssertionError


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_precision_is_that_of_the_first_threshold_that_reaches_the_recall(seed, digits):
    pooled = made_pooled(seed, exams=30, digits=digits)
    for weights in (np.ones(30), np.random.default_rng(seed).integers(0, 3, 30).astype(float)):
        expected = [slow_precision(pooled, recall, weights) for recall in GRID]
        assert precision_recall(pooled, weights) == pytest.approx(expected)


def test_a_roc_curve_of_very_many_scores_has_the_highest_rate_at_each_step():
    """With 100 negatives every rate of the grid is a step; with 5000 positives there are thousands of thresholds."""
    rng = np.random.default_rng(0)
    score = np.r_[rng.normal(0, 1, 100), rng.normal(1, 1, 5000)]
    labels = np.r_[np.zeros(100, int), np.ones(5000, int)]
    chances = stats.norm.cdf(score)
    names = [str(k) for k in range(len(score))]
    pooled = Pooled(names, names, labels, np.stack([1 - chances, chances], axis=1))
    zeros = np.r_[-np.inf, np.sort(score[:100])][::-1]  # called above the k-th highest: k alarms of 100
    expected = [np.mean(score[100:] > zero) for zero in zeros]
    assert roc(pooled) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("curve", [roc, precision_recall, net_benefit])
@pytest.mark.parametrize("digits", [1, 8])
def test_a_band_is_that_of_the_curves_of_resamples_in_any_order_to_the_bit(curve, digits):
    pooled = made_pooled(3, exams=50, digits=digits)
    _, patient = np.unique(pooled.patient_ids, return_inverse=True)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        times = np.bincount(generator.integers(0, patient.max() + 1, patient.max() + 1), minlength=50)[
            patient
        ]
        if 0 < times[pooled.labels == 1].sum() < times.sum():
            drawn.append(curve(pooled, times.astype(float)))
    assert np.diff(pooled.probabilities[:, 1]).min() < 0 < np.diff(pooled.probabilities[:, 1]).max()
    assert np.array_equal(band(curve, pooled), np.percentile(drawn, [2.5, 97.5], axis=0))


def test_the_band_of_precision_holds_the_curve_and_grows_with_fewer_patients():
    pooled = made_pooled(0, exams=120)
    low, high = band(precision_recall, pooled)
    curve = precision_recall(pooled)
    assert ((low <= curve + 1e-9) & (curve <= high + 1e-9)).all()
    few_low, few_high = band(precision_recall, made_pooled(0, exams=30))
    assert (few_high - few_low).mean() > 1.5 * (high - low).mean()


def slow_net_benefit(pooled, threshold, weights):
    """One exam after another, in units of the benefit of a treated positive exam."""
    benefit = total = 0.0
    for chances, label, weight in zip(pooled.probabilities, pooled.labels, weights, strict=True):
        total += weight
        if chances[1] > threshold:
            benefit += weight if label == 1 else -weight * threshold / (1 - threshold)
    return benefit / total


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_net_benefit_is_the_mean_over_the_exams(seed, digits):
    pooled = made_pooled(seed, exams=30, digits=digits)
    for weights in (np.ones(30), np.random.default_rng(seed).integers(0, 3, 30).astype(float)):
        expected = [slow_net_benefit(pooled, k / 100, weights) for k in range(1, 100)]
        assert net_benefit(pooled, weights) == pytest.approx(expected)


def test_an_exam_at_the_threshold_is_not_treated_as_it_is_not_called():
    pooled = pooled_of([0.3, 0.31], [1, 1])
    assert net_benefit(pooled)[[28, 29, 30]].tolist() == [1, 0.5, 0]


def pooled_of(chances, labels):
    names = [str(k) for k in range(len(labels))]
    return Pooled(
        names, names, np.array(labels), np.stack([1 - np.array(chances), np.array(chances)], axis=1)
    )


between = st.integers(0, 99).map(lambda k: (k + 0.5) / 100)
"""Probabilities at no threshold."""
predicted = st.lists(st.tuples(between, st.integers(0, 1)), min_size=2, max_size=12).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


@given(predicted)
def test_no_curve_beats_a_perfect_one_and_to_treat_all_or_none_is_a_model_that_says_so(pairs):
    chances, labels = zip(*pairs, strict=True)
    share = np.mean(labels)
    assert (net_benefit(pooled_of(chances, labels)) <= share + 1e-12).all()
    assert net_benefit(pooled_of(labels, labels)) == pytest.approx(share)
    assert net_benefit(pooled_of(np.ones(len(labels)), labels)) == pytest.approx(
        treat_all(pooled_of(chances, labels))
    )
    assert (net_benefit(pooled_of(np.zeros(len(labels)), labels)) == 0).all()


@given(predicted, st.randoms(use_true_random=False))
def test_net_benefit_knows_neither_order_nor_number_of_exams(pairs, random):
    expected = net_benefit(pooled_of(*zip(*pairs, strict=True)))
    often = [pair for pair in pairs for _ in range(3)]
    random.shuffle(often)
    assert net_benefit(pooled_of(*zip(*often, strict=True))) == pytest.approx(expected)


@given(predicted)
def test_what_a_model_adds_to_treating_all_is_the_net_benefit_of_sparing_negative_exams(pairs):
    """The classes change places: those below p are spared, and a spared positive exam costs (1 - p) / p."""
    chances, labels = map(np.array, zip(*pairs, strict=True))
    pooled, spared = pooled_of(chances, labels), net_benefit(pooled_of(1 - chances, 1 - labels))[::-1]
    added = net_benefit(pooled) - treat_all(pooled)
    assert added == pytest.approx(spared * THRESHOLDS / (1 - THRESHOLDS))


def test_the_band_of_net_benefit_resamples_patients():
    """Twice as many exams of the same patients say nothing more; twice as many patients do."""
    once = made_pooled(0, exams=120, lift=2)
    twice = once.at([*range(120), *range(120)])
    low, high = band(net_benefit, once)
    assert np.allclose(band(net_benefit, twice), (low, high))
    assert ((low <= net_benefit(once)) & (net_benefit(once) <= high)).mean() > 0.95
    low_of_more, high_of_more = band(net_benefit, made_pooled(0, exams=480, lift=2))
    assert (high - low)[:30].mean() > 1.5 * (high_of_more - low_of_more)[:30].mean()


def test_bins_hold_every_exam_and_their_gaps_are_the_calibration_error():
    rng = np.random.default_rng(1)
    stated, positive = np.r_[rng.random(150), 0.0, 0.5, 1.0], rng.random(153) < 0.4
    bins = calibration(stated, positive)
    assert sum(each.exams for each in bins) == 153
    gaps = sum(each.exams * abs(each.observed - each.stated) for each in bins) / 153
    assert gaps == pytest.approx(calibration_error(stated, positive, np.ones((1, 153)))[0])


def test_a_probability_of_so_many_tenths_begins_its_bin():
    tenths = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert calibration_bins(tenths).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert calibration_bins(np.nextafter(tenths[1:], 0)).tolist() == list(range(10))


def test_the_interval_of_a_bin_is_wilsons():
    [found] = calibration(np.full(10, 0.42), np.arange(10) < 7)
    z = stats.norm.ppf(0.975)
    centre, half = (0.7 + z**2 / 20) / (1 + z**2 / 10), z / (1 + z**2 / 10) * np.sqrt(0.021 + z**2 / 400)
    assert (found.exams, found.stated, found.observed) == (10, pytest.approx(0.42), 0.7)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))


def test_one_class_or_three_have_no_curve():
    pooled = made_pooled(0)
    assert is_binary(pooled)
    assert not is_binary(None)
    assert not is_binary(replace(pooled, labels=np.ones(60, dtype=int)))
    assert not is_binary(replace(pooled, probabilities=np.full((60, 3), 1 / 3)))
