from dataclasses import replace

import numpy as np
import pytest
from made_study import made_pooled

from gazekit.errors import DataError
from gazekit.measures.classification.curves import THRESHOLDS, band, net_benefit, precision_recall, roc
from gazekit.measures.classification.metrics import auc, average_precision
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.statistics.intervals import Interval
from gazekit.reporting.drawing.charts.classification import (
    calibration_figure,
    decision_figure,
    precision_recall_figure,
    roc_figure,
)
from gazekit.reporting.drawing.charts.training import training_figure
from gazekit.reporting.run.curve_sections import curve_sections

INTERVAL = Interval(0.8125, 0.701, 0.9)
ONE = np.ones((1, 60))


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def drawn(figure):
    """Title → the curve of a system, without its interval."""
    named = lines(figure.axes[0]).items()
    return {label.split(":")[0]: line for label, line in named if not label.startswith("_")}


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_the_area_under_the_drawn_curve_is_the_auc(digits):
    systems = {"a": made_pooled(0, digits=digits), "b": made_pooled(1, digits=digits)}
    figure = roc_figure(systems, dict.fromkeys(systems, INTERVAL))
    for title, pooled in systems.items():
        x, y = drawn(figure)[title].get_data()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        area = auc(pooled.labels == 1, pooled.probabilities[:, 1], ONE)[0]
        assert np.trapezoid(y, x) == pytest.approx(area)


def test_curves_are_named_with_their_area_and_interval_the_first_system_first():
    systems = {"ours": made_pooled(0), "theirs": made_pooled(1)}
    for figure in (
        roc_figure(systems, dict.fromkeys(systems, INTERVAL)),
        precision_recall_figure(systems, dict.fromkeys(systems, INTERVAL)),
    ):
        words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert words == ["ours: 0.812 [0.701, 0.900]", "theirs: 0.812 [0.701, 0.900]"]


@pytest.mark.parametrize(("draw", "curve"), [(roc_figure, roc), (precision_recall_figure, precision_recall)])
def test_the_band_is_drawn_around_its_curve(draw, curve):
    pooled = made_pooled(0)
    [filled] = draw({"one": pooled}, {"one": INTERVAL}).axes[0].collections
    low, high = band(curve, pooled)
    vertices = filled.get_paths()[0].vertices
    assert vertices[:, 1].min() == pytest.approx(low.min())
    assert vertices[:, 1].max() == pytest.approx(high.max())


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curve(label):
    pooled = replace(made_pooled(0), labels=np.full(60, label))
    with pytest.raises(DataError, match="all 60 exams have one label"):
        roc_figure({"one": pooled}, {"one": INTERVAL})


def test_average_precision_is_the_area_under_the_steps_of_precision():
    pooled = made_pooled(0)
    fine = precision_recall(pooled)[1:]  # the precision that is reached at each hundredth of recall
    area = average_precision(pooled.labels == 1, pooled.probabilities[:, 1], ONE)[0]
    assert fine.mean() == pytest.approx(area, abs=0.01)
    axes = precision_recall_figure({"one": pooled}, {"one": INTERVAL}).axes[0]
    [chance] = [line for line in axes.lines if line.is_dashed()]
    assert set(chance.get_ydata()) == {(pooled.labels == 1).mean()} != {0.5}


def test_calibration_shows_frequencies_with_intervals_and_all_exams():
    rng = np.random.default_rng(0)
    stated = rng.random(200)
    positive = rng.random(200) < stated
    figure = calibration_figure({"one": (stated, positive)}, "P")
    points = lines(figure.axes[0])["one"]
    inside = (stated >= 0.3) & (stated < 0.4)
    assert points.get_ydata()[3] == pytest.approx(positive[inside].mean())
    assert points.get_xdata()[3] == pytest.approx(stated[inside].mean())
    counts = figure.axes[1].patches[0].get_data().values
    assert counts.sum() == 200 and counts[3] == inside.sum()


def test_calibration_of_three_classes_is_that_of_the_class_called():
    rng = np.random.default_rng(0)
    chances, labels = rng.dirichlet(np.ones(3), size=90), rng.integers(0, 3, 90)
    names = [str(k) for k in range(90)]
    pooled = Pooled(names, names, labels, chances)
    [section] = curve_sections({"one": pooled}, {"one": {"classification": {}}}, {"one": False}, "90 exams")
    points = lines(section.figure.axes[0])["one"]
    stated = chances.max(axis=1)
    inside = (stated >= 0.5) & (stated < 0.6)
    right = [label == np.argmax(row) for row, label in zip(chances[inside], labels[inside], strict=True)]
    place = np.flatnonzero(np.isclose(points.get_xdata(), stated[inside].mean()))
    assert points.get_ydata()[place] == pytest.approx(np.mean(right))


def test_a_decision_curve_is_drawn_over_treating_all_and_none():
    systems = {"with": made_pooled(0), "without": made_pooled(1)}
    figure = decision_figure(systems)
    found = lines(figure.axes[0])
    assert list(found) == ["with", "without", "treat all", "treat none"]
    for title, pooled in systems.items():
        assert found[title].get_xdata() == pytest.approx(THRESHOLDS)
        assert found[title].get_ydata() == pytest.approx(net_benefit(pooled))
    share = (systems["with"].labels == 1).mean()
    at = THRESHOLDS.tolist().index(0.2)
    assert found["treat all"].get_ydata()[at] == pytest.approx(share - (1 - share) / 4)
    assert set(found["treat none"].get_ydata()) == {0}
    for filled, pooled in zip(figure.axes[0].collections, systems.values(), strict=True):
        low, high = band(net_benefit, pooled)
        vertices = filled.get_paths()[0].vertices
        assert (vertices[:, 1].min(), vertices[:, 1].max()) == pytest.approx((low.min(), high.max()))


