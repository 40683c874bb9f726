import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.evaluation.metrics import auc
from gazekit.evaluation.statistics import Interval
from gazekit.report.charts import roc_figure, training_figure

INTERVAL = Interval(0.8125, 0.701, 0.9)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


@pytest.mark.parametrize("digits", [1, 8])
def test_the_area_under_the_drawn_curve_is_the_auc(digits):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(size=60) + labels, digits)
    figure = roc_figure(labels, scores, INTERVAL)
    curve = max(figure.axes[0].get_lines(), key=lambda line: len(line.get_xdata()))
    x, y = curve.get_data()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(auc(labels == 1, scores, np.ones((1, 60)))[0])


def test_the_curve_names_its_auc_and_interval():
    words = " ".join(t.get_text() for t in roc_figure([0, 1], [0.2, 0.3], INTERVAL).axes[0].texts)
    assert "AUC 0.812" in words
    assert "0.701 to 0.900" in words


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_curve(label):
    with pytest.raises(DataError, match="all 3 exams have one label"):
        roc_figure([label] * 3, [0.1, 0.2, 0.3], INTERVAL)


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


def test_the_first_epoch_with_the_best_auc_is_marked():
    metrics = [epoch(i, value, loss=1.0) for i, value in enumerate([0.6, 0.9, None, 0.9], start=1)]
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


def test_no_epoch_is_refused():
    with pytest.raises(DataError, match="no epoch yet"):
        training_figure([])
