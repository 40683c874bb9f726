"""A metric of one's own: one class and one line of a table, and every number of gazekit has it."""

import math
import os
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_study import made_pooled, made_result, made_rows

import gazekit
from gazekit.measures.catalogue import CHECKS, MEASURES
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.offered import differences, measure_offered, offered_metrics
from gazekit.measures.statistics.intervals import paired_bootstrap
from gazekit.registry.component import Provenance
from gazekit.reporting.run.measure_rows import measure_groups
from gazekit.reporting.study.formats import tidy_csv
from gazekit.reporting.study.table import study_table
from gazekit.runs.evaluation import evaluate_run
from gazekit.runs.trained import open_trained
from gazekit.study.results.pooling import RunRecord, estimates
from gazekit.study.results.result import StudyResult
from gazekit.testing import check_component
from gazekit.testing.plugin import registry_with


class LogLoss:
    """Mean surprise of the truth, in bits."""

    title = "Log loss"
    higher_is_better = False

    def __call__(self, truth, probabilities):
        return float(-np.log2(probabilities[np.arange(len(truth)), truth] + 1e-9).mean())


class Spared:
    """Share of negative exams that are called negative."""

    title = "Spared"
    higher_is_better = True
    scale = (0.0, 1.0)
    reads = "calls"

    def __call__(self, truth, probabilities):
        return probabilities[truth == 0, 0].mean() if (truth == 0).any() else math.nan


class WronglyDirected(Spared):
    higher_is_better = False


class CountsClassesWithoutWeight:
    """Mean over the classes of the exams, whether they weigh anything or not."""

    title = "Balanced accuracy"
    higher_is_better = True
    reads = "calls"

    def __call__(self, truth, probabilities):
        return float(self.weighted(truth, probabilities, np.ones((1, len(truth))))[0])

    def weighted(self, truth, probabilities, weights):
        classes = [truth == label for label in np.unique(truth)]
        right = probabilities[np.arange(len(truth)), truth]
        return np.mean([weights[:, of] @ right[of] / weights[:, of].sum(1).clip(1) for of in classes], axis=0)


class HalvesInPlace(LogLoss):
    def weighted(self, truth, probabilities, weights):
        value = np.array(
            [self(np.repeat(truth, row), np.repeat(probabilities, row, 0)) for row in weights.astype(int)]
        )
        probabilities /= 2
        return value


class Broken(LogLoss):
    def __call__(self, truth, probabilities):
        raise ZeroDivisionError("no exams")


class Plugin:
    def __init__(self, **metrics):
        self.metrics = metrics

    @gazekit.hookimpl
    def gazekit_metrics(self):
        return self.metrics


def offered(**metrics):
    return registry_with(Plugin(**metrics), Provenance("mine", "my-metrics", "1.2"))


@pytest.fixture(scope="module")
def mine():
    return offered(log_loss=LogLoss, spared=Spared)


def test_it_keeps_the_contract():
    check_component("metric", LogLoss)
    check_component("metric", Spared)


@pytest.mark.parametrize(
    ("cls", "promised"),
    [
        (
            WronglyDirected,
            "higher_is_better = False; came: 1.0 for predictions of 2 classes that are all right, 0.0 for",
        ),
        (CountsClassesWithoutWeight, "weighted as of repeated exams"),
        (HalvesInPlace, "weighted to leave its arrays as they are"),
    ],
)
def test_each_promise_can_be_broken(cls, promised):
    with pytest.raises(AssertionError, match=promised):
        check_component("metric", cls)


def test_a_metric_that_changes_its_arrays_changes_no_other():
    ours, theirs = made_pooled(0), made_pooled(1)
    alone = differences(offered_metrics(offered(later=LogLoss)), ours, theirs, resamples=50)
    beside = differences(
        offered_metrics(offered(first=HalvesInPlace, later=LogLoss)), ours, theirs, resamples=50
    )
    assert beside["later"] == alone["later"]