@pytest.mark.parametrize("chance", [0.0, 0.004, 1.0])
def test_a_model_that_treats_all_or_none_has_a_decision_curve_in_sight(chance):
    pooled = replace(made_pooled(0), probabilities=np.tile([1 - chance, chance], (60, 1)))
    low, high = decision_figure({"one": pooled}).axes[0].get_ylim()
    assert low < 0 < (pooled.labels == 1).mean() < high


def test_beside_a_decision_curve_stand_prevalence_and_calibration():
    pooled = made_pooled(0)
    share, mean = (pooled.labels == 1).mean(), pooled.probabilities[:, 1].mean()
    measured = {"classification": {"auc": INTERVAL, "average_precision": INTERVAL}}

    def text(**calibrated):
        systems = list(calibrated)
        of_systems = dict.fromkeys(systems, pooled), dict.fromkeys(systems, measured)
        [section] = [
            each for each in curve_sections(*of_systems, calibrated, "x") if each.title == "Decision curve"
        ]
        return section.text

    assert f"the share of positive exams is {share:.3f}, as here" in text(one=False)
    assert f"probabilities: not calibrated (gazekit calibrate), {mean:.3f} on average." in text(one=False)
    assert f"probabilities: calibrated, {mean:.3f} on average." in text(one=True)
    both = text(ours=True, theirs=False)
    assert f"ours calibrated, {mean:.3f} on average; theirs not calibrated (gazekit calibrate), " in both


def epoch(number, val_auc, **terms):
    bookkeeping = {
        "step": 13 * number,
        "best_epoch": 1,
        "skipped_steps": 0,
        "learning_rate": 1e-4,
        "seconds": 2.0,
    }
    return {"epoch": number, "val_auc": val_auc, "val_loss": 0.7, **bookkeeping, **terms}


def test_every_loss_term_is_a_line_and_nothing_else_is():
    metrics = [epoch(i, 0.6, loss=3.0 / i, classification=0.7, feature_alignment=1.0 + i) for i in (1, 2, 3)]
    found = lines(training_figure(metrics).axes[0])
    assert set(found) == {"total", "classification", "feature alignment", "classification, validation"}
    assert found["total"].get_xdata().tolist() == [1, 2, 3]
    assert found["total"].get_ydata().tolist() == [3.0, 1.5, 1.0]
    assert found["feature alignment"].get_ydata().tolist() == [2.0, 3.0, 4.0]


def test_the_selected_epoch_is_marked():
    aucs = enumerate([0.6, 0.9, None, 0.9], start=1)
    metrics = [epoch(i, value, loss=1.0) | {"best_epoch": 2} for i, value in aucs]
    scores = lines(training_figure(metrics).axes[1])
    marked = scores["selected: epoch 2, AUC 0.900"]
    assert (list(marked.get_xdata()), list(marked.get_ydata())) == ([2], [0.9])
    drawn = next(line for line in scores.values() if len(line.get_xdata()) == 4)
    assert np.isnan(drawn.get_ydata()).tolist() == [False, False, True, False]


def test_an_auc_below_chance_stays_in_sight():
    axes = training_figure([epoch(1, 0.2, loss=1.0)]).axes[1]
    assert axes.get_ylim()[0] < 0.2


def test_a_term_that_begins_later_leaves_a_gap():
    metrics = [epoch(1, 0.6, loss=1.0), epoch(2, 0.7, loss=0.9, gaze=0.4)]
    assert np.isnan(lines(training_figure(metrics).axes[0])["gaze"].get_ydata()).tolist() == [True, False]


def test_of_several_runs_each_has_its_line_and_each_term_is_named_once():
    first = [epoch(1, 0.6, loss=1.0), epoch(2, 0.9, loss=0.8) | {"best_epoch": 2}]
    second = [epoch(1, 0.3, loss=2.0, gaze=0.4)]  # shorter, and with a term of its own
    losses, scores = training_figure(first, second).axes
    named = [line.get_label() for line in losses.lines if not line.get_label().startswith("_")]
    assert named == ["total", "gaze", "classification, validation"]
    totals = [
        list(line.get_ydata())
        for line in losses.lines
        if line.get_color() == lines(losses)["total"].get_color()
    ]
    assert totals == [[1.0, 0.8], [2.0]]
    marked = [line.get_xydata().tolist() for line in scores.lines if line.get_linestyle() == "None"]
    assert marked == [[[2, 0.9]], [[1, 0.3]]]
    assert scores.get_ylim()[0] < 0.3


@pytest.mark.parametrize("runs", [[], [[]], [[epoch(1, 0.6, loss=1.0)], []]])
def test_no_epoch_is_refused(runs):
    with pytest.raises(DataError, match="no epoch yet"):
        training_figure(*runs)


def test_the_curve_has_the_share_of_each_class_at_every_score():
    pooled = made_pooled(2, digits=2)
    figure = roc_figure({"ours": pooled}, {"ours": Interval(0.8, 0.7, 0.9)})
    x, y = next(line for line in figure.axes[0].lines if line.get_label().startswith("ours")).get_data()
    positive, score = pooled.labels == 1, pooled.probabilities[:, 1]
    thresholds = np.unique(score)[::-1]
    assert list(x) == [0.0, *((score[~positive] >= t).mean() for t in thresholds)]
    assert list(y) == [0.0, *((score[positive] >= t).mean() for t in thresholds)]
