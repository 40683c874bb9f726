"""Charts of a run: its ROC curve and its training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazekit.errors import DataError
from gazekit.evaluation.resizing import Array
from gazekit.evaluation.statistics import Interval
from gazekit.report.colours import INK, MUTED, SERIES

_NOT_A_TERM = frozenset(
    ("epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps", "learning_rate", "seconds")
)


def roc_figure(labels: Array, scores: Array, interval: Interval) -> Figure:
    """The ROC curve of a binary classification, with its area and interval.

    Args:
        labels: truth 0 or 1, ``[N]``.
        scores: probability of the positive class, ``[N]``.
        interval: of the AUC.

    Raises:
        DataError: one class only.
    """
    positive, values = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    if positive.all() or not positive.any():
        raise DataError(f"all {len(positive)} exams have one label: a ROC curve needs both")
    thresholds = np.unique(values)[::-1]
    hits = [0.0, *((values[positive] >= t).mean() for t in thresholds)]
    false_alarms = [0.0, *((values[~positive] >= t).mean() for t in thresholds)]

    figure = Figure(figsize=(4.6, 4.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    axes.plot(false_alarms, hits, color=SERIES[0], linewidth=2.2, solid_joinstyle="round")
    axes.fill_between(false_alarms, hits, color=SERIES[0], alpha=0.12, linewidth=0)
    words = f"AUC {interval.value:.3f}\n95 % interval {interval.low:.3f} to {interval.high:.3f}"
    axes.text(0.97, 0.06, words, ha="right", fontsize=11, color=INK, linespacing=1.5)
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
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("False positive rate (1 − specificity)")
    axes.set_ylabel("True positive rate (sensitivity)")
    _finish(axes)
    return figure


def training_figure(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss terms and validation AUC by epoch, the selected epoch (the first with the best AUC) marked.

    Args:
        metrics: the lines of ``metrics.jsonl``; every number that is not bookkeeping is a loss term. A value
            that is missing or None leaves a gap.

    Raises:
        DataError: no epoch.
    """
    if not metrics:
        raise DataError("metrics.jsonl holds no epoch yet: let the training finish one")
    epochs = [int(line["epoch"]) for line in metrics]
    terms = [name for name in dict.fromkeys(k for line in metrics for k in line) if name not in _NOT_A_TERM]
    figure = Figure(figsize=(7.6, 5.2), dpi=150, layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))

    curves = {_title(name): _series(metrics, name) for name in terms}
    curves["classification, validation"] = _series(metrics, "val_loss")
    for i, (title, values) in enumerate(curves.items()):
        style = {"linestyle": (0, (3, 2))} if title.endswith("validation") else {}
        losses.plot(
            epochs,
            values,
            color=SERIES[i % len(SERIES)],
            linewidth=1.8,
            label=title,
            **_dots(epochs),
            **style,
        )
    losses.set_ylabel("Loss (mean over exams)")
    losses.set_ylim(bottom=min(0.0, losses.get_ylim()[0]))
    _key(losses)
    _mark_selected(scores, epochs, _series(metrics, "val_auc"))
    scores.set_xlabel("Epoch")
    scores.set_ylabel("Validation AUC")
    for axes in (losses, scores):
        axes.xaxis.get_major_locator().set_params(integer=True)
        _finish(axes)
    return figure


def _mark_selected(axes: Axes, epochs: list[int], aucs: list[float]) -> None:
    axes.plot(epochs, aucs, color=SERIES[0], linewidth=1.8, **_dots(epochs))
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    axes.set_ylim(min(0.45, np.nanmin([*aucs, 0.5]) - 0.05), 1.03)
    if np.isfinite(aucs).any():
        best = int(np.nanargmax(aucs))
        words = f"selected: epoch {epochs[best]}, AUC {aucs[best]:.3f}"
        axes.plot(epochs[best], aucs[best], "o", markersize=8, color=SERIES[1], label=words)
        _key(axes)


def _key(axes: Axes) -> None:
    """The legend above the axes, in one row, where it covers no line."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=5,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.5,
        columnspacing=1.3,
        handletextpad=0.5,
    )


def _series(metrics: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if line.get(name) is None else float(line[name]) for line in metrics]


def _title(name: str) -> str:
    return "total" if name == "loss" else name.replace("_", " ")


def _dots(epochs: list[int]) -> dict[str, Any]:
    """Few epochs are shown as points too: one alone would be no line."""
    return {"marker": "o", "markersize": 3} if len(epochs) < 10 else {}


def _finish(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9.5)
    axes.xaxis.label.set(color=INK, fontsize=10.5)
    axes.yaxis.label.set(color=INK, fontsize=10.5)
    axes.grid(color=MUTED, alpha=0.18, linewidth=0.7)