def test_a_difference_of_calls_is_that_at_the_threshold_of_each_system(mine):
    ours, theirs = made_pooled(0), made_pooled(1)
    found = differences(offered_metrics(mine), ours, theirs, thresholds=(0.3, 0.6), resamples=50)["spared"]
    negative = ours.labels == 0
    shares = [np.mean(each.probabilities[negative, 1] <= cut) for each, cut in ((ours, 0.3), (theirs, 0.6))]
    assert found.value.value == pytest.approx(shares[0] - shares[1])


def test_evaluation_has_it_with_an_interval(mine, tiny_run, dataset, tmp_path):
    import shutil

    run = shutil.copytree(tiny_run, tmp_path / "run")
    trained = open_trained(run, mine, torch.device("cpu"))
    found = evaluate_run(trained, dataset, "all", resamples=100)["metrics"]["classification"]
    assert {"auc", "f1", "log_loss", "spared"} <= set(found) and "quadratic_kappa" not in found
    predictions = trained.predict(dataset, "all")
    chances = np.asarray(predictions.probabilities, dtype=np.float64)
    truth = dataset.labels[predictions.indices]
    assert found["log_loss"]["value"] == pytest.approx(LogLoss()(truth, chances))
    called = chances[:, 1] > 0.5
    assert found["spared"]["value"] == pytest.approx(np.mean(~called[truth == 0]))
    assert found["log_loss"]["low"] < found["log_loss"]["value"] < found["log_loss"]["high"]


def test_a_report_has_a_row_and_a_study_a_column(mine):
    metrics = {name: each for name, each in offered_metrics(mine).items() if name in ("log_loss", "spared")}
    ours, theirs = made_pooled(0), made_pooled(1)
    intervals = measure_offered(metrics, ours, called_class(ours.probabilities), resamples=100)
    entries = {name: metric.measure for name, metric in metrics.items()}
    [group] = measure_groups({"mine": {"classification": intervals}}, MEASURES | entries)
    assert [(row["title"], row["meaning"]) for row in group["rows"]] == [
        ("Log loss", "Mean surprise of the truth, in bits; lower is better"),
        ("Spared", "Share of negative exams that are called negative."),
    ]
    record = RunRecord("fold-1", {"log_loss": 0.5, "spared": 0.7}, {})
    found = estimates([record], ours, metrics=metrics, resamples=100)
    assert found["log_loss"].mean == 0.5 and found["log_loss"].pooled == intervals["log_loss"]
    reference, better, *_ = made_rows()
    compared = differences(metrics, ours, theirs, resamples=100)
    rows = (reference, replace(better, metrics=better.metrics | found, differences=compared))
    result = made_result(rows=rows, measures=entries)
    blocks = {block.title: block for block in study_table(result).blocks}
    further = blocks["Further measures of the classification"]
    assert further.columns == ("Brier score", "Log loss", "Spared")
    assert further.lines[1].cells[1:] == ("0.500", "0.700")
    difference = blocks["Against mammonet, Log loss"]
    assert difference.lines[0].cells[0] == "reference" and difference.lines[1].cells[0].startswith(("+", "−"))
    assert "log_loss_difference_low" in tidy_csv(result).splitlines()[0]


def test_results_of_a_study_are_read_without_the_plugin(mine, tmp_path):
    import json

    metrics = {"log_loss": offered_metrics(mine)["log_loss"]}
    compared = differences(metrics, made_pooled(0), made_pooled(1), resamples=100)
    reference, better, *_ = made_rows()
    measures = {"log_loss": metrics["log_loss"].measure}
    result = made_result(rows=(reference, replace(better, differences=compared)), measures=measures)
    (tmp_path / "results.json").write_text(json.dumps(result.to_json()))
    again = StudyResult.read(tmp_path / "results.json")
    assert (
        again.rows[1].differences == result.rows[1].differences
        and again.catalogue == MEASURES | measures | CHECKS
    )


