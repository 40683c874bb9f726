"""The chart of a training: every loss term and the validation AUC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazekit.errors import DataError
from gazekit.report.axes import finish, key
from gazekit.report.colours import MUTED, SERIES

_NOT_A_TERM = frozenset(
    ("epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps", "learning_rate", "seconds")
)


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
    key(losses)
    _mark_selected(scores, epochs, _series(metrics, "val_auc"))
    scores.set_xlabel("Epoch")
    scores.set_ylabel("Validation AUC")
    for axes in (losses, scores):
        axes.xaxis.get_major_locator().set_params(integer=True)
        finish(axes)
    return figure


def _mark_selected(axes: Axes, epochs: list[int], aucs: list[float]) -> None:
    axes.plot(epochs, aucs, color=SERIES[0], linewidth=1.8, **_dots(epochs))
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    axes.set_ylim(min(0.45, np.nanmin([*aucs, 0.5]) - 0.05), 1.03)
    if np.isfinite(aucs).any():
        best = int(np.nanargmax(aucs))
        words = f"selected: epoch {epochs[best]}, AUC {aucs[best]:.3f}"
        axes.plot(epochs[best], aucs[best], "o", markersize=8, color=SERIES[1], label=words)
        key(axes)


def _series(metrics: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if line.get(name) is None else float(line[name]) for line in metrics]


def _title(name: str) -> str:
    return "total" if name == "loss" else name.replace("_", " ")


def _dots(epochs: list[int]) -> dict[str, Any]:
    """Few epochs are shown as points too: one alone would be no line."""
    return {"marker": "o", "markersize": 3} if len(epochs) < 10 else {}
