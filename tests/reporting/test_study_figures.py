"""Figures of a study: the curve and band are those of the numbers; systems are named or left out by rule."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from made_study import made_pooled, made_result, made_rows
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gazekit.measures.classification.curves import band, roc
from gazekit.measures.classification.metrics import auc
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.over_data_sets import OverDataSets
from gazekit.measures.statistics.intervals import Interval
from gazekit.reporting.drawing.colours import MUTED, SERIES
from gazekit.reporting.study.figures import area_figure, difference_figure, roc_grid, study_figures
from gazekit.study.results.result import DataSet, Reported, RunValues, SystemRow

RATES = np.linspace(0, 1, 101)


def slow_roc(pooled, rate, weights):
    """Highest sensitivity at no more than this rate of false alarms, on the polygon through all thresholds."""
    score, positive = pooled.probabilities[:, 1], pooled.labels == 1
    points = [(0.0, 0.0)]
    for threshold in sorted(set(score), reverse=True):
        called = score >= threshold
        points.append(
            (
                weights[called & ~positive].sum() / weights[~positive].sum(),
                weights[called & positive].sum() / weights[positive].sum(),
            )
        )
    best = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x1 <= rate + 1e-12:
            best = max(best, y1)
        elif x0 <= rate:
            best = max(best, y0 + (y1 - y0) * (rate - x0) / (x1 - x0))
    return best


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_the_polygon_through_all_thresholds(seed, digits):
    pooled = made_pooled(seed, exams=30, digits=digits)
    for weights in (np.ones(30), np.random.default_rng(seed).integers(0, 3, 30).astype(float)):
        expected = [slow_roc(pooled, rate, weights) for rate in RATES]
        assert roc(pooled, weights) == pytest.approx(expected, abs=1e-5)


def test_the_area_under_the_curve_is_the_auc():
    pooled = made_pooled(0, exams=400)
    area = auc(pooled.labels == 1, pooled.probabilities[:, 1], np.ones((1, 400)))[0]
    assert np.trapezoid(roc(pooled), RATES) == pytest.approx(area, abs=0.005)


def test_the_band_is_that_of_resampled_patients():
    """Copies of an exam within its patient leave it as it is; taken for patients of their own they make it narrower."""
    pooled = made_pooled(1, exams=80)

    def copied(patients):
        return Pooled(
            [str(i) for i in range(320)],
            patients,
            np.repeat(pooled.labels, 4),
            np.repeat(pooled.probabilities, 4, axis=0),
        )

    low, high = band(roc, pooled)
    same = band(roc, copied(list(np.repeat(pooled.patient_ids, 4))))
    assert np.array(same) == pytest.approx(np.array((low, high)), abs=1e-5)
    narrow = band(roc, copied([str(i) for i in range(320)]))
    assert (narrow[1] - narrow[0]).mean() < 0.6 * (high - low).mean()
    assert (low <= high).all() and (low <= roc(pooled) + 1e-9).all() and (roc(pooled) <= high + 1e-9).all()


def test_resamples_with_one_class_are_left_out_of_the_band():
    """Only one patient is positive: a third of the resamples lack him."""
    pooled = made_pooled(2, exams=20)
    labels = np.zeros(20, dtype=int)
    labels[:2] = 1
    low, high = band(roc, replace(pooled, labels=labels))
    assert np.isfinite([low, high]).all()


def grid(number, reference="system 0"):
    curves = {f"system {i}": made_pooled(i, exams=20) for i in range(number)}
    rows = {name: replace(made_rows()[0], name=name) for name in curves}
    return roc_grid(curves, rows, reference), curves


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


@pytest.mark.parametrize(("systems", "shape"), [(1, (1, 1)), (4, (1, 4)), (5, (2, 3)), (12, (3, 4))])
def test_each_system_has_a_panel_with_its_curve_and_its_auc(systems, shape):
    figure, curves = grid(systems)
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    shown = panels(figure)
    assert [axes.get_title(loc="left") for axes in shown] == [
        "system 0 (reference)",
        *(f"system {i}" for i in range(1, systems)),
    ]
    for axes, pooled in zip(shown, curves.values(), strict=True):
        [curve] = [line for line in axes.lines if line.get_color() == SERIES[0]]
        assert curve.get_xydata()[0].tolist() == [0, 0]
        assert curve.get_ydata()[1:] == pytest.approx(roc(pooled))
        assert axes.texts[0].get_text() == "AUC 0.821 [0.751, 0.881]"


def test_the_reference_is_behind_every_other_system_and_named():
    figure, curves = grid(3)
    grey = [[line for line in axes.lines if line.get_color() == MUTED][1:] for axes in panels(figure)]
    assert [len(lines) for lines in grey] == [0, 1, 1]
    assert grey[1][0].get_ydata()[1:] == pytest.approx(roc(curves["system 0"]))
    assert "grey: the reference" in figure.get_suptitle()
    without, _ = grid(3, reference="one that failed")
    assert "grey" not in without.get_suptitle()


def test_areas_stand_under_their_groups_with_every_run_and_the_published_figure():
    reference, better, partly, _ = made_rows()
    rows = [
        replace(reference, group="ours", reported=Reported(0.889, 0.849, "somewhere")),
        replace(better, group="theirs", reported=None),
        replace(partly, group="theirs", reported=None),
    ]
    runs = tuple(
        RunValues("better", "", "fold-1", seed, {"auc": area}, 1, {}) for seed, area in enumerate((0.7, 0.8))
    )
    [axes] = area_figure(rows, made_result(rows=tuple(rows), run_values=runs)).axes
    assert [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] == ["theirs", "ours"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two_channel", "better", "mammonet"]
    assert [tick.get_position()[1] for tick in axes.get_yticklabels()] == [0, 1, 3]
    areas = [row.metrics["auc"].pooled for row in rows]
    points = {
        line.get_ydata()[0]: line
        for line in axes.lines
        if line.get_markersize() == 6 and line.get_marker() == "o"
    }
    assert [points[height].get_xdata()[0] for height in (3, 1, 0)] == [area.value for area in areas]
    small = [line for line in axes.lines if line.get_markersize() == 3 and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in small] == [[0.7, 0.8]]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "|"] == [0.889]
    assert axes.get_xlabel() == "AUC with 95 % interval; grey points: each run; tick: as published"


def test_several_data_sets_are_points_and_their_interval_is_drawn():
    row = made_rows()[0]
    found = OverDataSets(2, Interval(0.75, 0.6, 0.9), 2, None, None)
    sets = tuple(DataSet(name, "f" * 64, 10, 10) for name in ("one", "two"))
    runs = tuple(
        RunValues(row.name, name, "fold-1", seed, {"auc": area}, 1, {})
        for name, seed, area in (("one", 0, 0.7), ("one", 1, 0.6), ("two", 0, 0.8), ("two", 1, 0.9))
    )
    result = made_result(rows=(replace(row, over_data_sets=found),), data_sets=sets, run_values=runs)
    [axes] = area_figure(result.rows, result).axes
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2] == [[0.6, 0.9]]
    small = [line.get_xdata() for line in axes.lines if line.get_markersize() == 3]
    assert small == [pytest.approx([0.65, 0.85])]
    assert "each of 2 data sets" in axes.get_xlabel()


def test_differences_are_drawn_as_they_are_compared():
    _, better, partly, _ = made_rows()
    figure = difference_figure([better, partly], "mammonet")
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two_channel", "better"]
    points = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
    assert points == {1: 0.0886, 0: -0.12}
    bars = {line.get_ydata()[0]: list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2}
    assert (bars[1], bars[0]) == ([0.02, 0.15], [-0.2, -0.0004])
    assert [text.get_text() for text in axes.texts] == ["< 0.001", "0.008", "p (Holm)"]


def test_a_long_name_is_broken_between_its_words():
    _, better, partly, _ = made_rows()
    rows = [replace(better, name="cross_view_views_mispaired"), replace(partly, name="x" * 30 + "_end")]
    [axes] = difference_figure(rows, "mammonet").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "x" * 26 + "\nxxxx_end",
        "cross_view_views_mispaired",
    ]
    rows[0] = replace(better, name="late_concat_views_mispaired and more")
    [axes] = difference_figure(rows[:1], "mammonet").axes
    assert axes.get_yticklabels()[0].get_text() == "late_concat_views_\nmispaired and more"


def test_only_what_can_be_drawn_is_drawn():
    pooled = made_pooled(0)
    three_classes = replace(pooled, probabilities=np.full((60, 3), 1 / 3))
    one_class = replace(pooled, labels=np.zeros(60, dtype=int))
    reference, better, _, never = made_rows()
    assert study_figures(made_result(rows=(never,)), {}) == {}
    assert study_figures(made_result(rows=(reference,)), {"mammonet": three_classes}).keys() == {"auc"}
    assert study_figures(made_result(rows=(reference,)), {"mammonet": one_class}).keys() == {"auc"}
    assert set(study_figures(made_result(), {"mammonet": pooled})) == {"auc", "roc", "differences"}
    alone = study_figures(made_result(rows=(reference, never)), {"mammonet": pooled})
    assert set(alone) == {"auc", "roc"}
    lost = replace(better.comparison, auc_difference=Interval(0.1, np.nan, np.nan), delong_holm=None)
    [axes] = difference_figure([replace(better, comparison=lost)], "mammonet").axes
    assert axes.texts[0].get_text() == "–"


@pytest.mark.parametrize("systems", [1, 2, 12])
def test_no_words_lie_over_others_or_outside(systems):
    names = ["a_name_that_is_far_too_long_to_fit_above_its_panel", *(f"cross_view_{i}" for i in range(11))]
    curves = {name: made_pooled(i, exams=20) for i, name in enumerate(names[:systems])}
    rows = {name: replace(made_rows()[0], name=name) for name in curves}
    compared = [SystemRow(name, name, 1, 1, comparison=made_rows()[1].comparison) for name in curves]
    for figure in (roc_grid(curves, rows, names[0]), difference_figure(compared, names[0])):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        words = [
            text
            for axes in figure.axes
            if axes.axison
            for text in (*axes.texts, axes.title, axes._left_title)
        ]
        for axes in panels(figure):
            low, high = axes.get_ylim()
            ticks = [text for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
            words += [text for text in ticks if text.get_visible()]
        words += figure.texts
        boxes = [(text.get_text(), text.get_window_extent()) for text in words if text.get_text()]
        for said, box in boxes:
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, said
        for (said, box), (other, around) in itertools.combinations(boxes, 2):
            assert not box.overlaps(around), (said, other)
