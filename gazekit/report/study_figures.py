"""Figures of a study: a ROC curve with its band for every system, and the differences in AUC to the reference."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gazekit.report.colours import INK, MUTED, SERIES
from gazekit.report.numbers import interval
from gazekit.study.result import Pooled, Row, StudyResult

Floats = NDArray[np.float64]

_GRID = np.linspace(0, 1, 101)
_RESAMPLES = 400
_COLUMNS = 3


def study_figures(result: StudyResult, pooled: Mapping[str, Pooled]) -> dict[str, Figure]:
    """File name → figure; only those for which there is something to draw."""
    figures = {}
    curves = {row.name: pooled[row.name] for row in result.rows if _is_binary(pooled.get(row.name))}
    if curves:
        figures["roc"] = roc_grid(curves, {row.name: row for row in result.rows}, result.reference)
    compared = [row for row in result.rows if row.comparison is not None]
    if compared:
        figures["differences"] = difference_figure(compared, result.reference)
    return figures


def roc_grid(curves: Mapping[str, Pooled], rows: Mapping[str, Row], reference: str) -> Figure:
    """A panel per system: its ROC curve with a pointwise 95 % band over patients, the reference behind it in grey.

    Args:
        curves: system → pooled predictions, two classes.
        rows: system → its row, for the AUC.
        reference: its curve is drawn in every panel, if it is there.
    """
    columns = min(_COLUMNS, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(3.1 * columns + 0.3, 3.35 * lines), dpi=150, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    behind = roc(curves[reference]) if reference in curves else None
    for axes, (name, each) in zip(panels, curves.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
        if behind is not None and name != reference:
            axes.plot(_GRID, behind, color=MUTED, linewidth=1.4)
        low, high = roc_band(each)
        axes.fill_between(_GRID, low, high, color=SERIES[0], alpha=0.18, linewidth=0)
        axes.plot(_GRID, roc(each), color=SERIES[0], linewidth=2)
        area = rows[name].metrics.get("auc")
        words = interval(area.pooled if area else None)
        axes.text(0.97, 0.05, words, ha="right", fontsize=8.5, color=INK)
        said = f"{name} (reference)" if name == reference else name
        axes.set_title(said, fontsize=10, color=INK, loc="left")
        _finish(axes)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    figure.supxlabel("False positive rate (1 − specificity)", fontsize=10)
    figure.supylabel("True positive rate (sensitivity)", fontsize=10)
    return figure


def difference_figure(rows: Sequence[Row], reference: str) -> Figure:
    """AUC of each system minus that of the reference, with paired 95 % intervals over patients."""
    figure = Figure(figsize=(6.4, 1.0 + 0.42 * len(rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    for height, row in enumerate(reversed(rows)):
        assert row.comparison is not None
        found = row.comparison.auc_difference
        axes.plot(
            [found.low, found.high], [height, height], color=SERIES[0], linewidth=2, solid_capstyle="round"
        )
        axes.plot(found.value, height, "o", color=SERIES[0], markersize=6)
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(f"AUC minus that of {reference}, 95 % interval")
    _finish(axes, square=False)
    return figure


def roc(pooled: Pooled, weights: Floats | None = None) -> Floats:
    """True positive rate at 101 false positive rates from 0 to 1, exams weighted; ties are straight lines."""
    score, positive = pooled.probabilities[:, 1], pooled.labels == 1
    weight = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    hits = np.cumsum((weight * positive)[order])[ends]
    alarms = np.cumsum((weight * ~positive)[order])[ends]
    rates = [np.concatenate(([0.0], counts / counts[-1])) for counts in (alarms, hits)]
    steps = rates[0] + 1e-9 * np.arange(len(rates[0]))  # of equal rates the last, highest one counts
    return np.asarray(np.interp(_GRID + 1e-7, steps, rates[1]))


def roc_band(pooled: Pooled, seed: int = 0) -> tuple[Floats, Floats]:
    """Pointwise 2.5 % and 97.5 % of the curves of resampled patients."""
    _, patient = np.unique(pooled.patient_ids, return_inverse=True)
    number = int(patient.max()) + 1
    generator = np.random.default_rng(seed)
    curves = []
    for _ in range(_RESAMPLES):
        weight = np.bincount(generator.integers(0, number, number), minlength=number)[patient].astype(float)
        if 0 < weight[pooled.labels == 1].sum() < weight.sum():
            curves.append(roc(pooled, weight))
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return low, high


def _is_binary(pooled: Pooled | None) -> bool:
    return pooled is not None and pooled.probabilities.shape[1] == 2 and len(set(pooled.labels.tolist())) == 2


def _finish(axes: Axes, *, square: bool = True) -> None:
    if square:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.tick_params(colors=INK, labelsize=8.5, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
