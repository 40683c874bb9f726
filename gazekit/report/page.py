"""The page of a run: one HTML file that needs nothing else and asks nothing of the network."""

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from gazekit.atomic import write_atomically
from gazekit.evaluation.statistics import Interval
from gazekit.report.colours import INK, MUTED
from gazekit.report.measures import MEASURES, Measure

LIMITS = (
    "The figures hold for the exams they were measured on. Other scanners, readers and patients may give others.",
    "An interval says how far chance in the choice of patients can move a figure. It does not cover the choice of "
    "training data, of seeds or of the epoch.",
    "An attention map shows what the score depends on near the end of the network. It explains no diagnosis, and a "
    "map on the right place does not make the answer right.",
    "Gaze shows where a reader looked, which is not the same as where the finding is.",
)
"""What holds of every run."""

_FOLLOW_THE_PAGE = (
    f"<style>:root{{--ink:{INK};--muted:{MUTED}}}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--muted:#a0abba}}</style>"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A figure on the page.

    Args:
        title: heading.
        figure: drawn by ``report.figures`` or ``report.charts``.
        alt: what the figure shows, for those who cannot see it.
        text: a sentence above the figure.
    """

    title: str
    figure: Figure
    alt: str
    text: str = ""


def write_page(
    path: Path,
    *,
    title: str,
    summary: str,
    metrics: Mapping[str, Mapping[str, Interval]],
    sections: Sequence[Section],
    facts: Mapping[str, Mapping[str, object]],
    limits: Sequence[str] = (),
) -> None:
    """Write the report of a run as one self-contained HTML page.

    Args:
        path: the file; replaced if it exists.
        title: of the run.
        summary: what was found, in a sentence or two.
        metrics: group → measure → interval; measures in ``report.measures`` are explained.
        sections: figures in order.
        facts: where the run comes from: group (data, preset, plugins, versions …) → name → value. The first
            group is shown open.
        limits: what limits this run, before the limits of every run.

    Raises:
        StorageError: the page cannot be written.
    """
    style = resources.files("gazekit.report").joinpath("templates/run.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("gazekit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("run.html.j2").render(
        title=title,
        summary=summary,
        style=Markup(style),
        style_hash=f"sha256-{digest}",
        groups=[
            {"title": _heading(group), "rows": [_row(name, interval) for name, interval in found.items()]}
            for group, found in metrics.items()
        ],
        sections=[
            {"title": s.title, "text": s.text, "alt": s.alt, "image": _data_uri(s.figure)} for s in sections
        ],
        facts={group: {key: _plain(v) for key, v in values.items()} for group, values in facts.items()},
        limits=[*limits, *LIMITS],
    )
    write_atomically(path, page)


def _heading(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _row(name: str, interval: Interval) -> dict[str, Any]:
    measure = MEASURES.get(name, Measure(name.replace("_", " "), "", scale=None))
    known = math.isfinite(interval.low)
    drawn = interval.resamples + interval.undefined
    return {
        "title": measure.title,
        "meaning": measure.meaning,
        "value": f"{interval.value:.3f}",
        "interval": f"{interval.low:.3f} to {interval.high:.3f}" if known else "not defined",
        "remark": f"undefined in {interval.undefined} of {drawn} resamples" if interval.undefined else "",
        "bar": _bar(interval, measure) if known and measure.scale else None,
    }


def _bar(interval: Interval, measure: Measure) -> dict[str, float | None]:
    """Positions from 0 to 100 on the scale of the measure."""
    assert measure.scale
    lowest, highest = measure.scale

    def position(value: float) -> float:
        return round(100 * (value - lowest) / (highest - lowest), 2)

    return {
        "value": position(interval.value),
        "low": position(interval.low),
        "high": position(interval.high),
        "chance": None if measure.chance is None else position(measure.chance),
    }


def _data_uri(figure: Figure) -> str:
    """The figure as SVG whose text follows the reader's light or dark mode."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "gazekit", "svg.fonttype": "path"}):  # same run, same bytes
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue().replace(INK, "var(--ink)").replace(MUTED, "var(--muted)")
    head, tail = drawing.split("<defs>", 1)
    svg = f"{head}{_FOLLOW_THE_PAGE}<defs>{tail}"
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _plain(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    return str(value)
