"""Statistics without each patient, computed in one pass, equal those computed without that patient, in time."""

import time
from functools import partial

import numpy as np
import pytest
from gazekit_components import gazekit_metrics
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from gazekit.measures.classification import metrics
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class, separates_nothing
from gazekit.measures.offered import OfferedMetric
from gazekit.measures.statistics.intervals import mean_interval, patient_bootstrap
from gazekit.measures.statistics.leaving_out import one_by_one
from gazekit.registry.component import Provenance
from gazekit.reporting.drawing.charts.classification import roc_figure


def made(seed, exams, patients, classes, digits):
    """Probabilities with ties, labels of at least two classes, a patient of each exam, every patient with one."""
    rng = np.random.default_rng(seed)
    chances = np.round(rng.dirichlet(np.ones(classes), size=exams), digits)
    chances /= chances.sum(axis=1, keepdims=True)
    labels = rng.integers(0, classes, size=exams)
    labels[:2] = 0, 1
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, size=exams - patients)])
    return chances, labels, rng.permutation(patient)


@settings(max_examples=60, deadline=None)
@given(
    seed=some.integers(0, 10**6),
    exams=some.integers(4, 60),
    share=some.floats(0.05, 1),
    classes=some.integers(2, 4),
    digits=some.sampled_from([1, 2, 8]),
)
def test_every_metric_without_each_patient(seed, exams, share, classes, digits):
    chances, labels, patient = made(seed, exams, max(2, int(share * exams)), classes, digits)
    for name, statistic in metrics._statistics(chances, labels).items():
        with np.errstate(all="ignore"):
            slowly = without_each(statistic.of, patient)
        at_once = statistic.leaving_out(patient)
        np.testing.assert_allclose(at_once, slowly, atol=1e-12, rtol=0, err_msg=name)


@pytest.mark.parametrize("exams_each", [1, 3])
@pytest.mark.parametrize("classes", [2, 3])
def test_intervals_are_scipys_own(exams_each, classes):
    chances, labels, _ = made(1, 60, 60, classes, 3)
    patients = np.arange(60) // exams_each
    names = [f"{patient:03d}" for patient in patients]
    found = metrics.classification_metrics(chances, labels, names, seed=5, resamples=300)
    for name, statistic in metrics._statistics(chances, labels).items():
        counted = partial(counts_of, of=statistic.of, patients=patients)
        theirs = stats.bootstrap(
            (np.arange(patients.max() + 1),),
            counted,
            n_resamples=300,
            method="BCa",
            vectorized=True,
            rng=np.random.default_rng(5),
        ).confidence_interval
        assert found[name].method == "BCa"
        assert (found[name].low, found[name].high) == pytest.approx((theirs.low, theirs.high), abs=1e-12), (
            name
        )


def counts_of(drawn, axis, of, patients):
    rows = drawn.reshape(-1, drawn.shape[-1])
    weights = np.stack([np.bincount(row, minlength=patients.max() + 1) for row in rows]).astype(float)
    return of(weights[:, patients]).reshape(drawn.shape[:-1])


def without_each(statistic, patient):
    """The statistic of the exams of all patients but one, patient by patient: the slow way."""
    return np.concatenate(
        [statistic((patient != each)[None].astype(np.float64)) for each in range(patient.max() + 1)]
    )


@settings(max_examples=60, deadline=None)
@given(seed=some.integers(0, 10**6), exams=some.integers(4, 60), patients=some.integers(2, 20))
def test_patients_whose_exams_are_alike_are_left_out_once(seed, exams, patients):
    *_, patient = made(seed, exams, min(patients, exams), 2, 8)
    kind = np.random.default_rng(seed).integers(0, 3, exams)
    calls = 0

    def statistic(weights):
        nonlocal calls
        calls += len(weights)
        return (weights @ (kind * 2.0 + 1)) ** 3 / weights.sum(axis=1).clip(1)

    np.testing.assert_array_equal(one_by_one(statistic, patient, kind), without_each(statistic, patient))
    calls = 0
    one_by_one(statistic, patient, kind)
    assert calls == len({tuple(sorted(kind[patient == each].tolist())) for each in range(patient.max() + 1)})


def test_of_many_patients_groups_are_left_out_and_the_interval_stays():
    random = np.random.default_rng(3)
    values = random.exponential(size=6000) ** 2  # skewed, so that the acceleration counts
    patient = np.arange(6000) // 2
    calls = 0

    def mean(weights):
        nonlocal calls
        calls += len(weights)
        return weights @ values / weights.sum(axis=1)

    left = one_by_one(mean, patient)
    assert left.shape == (2000,) and calls == 2000
    assert left[7] == pytest.approx(values[~np.isin(patient, [7, 2007])].mean(), rel=1e-12)
    names = [f"{each:05d}" for each in patient]
    short = patient_bootstrap(mean, names, resamples=500)
    whole = patient_bootstrap(mean, names, resamples=500, leaving_out=partial(without_each, mean))
    half = (whole.high - whole.low) / 2
    assert short.method == whole.method == "BCa" and short.value == whole.value
    assert abs(short.low - whole.low) < 0.05 * half and abs(short.high - whole.high) < 0.05 * half


def seconds(exams):
    chances, labels, patient = made(0, exams, exams, 2, 8)
    names = [f"{each}" for each in patient]
    begin = time.process_time()
    for statistic in metrics._statistics(chances, labels).values():
        patient_bootstrap(statistic.of, names, resamples=20, leaving_out=statistic.leaving_out)
    mean_interval(chances[:, 1], names, resamples=20)
    pooled = Pooled(names, names, labels, chances)
    called = called_class(chances)
    for name, metric in gazekit_metrics().items():
        OfferedMetric(name, metric(), Provenance("ours", "ours", "1")).interval(pooled, called, resamples=20)
    separates_nothing(chances[:, 1], labels, ("0", "1"))
    roc_figure({"ours": pooled}, {"ours": mean_interval(chances[:, 1], names, resamples=20)})
    return time.process_time() - begin


def test_ten_times_the_exams_take_about_ten_times_as_long():
    """The square would be a hundred times: with so few resamples it would be nearly all that is done."""
    seconds(500)
    few, many = (min(seconds(exams) for _ in range(2)) for exams in (1000, 10_000))
    assert many < 30 * few, (few, many)
