"""Draw charts of a classification: ROC, precision-recall and decision curves with bands, calibration."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gazekit.errors import DataError
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
from gazekit.measures.classification.metrics import CALIBRATION_BINS
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.numbers import interval as interval_words
from gazekit.measures.statistics.intervals import Interval
from gazekit.records.arrays import Floats
from gazekit.reporting.drawing.charts.axes import finish, key
from gazekit.reporting.drawing.colours import INK, MUTED, SERIES


def roc_figure(systems: Mapping[str, Pooled], areas: Mapping[str, Interval]) -> Figure:
    """Draw ROC curves with pointwise 95 % bands over patients.

    Args:
        systems: title → predictions of two classes, the first drawn on top.
        areas: title → AUC with its interval.

    Raises:
        DataError: one class only.
    """
    figure, axes = _square("False positive rate (1 − specificity)", "True positive rate (sensitivity)")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))

    def curve(pooled: Pooled) -> tuple[list[float], list[float]]:
        positive, score = pooled.labels == 1, pooled.probabilities[:, 1]
        thresholds = np.unique(score)[::-1]

        def rate(scores: Floats) -> list[float]:
            called = len(scores) - np.searchsorted(np.sort(scores), thresholds)
            return [0.0, *(called / len(scores)).tolist()]

        return rate(score[~positive]), rate(score[positive])

    _draw_systems(axes, systems, areas, roc, curve)
    axes.text(
        0.5,
        0.475,
        "chance",
        ha="center",
        va="top",
        rotation=45,
        rotation_mode="anchor",
        fontsize=9,
        color=MUTED,
    )
    return figure


def precision_recall_figure(systems: Mapping[str, Pooled], areas: Mapping[str, Interval]) -> Figure:
    """Draw precision-recall curves with pointwise 95 % bands over patients; Args and Raises as in `roc_figure`."""
    figure, axes = _square("Recall (sensitivity)", "Precision (positive predictive value)")

    def curve(pooled: Pooled) -> tuple[list[float], list[float]]:
        return GRID.tolist(), precision_recall(pooled).tolist()

    _draw_systems(axes, systems, areas, precision_recall, curve)
    share = float(np.mean(next(iter(systems.values())).labels == 1))
    axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (4, 4)), zorder=0)
    axes.text(0.99, share - 0.02, "chance", ha="right", va="top", fontsize=9, color=MUTED)
    return figure


def _draw_systems(
    axes: Axes,
    systems: Mapping[str, Pooled],
    areas: Mapping[str, Interval],
    on_grid: Callable[[Pooled, Floats | None], Floats],
    curve: Callable[[Pooled], tuple[list[float], list[float]]],
) -> None:
    for i, (title, pooled) in reversed(list(enumerate(systems.items()))):
        if not is_binary(pooled):
            raise DataError(f"all {len(pooled.labels)} exams have one label: a curve needs both")
        colour = SERIES[i % len(SERIES)]
        low, high = band(on_grid, pooled)
        axes.fill_between(GRID, low, high, color=colour, alpha=0.13, linewidth=0)
        words = f"{title}: {interval_words(areas[title])}"
        axes.plot(*curve(pooled), color=colour, linewidth=2.2, solid_joinstyle="round", label=words)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handlelength=1.2,
    )


def calibration_figure(systems: Mapping[str, tuple[Floats, NDArray[np.bool_]]], says: str) -> Figure:
    """Draw predicted probability against observed frequency, with the exams per bin below.

    Args:
        systems: title → predicted probabilities and whether they came true, each ``[N]``.
        says: label of the probability axis.
    """
    figure = Figure(figsize=(4.6, 4.9), dpi=150, layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    for i, (title, (stated, positive)) in enumerate(systems.items()):
        colour, bins = SERIES[i % len(SERIES)], calibration(stated, positive)
        # two systems with similar probabilities do not hide each other
        shift = 0.008 * (i - (len(systems) - 1) / 2)
        x = [each.stated + shift for each in bins]
        axes.vlines(x, [b.low for b in bins], [b.high for b in bins], color=colour, alpha=0.45, linewidth=2)
        axes.plot(x, [b.observed for b in bins], "o-", color=colour, linewidth=1.4, markersize=5, label=title)
        tops = np.histogram(stated, bins=CALIBRATION_BINS, range=(0, 1))[0]
        counts.stairs(tops, np.linspace(0, 1, CALIBRATION_BINS + 1), color=colour, linewidth=1.6)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_ylabel("Observed frequency")
    counts.set(xlabel=says, ylabel="Exams", ylim=(0, None))
    counts.yaxis.get_major_locator().set_params(integer=True, nbins=2)
    if len(systems) > 1:
        key(axes)
    for each in (axes, counts):
        finish(each)
    return figure


def decision_figure(systems: Mapping[str, Pooled]) -> Figure:
    """Draw decision curves with pointwise 95 % bands over patients, beside treating every exam and treating none.

    Args:
        systems: title → predictions of two classes on the same exams, the first drawn on top.
    """
    figure = Figure(figsize=(4.6, 4.9), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    first = next(iter(systems.values()))
    highest = float((first.labels == 1).mean())
    for i, (title, pooled) in enumerate(systems.items()):
        colour, layer = SERIES[i % len(SERIES)], 2 + len(systems) - i
        low, high = band(net_benefit, pooled)
        highest = max(highest, float(high.max()))
        axes.fill_between(THRESHOLDS, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(THRESHOLDS, net_benefit(pooled), color=colour, linewidth=2.2, zorder=layer, label=title)
    axes.plot(THRESHOLDS, treat_all(first), "--", color=MUTED, linewidth=1.2, zorder=1, label="treat all")
    axes.axhline(0, color=MUTED, linewidth=1.2, zorder=1, label="treat none")
    # treat all falls without bound
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.3 * highest, 1.05 * highest))
    axes.set(xlabel="Threshold probability", ylabel="Net benefit")
    key(axes, columns=3 if len(systems) == 1 else 2)
    finish(axes)
    return figure


def _square(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 4.9), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=across, ylabel=up)
    finish(axes)
    return figure, axes
