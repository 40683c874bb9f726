"""Draw figures of a study: AUCs, a ROC curve with band per system, and AUC differences to the reference."""

import re
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazekit.measures.classification.curves import GRID, band, is_binary, roc
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.numbers import interval, probability
from gazekit.measures.statistics.intervals import Interval
from gazekit.records.arrays import Floats
from gazekit.reporting.drawing.colours import INK, MUTED, SERIES
from gazekit.study.results.result import StudyResult, SystemRow

_COLUMNS = 4
_NAME = 26
"""Characters of a system's name that fit in one line above its panel."""


def study_figures(result: StudyResult, pooled: Mapping[str, Pooled]) -> dict[str, Figure]:
    """Map file name → figure, only for figures with something to draw."""
    figures = {}
    if areas := [row for row in result.rows if _area(row)]:
        figures["auc"] = area_figure(areas, result)
    curves = {row.name: pooled[row.name] for row in result.rows if is_binary(pooled.get(row.name))}
    if curves:
        figures["roc"] = roc_grid(curves, {row.name: row for row in result.rows}, result.reference)
    compared = [row for row in result.rows if _difference(row)]
    if compared:
        figures["differences"] = difference_figure(compared, result.reference)
    return figures


def _area(row: SystemRow) -> Interval | None:
    """Return the AUC that a study rests on: over data sets if there are several, else of the pooled predictions."""
    if row.over_data_sets is not None:
        return row.over_data_sets.value
    found = row.metrics.get("auc")
    return found.pooled if found else None


