"""The metrics that gazekit ships, against scikit-learn, torchmetrics and slow loops, with weights as repeated exams."""

import numpy as np
import pytest
import torch
from gazekit_components.metrics.f1 import F1
from gazekit_components.metrics.kappa import Kappa, LinearKappa, QuadraticKappa
from gazekit_components.metrics.partial_auc import PartialAUC
from gazekit_components.metrics.sensitivity_at_specificity import SensitivityAt80, SensitivityAt90
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.offered import OfferedMetric
from gazekit.measures.statistics.intervals import patient_bootstrap
from gazekit.registry.component import Provenance
from gazekit.testing import check_component

SHIPPED = [SensitivityAt80, SensitivityAt90, PartialAUC, F1, Kappa, LinearKappa, QuadraticKappa]


def made(seed, exams=60, classes=2, digits=2):
    """Truth and probabilities with ties."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, exams)
    truth[:classes] = np.arange(classes)
    logits = random.normal(size=(exams, classes)) + np.eye(classes)[truth]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if classes == 2:
        chances[:, 1] = np.round(chances[:, 1], digits)
        chances[:, 0] = 1 - chances[:, 1]
    return truth, chances


def calls(chances):
    return np.eye(chances.shape[1])[chances.argmax(axis=1)]


@pytest.mark.parametrize("metric", SHIPPED)
def test_every_shipped_metric_keeps_its_contract(metric):
    check_component("metric", metric)


@given(seed=st.integers(0, 10_000), exams=st.integers(4, 40), digits=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_sensitivity_is_the_best_of_any_threshold_of_that_specificity(seed, exams, digits):
    truth, chances = made(seed, exams, digits=digits)
    score = chances[:, 1]
    for metric, wanted in ((SensitivityAt80(), 0.8), (SensitivityAt90(), 0.9)):
        best = 0.0
        for threshold in (*np.unique(score), np.inf):
            called = score >= threshold
            if np.mean(~called[truth == 0]) >= wanted - 1e-9:
                best = max(best, np.mean(called[truth == 1]))
        assert metric(truth, chances) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_sensitivity_at_specificity_agrees_with_torchmetrics(seed):
    from torchmetrics.functional.classification import binary_sensitivity_at_specificity

    truth, chances = made(seed, 80)
    theirs, _ = binary_sensitivity_at_specificity(
        torch.tensor(chances[:, 1]), torch.tensor(truth), min_specificity=0.9
    )
    assert SensitivityAt90()(truth, chances) == pytest.approx(float(theirs))


@pytest.mark.parametrize("seed", range(5))
def test_partial_auc_agrees_with_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, chances = made(seed, 25)
    expected = metrics.roc_auc_score(truth, chances[:, 1], max_fpr=0.2)
    assert PartialAUC()(truth, chances) == pytest.approx(expected)


def test_partial_auc_of_guessing_and_of_perfection():
    truth = np.arange(40) % 2
    alike = np.full((40, 2), 0.5)
    assert PartialAUC()(truth, alike) == pytest.approx(0.5)
    assert PartialAUC()(truth, np.eye(2)[truth]) == pytest.approx(1)
    assert SensitivityAt80()(truth, alike) == 0 and SensitivityAt80()(truth, np.eye(2)[truth]) == 1


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_f1_and_kappa_agree_with_scikit_learn(seed, classes):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, chances = made(seed, classes=classes)
    called = chances.argmax(axis=1)
    average = "binary" if classes == 2 else "macro"
    assert F1()(truth, calls(chances)) == pytest.approx(metrics.f1_score(truth, called, average=average))
    for metric, weights in ((Kappa, None), (LinearKappa, "linear"), (QuadraticKappa, "quadratic")):
        found = metric()(truth, calls(chances))
        if classes == 2 and weights:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(metrics.cohen_kappa_score(truth, called, weights=weights))


@given(
    seed=st.integers(0, 10_000),
    exams=st.integers(3, 50),
    patients=st.integers(2, 50),
    digits=st.sampled_from([1, 2, 8]),
)
@settings(max_examples=60, deadline=None)
def test_left_out_in_one_pass_patients_give_the_values_of_the_slow_way(seed, exams, patients, digits):
    truth, chances = made(seed, exams, digits=digits)
    patients = min(patients, exams)
    random = np.random.default_rng(seed)
    patient = random.permutation(np.r_[np.arange(patients), random.integers(0, patients, exams - patients)])
    weights = (patient != np.arange(patients)[:, None]).astype(float)
    for metric in (SensitivityAt80(), SensitivityAt90()):
        slowly, at_once = (
            metric.weighted(truth, chances, weights),
            metric.leaving_out(truth, chances, patient),
        )
        np.testing.assert_array_equal(at_once, slowly)
    slowly, at_once = (
        PartialAUC().weighted(truth, chances, weights),
        PartialAUC().leaving_out(truth, chances, patient),
    )
    np.testing.assert_allclose(at_once, slowly, atol=1e-12, rtol=0)


@pytest.mark.parametrize("metric", SHIPPED)
def test_its_interval_is_that_of_leaving_out_patients_the_slow_way(metric):
    truth, chances = made(4, 90, digits=2)
    names = [f"{number // 2:02d}" for number in range(90)]
    pooled = Pooled(names, names, truth, chances)
    called = called_class(chances)
    found = OfferedMetric("metric", metric(), Provenance("a", "b", "c")).interval(
        pooled, called, resamples=300
    )
    given = calls(chances) if getattr(metric, "reads", "") == "calls" else chances

    def statistic(weights):
        return metric().weighted(truth, given, weights)

    def slowly(patient):
        return np.array([metric()(truth[patient != p], given[patient != p]) for p in range(45)])

    if found is not None:
        expected = patient_bootstrap(statistic, names, resamples=300, leaving_out=slowly)
        assert (found.value, found.low, found.high) == pytest.approx(
            (expected.value, expected.low, expected.high), abs=1e-12
        )


@pytest.mark.parametrize("metric", SHIPPED)
def test_exams_without_weight_are_as_if_they_were_not_there(metric):
    for classes in (2, 4):
        truth, chances = made(1, classes=classes)
        given = calls(chances) if getattr(metric, "reads", "") == "calls" else chances
        kept = np.arange(60) % 3 > 0
        weights = kept[None].astype(float)
        np.testing.assert_allclose(
            metric().weighted(truth, given, weights)[0], metric()(truth[kept], given[kept])
        )


def test_f1_of_a_resample_is_that_of_its_exams_though_it_lacks_a_class():
    truth, chances = made(2, 12, classes=3)
    truth[:] = [0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1, 0]  # one exam of class 2
    called = calls(chances)
    for kept in (truth != 2, np.arange(12) % 5 != 1):
        found = F1().weighted(truth, called, kept[None].astype(float))
        assert found[0] == pytest.approx(F1()(truth[kept], called[kept]))


@pytest.mark.parametrize(
    ("truth", "called", "by_class"),
    [
        ([0, 0, 1, 2], [0, 1, 1, 1], [2 / 3, 1 / 2, 0]),  # class 2 is never called: a miss
        ([0, 0, 1, 1], [0, 2, 1, 1], [2 / 3, 1]),  # no exam has class 2
    ],
)
def test_f1_averages_over_the_classes_that_exams_have(truth, called, by_class):
    assert F1()(np.array(truth), np.eye(3)[called]) == pytest.approx(np.mean(by_class))


def test_a_reversed_classifier_has_the_lowest_partial_auc_that_there_is():
    truth = np.array([0, 0, 1, 1, 1])
    chances = np.stack([truth, 1 - truth], axis=1).astype(float)
    assert PartialAUC()(truth, chances) == pytest.approx(PartialAUC.scale[0])
