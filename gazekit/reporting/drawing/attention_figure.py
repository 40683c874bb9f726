"""Draw the paper's Fig. 2: per exam and view the image, the reader's gaze and the model's attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gazekit.errors import ConfigurationError
from gazekit.records.arrays import Array
from gazekit.reporting.drawing.captioned import RESEARCH_ONLY, scale_bar
from gazekit.reporting.drawing.colours import INK, MUTED, OUTLINE
from gazekit.reporting.drawing.overlay import overlay

_PANEL = 2.2  # inches, the width of a panel
_GAP = 0.07
_NAMES = 0.4  # left of the panels: view names
_TITLE = 0.62  # above each exam
_HEADER = 0.5  # above all: titles of the columns
_FOOTER = 0.62  # below all: what the colours mean
_LINE = 0.17  # a line of text below the colours
_LETTER = 0.071  # width of a letter of that text
_MARGIN = 0.12
_BAR = 1.25 * _PANEL
_IMAGE, _GAZE = "Image", "Reader's gaze"


@dataclass(frozen=True, slots=True)
class ViewPanel:
    """One row of the figure: a view.

    Args:
        image: ``[H, W]`` in [0, 1].
        gaze: heat map ``[H, W]``; None if the view has no gaze.
        mask: lesion mask ``[H, W]``; None if there is none.
        attention: column title → ``[h, w]``.
        title: side and view, ``R MLO``; if empty, the view's name is shown.
        mm_per_pixel: across the image; None if the spacing is unknown.
        missing: the exam lacks this view, and nothing is said of its gaze and attention.
    """

    image: Array
    gaze: Array | None = None
    mask: Array | None = None
    attention: Mapping[str, Array] = field(default_factory=dict)
    title: str = ""
    mm_per_pixel: float | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class ExamPanel:
    """One block of the figure: an exam.

    Args:
        exam_id: as in the data set.
        label: the truth, as a class name.
        target: the class of ``probability``.
        probability: predicted, in [0, 1]; None if several models are shown.
        views: view → its row, in preset order.
    """

    exam_id: str
    label: str
    target: str
    probability: float | None
    views: Mapping[str, ViewPanel]


def attention_figure(exams: Sequence[ExamPanel], columns: Sequence[str], note: str = "") -> Figure:
    """Draw exams as blocks of one row per view: image, image with gaze, then image with each attention column.

    There is a gaze column if any view has gaze. Lesion masks are outlined in every panel.

    Args:
        exams: one or more.
        columns: titles of the attention columns, e.g. without and with gaze supervision.
        note: a sentence or two about the images; empty for none.

    Raises:
        ConfigurationError: no exam, or a view lacks the attention of a column.
    """
    _check(exams, columns)
    rows = [panel for exam in exams for panel in exam.views.values()]
    gaze = [_GAZE] if any(panel.gaze is not None for panel in rows) else []
    titles = [_IMAGE, *gaze, *columns]
    tall = _PANEL * max(panel.image.shape[0] / panel.image.shape[1] for panel in rows)
    width = _NAMES + len(titles) * (_PANEL + _GAP) - _GAP + _MARGIN
    said = f"Colours compare places within one panel, not one panel with another. {RESEARCH_ONLY} {note}"
    words = wrap(said.strip(), max(20, int((width - _NAMES - _MARGIN) / _LETTER)))
    height = _HEADER + len(exams) * _TITLE + len(rows) * (tall + _GAP) + _FOOTER + _LINE * len(words)
    figure = Figure(figsize=(width, height), dpi=150)
    lefts = [_NAMES + i * (_PANEL + _GAP) for i in range(len(titles))]
    for title, left in zip(titles, lefts, strict=True):
        wrapped = "\n".join(wrap(title, 22))
        _text(
            figure, left + _PANEL / 2, height - 0.5 * _HEADER, wrapped, ha="center", weight="bold", size=10.5
        )
    top = height - _HEADER
    for exam in exams:
        finding = f"truth: {exam.label}"
        if exam.probability is not None:
            finding += f"   ·   P({exam.target}) = {exam.probability:.2f}"
        _text(figure, lefts[0], top - 0.22, exam.exam_id, weight="bold")
        _text(figure, lefts[0], top - 0.44, finding, size=10, color=MUTED)
        top -= _TITLE
        for view, panel in exam.views.items():
            _text(
                figure,
                _NAMES / 2,
                top - tall / 2,
                panel.title or view.upper(),
                ha="center",
                rotation=90,
                color=MUTED,
            )
            for title, left in zip(titles, lefts, strict=True):
                box = (left / width, (top - tall) / height, _PANEL / width, tall / height)
                _draw(figure.add_axes(box), panel, title)
            top -= tall + _GAP
    outlined = any(panel.mask is not None and np.any(panel.mask) for panel in rows)
    _legend(figure, width, height, words, outlined=outlined)
    return figure


def _check(exams: Sequence[ExamPanel], columns: Sequence[str]) -> None:
    if not exams:
        raise ConfigurationError("a figure of attention needs at least one exam")
    for exam in exams:
        for view, panel in exam.views.items():
            missing = [title for title in columns if title not in panel.attention]
            if missing:
                raise ConfigurationError(
                    f"exam {exam.exam_id}, view {view}: no attention for the column {missing[0]!r}, "
                    f"there is {', '.join(panel.attention) or 'none'}"
                )


def _draw(axes: Axes, panel: ViewPanel, title: str) -> None:
    heat = {_IMAGE: None, _GAZE: panel.gaze, **panel.attention}[title]
    blended = overlay(panel.image, np.zeros((1, 1)) if heat is None else heat)
    axes.imshow(blended, interpolation="lanczos")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if panel.mask is not None and np.any(panel.mask):
        outline = axes.contour(
            np.asarray(panel.mask).astype(float), levels=[0.5], colors=OUTLINE, linewidths=1.1
        )
        outline.set_path_effects([patheffects.withStroke(linewidth=2.4, foreground="black", alpha=0.6)])
    if title == _IMAGE:
        _draw_scale_bar(axes, panel)
    words = ""
    if panel.missing:
        words = "no image" if title == _IMAGE else ""
    elif title == _GAZE and panel.gaze is None:
        words = "no gaze recorded"
    elif title in panel.attention and np.max(np.asarray(panel.attention[title], dtype=np.float64)) <= 0:
        words = "no positive attention"
    if words:
        axes.text(0.5, 0.05, words, transform=axes.transAxes, ha="center", color="#e5e7eb", fontsize=9)


def _draw_scale_bar(axes: Axes, panel: ViewPanel) -> None:
    """Draw a round length in millimetres into the lower right corner of an image."""
    height, width = panel.image.shape[:2]
    found = scale_bar(panel.mm_per_pixel, width / 3)
    if found is None:
        return
    millimetres, pixels = found
    right, low = 0.96 * width, 0.95 * height
    around = [patheffects.withStroke(linewidth=3, foreground="black", alpha=0.7)]
    axes.plot([right - pixels, right], [low, low], color="white", linewidth=1.4, path_effects=around)
    axes.text(
        right - pixels / 2,
        low - 0.015 * height,
        f"{millimetres} mm",
        ha="center",
        va="bottom",
        color="white",
        fontsize=7.5,
        path_effects=around,
    )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def _legend(figure: Figure, width: float, height: float, words: Sequence[str], *, outlined: bool) -> None:
    """Draw the colour bar over mid grey, the outline's key if there is one, and the text below."""
    top = _LINE * len(words)
    bar = figure.add_axes((_NAMES / width, (top + 0.34) / height, _BAR / width, 0.14 / height))
    bar.imshow(overlay(np.full((1, 256), 0.3), np.linspace(0, 1, 256)[None]), aspect="auto")
    bar.set_axis_off()
    _text(figure, _NAMES, top + 0.22, "0", size=9, color=MUTED)
    _text(figure, _NAMES + _BAR, top + 0.22, "the map's own maximum", size=9, color=MUTED, ha="right")
    for number, said in enumerate(words):
        _text(figure, _NAMES, top - _LINE * (number + 0.5), said, size=9, color=MUTED)
    if outlined:
        line = Line2D([], [], color=OUTLINE, linewidth=1.6)
        line.set_path_effects([patheffects.withStroke(linewidth=3, foreground="black", alpha=0.6)])
        figure.legend(
            [line],
            ["lesion (truth)"],
            loc="center right",
            bbox_to_anchor=(1 - _MARGIN / width, (top + 0.4) / height),
            frameon=False,
            fontsize=9,
            labelcolor=MUTED,
        )


def _text(figure: Figure, x: float, y: float, text: str, *, size: float = 11, **style: Any) -> None:
    """Place text in inches from the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=size, **{"color": INK, "va": "center", **style})