def area_figure(rows: Sequence[SystemRow], result: StudyResult) -> Figure:
    """Draw each system's AUC with its 95 % interval, under the headings of its groups.

    Under it stand small grey points: the mean of each data set if there are several, else every run. A tick marks the
    AUC that a publication reports, for rows that have one.

    Args:
        rows: systems with an AUC; the first is drawn at the top.
        result: whose runs are drawn, and whose reference is marked by a dashed line.
    """
    lines: list[str | SystemRow] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if row.group and (before is None or row.group != before.group):
            lines.append(row.group)
        lines.append(row)
    figure = Figure(figsize=(7.2, 1.2 + 0.3 * len(lines)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    names, heights = [], []
    for height, line in enumerate(reversed(lines)):
        if isinstance(line, str):
            axes.text(
                -0.02, height, line, transform=axes.get_yaxis_transform(), ha="right", va="center",
                fontsize=9, fontweight="bold", color=INK,
            )  # fmt: skip
            continue
        found = _area(line)
        assert found is not None
        if line.name == result.reference:
            axes.axvline(found.value, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        each = _single_areas(line.name, result)
        axes.plot(
            each, [height - 0.28] * len(each), "o", color=MUTED, alpha=0.7, markersize=3, markeredgewidth=0
        )
        axes.plot(
            [found.low, found.high], [height, height], color=SERIES[0], linewidth=2, solid_capstyle="round"
        )
        axes.plot(found.value, height, "o", color=SERIES[0], markersize=6)
        if line.reported is not None and line.reported.auc is not None:
            axes.plot(line.reported.auc, height, "|", color=SERIES[1], markersize=14, markeredgewidth=2)
        axes.text(
            1.03, height, interval(found), transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK
        )  # fmt: skip
        names.append("\n".join(_lines(line.name)))
        heights.append(height)
    axes.set_yticks(heights, names)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    points = f"each of {len(result.data_sets)} data sets" if result.data_sets else "each run"
    ticks = "; tick: as published" * any(row.reported for row in rows)
    axes.set_xlabel(f"AUC with 95 % interval; grey points: {points}{ticks}", color=INK)
    _finish(axes)
    return figure


def _single_areas(system: str, result: StudyResult) -> list[float]:
    """Return the AUCs of a system: the mean of every data set if there are several, else of every run."""
    found: dict[object, list[float]] = {}
    for number, run in enumerate(result.run_values):
        area = run.metrics.get("auc")
        if run.system == system and area is not None:
            found.setdefault(run.data if result.data_sets else number, []).append(area)
    return [sum(values) / len(values) for values in found.values()]


def roc_grid(curves: Mapping[str, Pooled], rows: Mapping[str, SystemRow], reference: str) -> Figure:
    """Draw a panel per system: its ROC curve with a pointwise 95 % band over patients, and the reference in grey.

    Args:
        curves: system → pooled predictions, two classes.
        rows: system → table row, for the AUC.
        reference: system whose curve is drawn in every panel, if it has one.
    """
    lines = -(-len(curves) // _COLUMNS)
    columns = -(-len(curves) // lines)
    said = {name: f"{name} (reference)" if name == reference else name for name in curves}
    titles = {name: _lines(words) for name, words in said.items()}
    high = 2.7 + 0.19 * max(map(len, titles.values()))
    figure = Figure(figsize=(2.6 * columns + 0.3, high * lines + 0.5), dpi=150, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    behind = roc(curves[reference]) if reference in curves and len(curves) > 1 else None
    for axes, (name, each) in zip(panels, curves.items(), strict=False):
        _roc_panel(axes, each, None if name == reference else behind)
        area = rows[name].metrics.get("auc")
        words = f"AUC {interval(area.pooled if area else None)}"
        axes.text(0.98, 0.05, words, ha="right", fontsize=8, color=INK)
        axes.set_title("\n".join(titles[name]), fontsize=9.5, color=INK, loc="left")
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes in panels[max(len(curves) - columns, 0) : len(curves)]:
        axes.tick_params(labelbottom=True)  # even if the panel below is empty
    grey = "; grey: the reference" if behind is not None else ""
    sets = max((row.over_data_sets.data_sets for row in rows.values() if row.over_data_sets), default=1)
    of = f" of {sets} data sets" if sets > 1 else ""
    figure.suptitle(f"band: 95 % of resampled patients{of}{grey}", fontsize=9, color=MUTED)
    figure.supxlabel("False positive rate (1 − specificity)", fontsize=10, color=INK)
    figure.supylabel("True positive rate (sensitivity)", fontsize=10, color=INK)
    return figure


def _roc_panel(axes: Axes, pooled: Pooled, behind: Floats | None) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    if behind is not None:
        axes.plot([0, *GRID], [0, *behind], color=MUTED, linewidth=1.4)
    low, high = band(roc, pooled)
    axes.fill_between(GRID, low, high, color=SERIES[0], alpha=0.18, linewidth=0)
    axes.plot([0, *GRID], [0, *roc(pooled)], color=SERIES[0], linewidth=2)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _finish(axes)


def _difference(row: SystemRow) -> tuple[Interval, float | None, str] | None:
    """Return the difference in AUC that a study rests on, Holm's p, and the number of data sets if several."""
    if row.over_data_sets is not None:
        found = row.over_data_sets
        return (found.difference, found.holm, f", n = {found.compared}") if found.difference else None
    return (row.comparison.auc_difference, row.comparison.delong_holm, "") if row.comparison else None


def difference_figure(rows: Sequence[SystemRow], reference: str) -> Figure:
    """Draw each system's AUC minus the reference's, with paired 95 % intervals and Holm's p.

    The intervals are over patients, or over data sets if there are several; their number stands by each p.

    Args:
        rows: compared systems; the first is drawn at the top.
        reference: system they were compared with.
    """
    figure = Figure(figsize=(6.8, 1.2 + 0.42 * len(rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    over_sets = any(row.over_data_sets for row in rows)
    for height, row in enumerate(reversed(rows)):
        compared = _difference(row)
        assert compared is not None
        found, holm, number = compared
        ends = [found.low, found.high]
        axes.plot(ends, [height, height], color=SERIES[0], linewidth=2, solid_capstyle="round")
        axes.plot(found.value, height, "o", color=SERIES[0], markersize=6)
        p = f"{probability(holm)}{number}"
        axes.text(1.03, height, p, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK)
    axes.text(
        1.03, len(rows) - 0.35, "p (Holm)", transform=axes.get_yaxis_transform(), fontsize=9, color=MUTED
    )
    axes.set_yticks(range(len(rows)), ["\n".join(_lines(row.name)) for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(
        f"AUC minus that of {reference}, with 95 % interval{' over n data sets' * over_sets}", color=INK
    )
    _finish(axes)
    return figure


def _lines(name: str) -> list[str]:
    """Split a name into lines between words, unless a word is too long."""
    found = re.findall(rf".{{1,{_NAME - 1}}}(?:[ _=,.-]|.$)|.{{1,{_NAME}}}", name)
    return [line.rstrip(" ") for line in found]


def _finish(axes: Axes) -> None:
    axes.tick_params(colors=INK, labelsize=8.5, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