def test_systems_are_compared_on_the_exams_that_both_predicted_and_a_system_with_itself_is_equal(mine):
    metrics = {"log_loss": offered_metrics(mine)["log_loss"]}
    ours, theirs = made_pooled(0), made_pooled(1)
    part, _ = theirs.common(replace(ours, exam_ids=[f"exam {i}" for i in range(10, 70)]))
    found = differences(metrics, ours, part, resamples=200)["log_loss"]
    kept, same = ours.common(part)
    assert len(kept.labels) == 50 and list(kept.exam_ids) == list(same.exam_ids)
    expected = LogLoss()(kept.labels, kept.probabilities) - LogLoss()(part.labels, part.probabilities)
    assert found.value.value == pytest.approx(expected)
    alike = differences(metrics, ours, ours, resamples=200)["log_loss"]
    assert (alike.value.value, alike.p) == (0, 1)


def test_a_p_below_five_percent_is_an_interval_without_zero():
    """Of a mean, p is near that of the t-test, and both agree on 0.05 whatever the shift."""
    from scipy import stats

    half = np.random.default_rng(0).normal(size=15)
    values = np.r_[half, -half]  # without skew, which the bootstrap would follow
    patients = [str(i) for i in range(30)]
    for shift in np.linspace(0, 1, 12):
        moved = values + shift
        interval, p = paired_bootstrap(
            lambda weights, moved=moved: weights @ moved / weights.sum(axis=1), patients, resamples=4000
        )
        expected = stats.ttest_1samp(moved, 0).pvalue
        assert abs(p - expected) < (0.01 if expected < 0.1 else 0.03)
        if abs(p - 0.05) > 0.004:
            assert (p < 0.05) == (interval.low > 0)


def test_a_metric_that_fails_is_left_out_with_its_distribution_and_version(mine):
    broken = offered(broken=Broken, log_loss=LogLoss)
    ours = made_pooled(0)
    with pytest.warns(
        UserWarning, match=r"metric 'broken' of my-metrics 1\.2 is left out: ZeroDivisionError"
    ):
        found = measure_offered(offered_metrics(broken), ours, called_class(ours.probabilities), resamples=50)
    assert "log_loss" in found and "broken" not in found


@pytest.mark.parametrize(
    "changed", [{"__call__": lambda *_: sys.exit(3)}, {"__call__": lambda *_: os._exit(3)}]
)
def test_a_metric_that_exits_is_left_out(changed):
    ours = made_pooled(0)
    with pytest.warns(UserWarning, match=r"metric 'ends' of my-metrics 1\.2 is left out: (System|Runtime)E"):
        found = measure_offered(
            offered_metrics(offered(ends=type("Ends", (LogLoss,), changed), log_loss=LogLoss)),
            *(ours, called_class(ours.probabilities)),
            resamples=50,
        )
    assert "log_loss" in found and "ends" not in found


def test_what_a_metric_prints_is_no_result(capsys):
    def loud(self, truth, probabilities):
        print("LOUD")
        return 0.5

    ours = made_pooled(0)
    metrics = offered_metrics(offered(loud=type("Loud", (LogLoss,), {"__call__": loud})))
    assert "loud" in measure_offered(metrics, ours, called_class(ours.probabilities), resamples=50)
    said = capsys.readouterr()
    assert said.out == "" and "LOUD" in said.err


def test_a_metric_may_not_take_the_name_of_a_measure():
    registry = offered(auc=LogLoss)
    assert "auc" not in offered_metrics(registry)
    [failure] = registry.failures
    assert "my-metrics 1.2: metric 'auc': gazekit has a measure of this name" in str(failure)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "has no title"),
        ({"higher_is_better": None}, "says no direction"),
        ({"reads": "logits"}, "expected 'probabilities' or 'calls'"),
        ({"__call__": lambda self, truth: 0.0}, r"is called with \(truth, probabilities\)"),
    ],
)
def test_a_metric_that_does_not_fit_is_said_when_it_is_loaded(changes, said):
    registry = offered(log_loss=type("Wrong", (LogLoss,), changes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "log_loss" not in offered_metrics(registry)
    assert len(registry.failures) == 1 and __import__("re").search(said, registry.failures[0].cause)
