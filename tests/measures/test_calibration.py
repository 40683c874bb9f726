"""Calibrations against grid search, scikit-learn and closed forms; thresholds against every cut."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import DataError
from gazekit.measures.classification.calibration import (
    MOST,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    log_loss,
    threshold_at_specificity,
)
from gazekit.prediction.calibration import Calibration


def overconfident(seed, exams=400, classes=2, factor=3.0):
    """Logits whose classes were drawn from ``softmax(z / factor)``, and these classes."""
    random = np.random.default_rng(seed)
    logits = factor * random.normal(size=(exams, classes)) * 1.5
    if classes == 2:
        logits[:, 0] = 0
    chances = np.exp(logits / factor) / np.exp(logits / factor).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in chances])
    return (logits[:, 1:] if classes == 2 else logits), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_log_loss_is_that_of_a_loop(classes):
    logits, labels = overconfident(0, 30, classes)
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        scores = [0.0, *row] if classes == 2 else list(row)
        scores = [score / 1.7 for score in scores]
        total -= scores[label] - np.log(sum(np.exp(score) for score in scores))
    assert log_loss(logits, labels, 1.7) == pytest.approx(total / 30)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_is_that_of_the_smallest_loss_and_near_the_true_one(classes, factor):
    logits, labels = overconfident(1, 600, classes, factor)
    found = fit_temperature(logits, labels)
    grid = np.exp(np.linspace(np.log(0.1), np.log(10), 4001))
    best = grid[np.argmin([log_loss(logits, labels, each) for each in grid])]
    assert found == pytest.approx(best, rel=2e-3)
    assert found == pytest.approx(factor, rel=0.25)


def test_a_temperature_stays_within_its_limits():
    labels = np.array([0, 0, 1, 1])
    assert fit_temperature(np.array([[-2.0], [-1.0], [1.0], [2.0]]), labels) == pytest.approx(
        1 / MOST, rel=1e-3
    )
    assert fit_temperature(np.array([[2.0], [1.0], [-1.0], [-2.0]]), labels) == pytest.approx(MOST, rel=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_platt_scaling_is_the_logistic_regression_of_scikit_learn(share):
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(3)
    positive = random.random(400) < share
    logits = 1.5 * (
        random.normal(size=400) + 1.5 * positive - 0.75
    )  # of a network that weighed the classes alike
    temperature, shift = fit_platt(logits, positive)
    exact = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], positive)
    assert 1 / temperature == pytest.approx(exact.coef_[0, 0], rel=1e-4)
    assert shift == pytest.approx(exact.intercept_[0], abs=1e-4)
    calibration = Calibration("platt", temperature, shift=shift)
    found = calibration.probabilities(torch.as_tensor(logits)[:, None])[:, 1].numpy()
    assert found.mean() == pytest.approx(positive.mean(), abs=1e-9)
    assert (np.argsort(found) == np.argsort(logits)).all()
    assert "shift" in calibration.words()


def test_platt_scaling_of_exams_in_perfect_order_stays_finite():
    logits, positive = np.array([-3.0, -1.0, 0.5, 2.0]), np.array([False, False, False, True])
    temperature, shift = fit_platt(logits, positive)
    assert temperature == pytest.approx(1 / MOST, rel=1e-3) and np.isfinite(shift)
    assert (logits[-1] / temperature + shift) > 0 > (logits[-2] / temperature + shift)


def test_a_temperature_divides_logits_and_keeps_the_order():
    logits = torch.tensor([[2.0], [-1.0]])
    found = Calibration("temperature", 2.0).probabilities(logits)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp([-1.0, 0.5])), rtol=1e-6)
    several = torch.randn(4, 3)
    assert torch.equal(Calibration("temperature", 2.0).probabilities(several), (several / 2).softmax(dim=1))


@given(seed=st.integers(0, 10_000), exams=st.integers(2, 60), digits=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_isotonic_regression_is_that_of_scikit_learn(seed, exams, digits):
    isotonic = pytest.importorskip("sklearn.isotonic")
    random = np.random.default_rng(seed)
    stated = np.clip(np.round(random.uniform(0, 1, exams), digits), 0.01, 0.99)
    positive = random.uniform(size=exams) < stated**2
    knots = fit_isotonic(stated, positive)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(knots))
    asked = np.r_[stated, random.uniform(0.01, 0.99, 20)]
    logits = torch.tensor(np.log(asked / (1 - asked)))[:, None]  # float64
    found = Calibration("isotonic", knots=knots).probabilities(logits)
    theirs = isotonic.IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(stated, positive)
    np.testing.assert_allclose(found[:, 1], theirs.predict(asked), atol=1e-6)
    np.testing.assert_allclose(found.sum(dim=1), 1)


@given(seed=st.integers(0, 10_000), specificity=st.sampled_from([0.5, 0.8, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_the_threshold_is_the_lowest_of_its_specificity(seed, specificity):
    random = np.random.default_rng(seed)
    scores = np.round(random.uniform(0.01, 0.99, 40), 2)
    positive = np.arange(40) % 3 == 0
    found = threshold_at_specificity(scores, positive, specificity)
    assert np.mean(scores[~positive] <= found) >= specificity
    lower = np.unique(scores)[np.unique(scores) < found][
        :-1
    ]  # thresholds that call one score more, or several
    assert all(np.mean(scores[~positive] <= cut) < specificity for cut in lower)


def test_where_no_threshold_has_the_specificity_it_is_said():
    with pytest.raises(DataError, match=r"no threshold has a specificity of 0\.9"):
        threshold_at_specificity(np.ones(10), np.arange(10) < 5, 0.9)


@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_at_a_specificity_is_that_of_trying_every_threshold(seed):
    random = np.random.default_rng(seed)
    scores, positive = random.random(60).round(1 + seed % 2), random.random(60) < 0.5
    found = threshold_at_specificity(scores, positive, 0.8)
    values = np.unique(scores)
    cuts = [values[0] / 2, *((values[1:] + values[:-1]) / 2), (values[-1] + 1) / 2]
    assert found == next(
        cut for cut in cuts if (scores[~positive] <= cut).mean() >= 0.8 - 1e-12 and 0 < cut < 1
    )


def test_a_threshold_beyond_the_outermost_scores_lies_halfway_to_the_end_of_the_scale():
    scores, positive = np.array([0.2, 0.4, 0.6, 0.8]), np.array([True, False, True, False])
    assert threshold_at_specificity(scores, positive, 0.0) == pytest.approx(0.1)  # every exam is called
    assert threshold_at_specificity(scores, positive, 1.0) == pytest.approx(0.9)
