"""Draw the chart of trainings: every loss term and the validation AUC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazekit.errors import DataError
from gazekit.reporting.drawing.charts.axes import finish, key
from gazekit.reporting.drawing.colours import MUTED, SERIES

_NOT_A_TERM = frozenset(
    ("epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps", "learning_rate", "seconds")
)


def training_figure(*runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw loss terms and validation AUC by epoch, and mark the selected epoch (the first with the best AUC).

    Args:
        runs: the lines of each run's ``metrics.jsonl``; every number that is not bookkeeping is a loss term. A value
            that is missing or None leaves a gap; a line joins the epochs that were validated. Several runs are thin
            lines in the colour of the term.

    Raises:
        DataError: a run without an epoch.
    """
    if not runs or not all(runs):
        raise DataError("metrics.jsonl holds no epoch yet: let the training finish one")
    figure = Figure(figsize=(7.6, 5.2), dpi=150, layout="constrained")
    losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
    line = {"linewidth": 1.8} if len(runs) == 1 else {"linewidth": 0.9, "alpha": 0.7}
    names = dict.fromkeys(name for metrics in runs for epoch in metrics for name in epoch)
    for i, name in enumerate([*(name for name in names if name not in _NOT_A_TERM), "val_loss"]):
        dashed = {"linestyle": (0, (3, 2))} if name == "val_loss" else {}
        for k, metrics in enumerate(runs if name != "val_loss" else map(_validated, runs)):
            losses.plot(
                _epochs(metrics),
                _series(metrics, name),
                color=SERIES[i % len(SERIES)],
                label=_title(name) if k == 0 else None,
                **line,
                **_dots(metrics),
                **dashed,
            )
    losses.set_ylabel("Loss (mean over exams)")
    losses.set_ylim(bottom=min(0.0, losses.get_ylim()[0]))
    key(losses)
    _draw_scores(scores, runs, line)
    scores.set_xlabel("Epoch")
    scores.set_ylabel("Validation AUC")
    for axes in (losses, scores):
        axes.xaxis.get_major_locator().set_params(integer=True)
        finish(axes)
    return figure


def _draw_scores(axes: Axes, runs: Sequence[Sequence[Mapping[str, Any]]], line: Mapping[str, Any]) -> None:
    lowest, marked = 0.5, 0
    for metrics in map(_validated, runs):
        epochs, aucs = _epochs(metrics), _series(metrics, "val_auc")
        axes.plot(epochs, aucs, color=SERIES[0], **line, **_dots(metrics))
        if np.isfinite(aucs).any():
            best = _selected(metrics, epochs, aucs)
            words = (
                f"selected: epoch {epochs[best]}, AUC {aucs[best]:.3f}"
                if len(runs) == 1
                else "selected, of each run"
            )
            size, label = (8 if len(runs) == 1 else 5), (words if marked == 0 else None)
            axes.plot(epochs[best], aucs[best], "o", markersize=size, color=SERIES[1], label=label)
            lowest, marked = min(lowest, float(np.nanmin(aucs))), marked + 1
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    axes.set_ylim(min(0.45, lowest - 0.05), 1.03)
    if marked:
        key(axes)


def _selected(metrics: Sequence[Mapping[str, Any]], epochs: Sequence[int], aucs: Sequence[float]) -> int:
    """Return the position of the selected epoch; if the lines do not mark it, that of the best AUC."""
    chosen = metrics[-1].get("best_epoch")
    return epochs.index(chosen) if chosen in epochs else int(np.nanargmax(aucs))


def _validated(metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out the epochs that were not validated."""
    return [line for line in metrics if "val_auc" in line]


def _epochs(metrics: Sequence[Mapping[str, Any]]) -> list[int]:
    return [int(line["epoch"]) for line in metrics]


def _series(metrics: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if line.get(name) is None else float(line[name]) for line in metrics]


def _title(name: str) -> str:
    return {"loss": "total", "val_loss": "classification, validation"}.get(name, name.replace("_", " "))


def _dots(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mark epochs as dots if there are few: one alone would not make a line."""
    return {"marker": "o", "markersize": 3} if len(metrics) < 10 else {}
