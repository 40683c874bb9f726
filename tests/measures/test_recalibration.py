"""Calibration intercept and slope, and likelihood ratios, against other implementations and closed forms."""

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.linear_model import LogisticRegression

from gazekit.measures.classification.likelihood_ratios import likelihood_ratios
from gazekit.measures.classification.recalibration import recalibration


def both(stated):
    """Probabilities of the negative and the positive class."""
    return np.stack([1 - np.asarray(stated), stated], axis=1)


def predicted(seed: int, exams: int, *, intercept: float = 0.0, slope: float = 1.0):
    """Truth and stated probabilities whose intercept (given the slope) and slope are those."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.5, exams)
    return rng.uniform(size=exams) < special.expit(intercept + slope * logits), special.expit(logits)


@pytest.mark.parametrize(("seed", "slope"), [(0, 1.0), (1, 0.4), (2, -0.7), (3, 3.0)])
def test_the_slope_is_that_of_scikit_learn_and_the_intercept_makes_the_mean_right(
    seed: int, slope: float
) -> None:
    positive, stated = predicted(seed, 150, intercept=0.8, slope=slope)
    found = recalibration(positive, both(stated), np.arange(150).astype(str).tolist())
    logits = special.logit(stated)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], positive)
    assert found["calibration_slope"].value == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    intercept = optimize.brentq(lambda a: (special.expit(a + logits) - positive).sum(), -20, 20)
    assert found["calibration_intercept"].value == pytest.approx(intercept, abs=1e-8)


def test_the_intervals_cover_the_truth_of_patients_whose_exams_are_alike() -> None:
    covered = np.zeros(2)
    for seed in range(300):
        positive, stated = predicted(seed, 80, intercept=0.5, slope=1.0)
        patients = np.repeat(np.arange(80), 3).astype(str).tolist()
        found = recalibration(np.repeat(positive, 3), both(np.repeat(stated, 3)), patients)
        covered += [
            found["calibration_intercept"].low < 0.5 < found["calibration_intercept"].high,
            found["calibration_slope"].low < 1 < found["calibration_slope"].high,
        ]
    assert (covered / 300 == pytest.approx(0.95, abs=0.035)) and covered.max() < 300


def test_copies_of_a_patients_exam_add_no_certainty() -> None:
    positive, stated = predicted(4, 60)
    once = recalibration(positive, both(stated), np.arange(60).astype(str).tolist())
    thrice = recalibration(
        np.repeat(positive, 3), both(np.repeat(stated, 3)), np.repeat(np.arange(60), 3).astype(str).tolist()
    )
    for name, found in once.items():
        assert found.value == pytest.approx(thrice[name].value)
        assert thrice[name].high - thrice[name].low > 0.85 * (found.high - found.low), name


def test_probabilities_that_are_sure_and_right_leave_the_intercept_open() -> None:
    """Their residuals are tiny: 8 exams that are right say little of the next one."""
    positive = np.repeat([False, True], 4)
    stated = np.where(positive, 0.997, 0.003)
    found = recalibration(positive, both(stated), list("abcdefgh"))["calibration_intercept"]
    reach = stats.t(7).ppf(0.975) / np.sqrt(8 * 0.997 * 0.003)
    assert (found.value, found.low, found.high) == pytest.approx((0, -reach, reach), abs=1e-6)


def test_separated_classes_have_no_slope_and_probabilities_of_0_or_1_neither() -> None:
    positive, patients = np.array([False, False, True, True]), list("abcd")
    for stated in ([0.1, 0.3, 0.6, 0.8], [0.8, 0.6, 0.3, 0.1], [0.1, 0.3, 0.3, 0.8], [0.4] * 4):
        found = recalibration(positive, both(stated), patients)
        assert np.isnan(found["calibration_slope"].value), stated
        assert np.isfinite(found["calibration_intercept"].value)
    for stated in ([0.0, 0.7, 0.6, 0.8], [0.1, 0.7, 0.6, 1.0]):
        assert all(np.isnan(each.value) for each in recalibration(positive, both(stated), patients).values())
    alone = recalibration(positive, both([0.1, 0.7, 0.6, 0.8]), list("abcc"))
    assert all(np.isfinite(each.value) and np.isnan(each.low) for each in alone.values())


def test_extreme_probabilities_are_fitted() -> None:
    """Of logits of -25 and 25, 0.2 and 0.9 came true: the loss of the intercept is flat in the middle."""
    stated = special.expit(np.repeat([-25.0, 25.0], 20))
    positive = np.repeat([False, True, False], [16, 22, 2])
    found = recalibration(positive, both(stated), np.arange(40).astype(str).tolist())
    share = positive.mean()
    assert special.expit(
        found["calibration_intercept"].value + special.logit(stated)
    ).mean() == pytest.approx(share)
    assert found["calibration_slope"].value == pytest.approx((special.logit(0.9) - special.logit(0.2)) / 50)


def test_probabilities_that_are_1_in_float32_have_the_logit_of_the_other_class() -> None:
    logits = np.linspace(-40, 40, 60)
    positive = np.random.default_rng(0).uniform(size=60) < special.expit(logits / 20)
    stated = special.softmax(np.stack([-logits / 2, logits / 2], axis=1), axis=1).astype(np.float32)
    assert (stated == 1).any() and (stated > 0).all()
    found = recalibration(positive, stated.astype(np.float64), np.arange(60).astype(str).tolist())
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], positive)
    assert found["calibration_slope"].value == pytest.approx(theirs.coef_[0, 0], rel=1e-3)


@pytest.mark.parametrize("logit", [-300.0, -5.8, 5.8, 36.0])
@pytest.mark.parametrize("rare", [True, False])
def test_probabilities_that_are_all_far_off_are_made_right_on_the_whole(logit: float, rare: bool) -> None:
    """The first step of Newton leads beyond the other end, where every probability is 1 and no step leads back."""
    positive = (np.arange(22) == 7) == rare
    stated = special.expit(logit + np.linspace(-0.1, 0.1, 22))
    found = recalibration(positive, both(stated), np.arange(22).astype(str).tolist())["calibration_intercept"]
    assert special.expit(found.value + special.logit(stated)).mean() == pytest.approx(positive.mean())


def test_likelihood_ratios_have_the_interval_of_simel_with_students_t() -> None:
    """34 of 50 positive and 9 of 70 negative exams are called positive, each of another patient."""
    positive = np.repeat([True, False], [50, 70])
    called = np.r_[np.arange(50) < 34, np.arange(70) < 9]
    found = likelihood_ratios(positive, called, np.arange(120).astype(str).tolist())
    for name, hits, alarms in (("positive", 34, 9), ("negative", 16, 61)):
        ratio = (hits / 50) / (alarms / 70)
        spread = np.sqrt(120 / 119 * (1 / hits - 1 / 50 + 1 / alarms - 1 / 70))
        ends = np.exp(np.log(ratio) + np.array(stats.t.interval(0.95, 119)) * spread)
        each = found[f"{name}_likelihood_ratio"]
        assert (each.value, each.low, each.high) == pytest.approx((ratio, *ends))


def test_a_likelihood_ratio_of_0_has_no_interval_and_a_division_by_0_is_none() -> None:
    positive, patients = np.array([True, True, False, False]), list("abcd")
    perfect = likelihood_ratios(positive, positive, patients)
    assert np.isnan(perfect["positive_likelihood_ratio"].value)
    negative = perfect["negative_likelihood_ratio"]
    assert negative.value == 0 and np.isnan(negative.low) and np.isnan(negative.high)
    nobody = likelihood_ratios(positive, ~positive & positive, patients)
    assert (
        np.isnan(nobody["positive_likelihood_ratio"].value) and nobody["negative_likelihood_ratio"].value == 1
    )


def test_a_single_patient_of_a_class_gives_a_likelihood_ratio_no_interval() -> None:
    """Whatever the one patient is like, sensitivity or specificity of others may be anything."""
    one, called = np.arange(20) < 2, np.arange(20) % 3 == 0
    patients = ["a", "a", *(f"p{n}" for n in range(18))]
    for positive, call in ((one, called), (~one, ~called)):
        found = likelihood_ratios(positive, call, patients)
        assert all(np.isfinite(each.value) and np.isnan(each.low) for each in found.values())
