"""Write the page of a run from its contents."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gazekit.disk.atomic import check_folder, disk_errors, own_folder
from gazekit.disk.wording import first_few
from gazekit.measures.catalogue import MEASURES
from gazekit.reporting.drawing.colours import ATTENTION, GAZE
from gazekit.reporting.drawing.layers import legend_uri, text_size
from gazekit.reporting.page import LIMITS, Section, plain, write_html
from gazekit.reporting.run.cases import Case, CaseView, MapNumbers
from gazekit.reporting.run.confusion import Confusion
from gazekit.reporting.run.measure_rows import (
    Catalogue,
    Metrics,
    heading,
    interval_words,
    measure_groups,
    tiles,
)
from gazekit.reporting.run.offered_sections import OfferedSection

CASES = "cases"
"""Anchor of the case browser."""
PICTURE = "attention"
"""Name of the files of the picture, without suffix."""
_SHOWN = ("title", "width", "height", "image", "gaze", "attention", "lesion", "scanpaths", "scale")
"""Fields of a view that the template shows unchanged."""


_MOST_IN_TABLE = 20
"""Maximum classes of a confusion table; with more, this many of the most frequent wrong calls are listed."""


@dataclass(frozen=True, slots=True)
class FurtherCases:
    """Exams of the case browser that pages beside the first one show.

    Args:
        first: number of those on the first page.
        rest: first and last number of each further page.
        make: makes the exams of one of these, when it is written, so that none is held longer.
    """

    first: int
    rest: Sequence[tuple[int, int]]
    make: Callable[[int, int], Sequence[Case]]


@dataclass(frozen=True, slots=True)
class RunPage:
    """The contents of a run's page.

    Args:
        title: title of the run.
        summary: the result in a sentence or two.
        metrics: system → group → measure → interval; the first system is the run.
        training: training curves of the run.
        confusion: calls of the run at the threshold.
        classes: names, in the order of the labels.
        facts: provenance of the run: group → name → value. The first group is shown open.
        texts: title → file of the run, shown whole.
        picture: figure for a paper, to save as PNG and SVG; None without attention.
        curves: figures of the classification.
        cases: exams of the case browser; may be empty.
        cases_text: how the cases were chosen.
        further: those that the page does not hold, if there are too many.
        difference: a sentence that compares the systems; empty for one system.
        catalogue: title, meaning and scale of each measure.
        offered: sections of plugins.
        warnings: reasons to doubt the numbers.
        limits: what limits this run, before the limits of every run.
    """

    title: str
    summary: str
    metrics: Mapping[str, Metrics]
    training: Section
    confusion: Confusion
    classes: Sequence[str]
    facts: Mapping[str, Mapping[str, object]]
    texts: Mapping[str, str] = field(default_factory=dict)
    picture: Section | None = None
    curves: Sequence[Section] = ()
    cases: Sequence[Case] = ()
    cases_text: str = ""
    further: FurtherCases | None = None
    difference: str = ""
    catalogue: Catalogue = field(default_factory=lambda: MEASURES)
    offered: Sequence[OfferedSection] = ()
    warnings: Sequence[str] = ()
    limits: Sequence[str] = ()


def write_run_page(path: Path, page: RunPage) -> None:
    """Write the report of a run as one self-contained HTML page, further exams beside it. Raises StorageError."""
    sections: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    for section in SECTIONS:
        if section is OFFERED:
            sections += [
                {"name": each.title, "template": section.template, **asdict(each)} for each in page.offered
            ]
        found = section.values(page)
        if found is not None and section.anchor == CASES:
            found = {**found, "pages": _pages(path, page.further, 1)}
        if found is not None:
            sections.append({"anchor": section.anchor, "name": section.name, "template": section.template})
            values |= found
    write_html(
        path,
        "run.html",
        title=page.title,
        summary=page.summary,
        warnings=page.warnings,
        difference=page.difference,
        tiles=tiles(page.metrics, page.catalogue),
        systems=list(page.metrics),
        classes=page.classes,
        sections=sections,
        limits=[*page.limits, *LIMITS],
        **values,
    )
    _write_further(path, page)


def _write_further(path: Path, page: RunPage) -> None:
    """Write the exams that the page does not hold into a folder beside it, and remove those of an earlier report."""
    folder = cases_folder(path)
    check_folder(folder)
    ranges = page.further.rest if page.further else ()
    with disk_errors(folder):
        for old in folder.glob("*.html"):
            if old.stem.isdecimal() and int(old.stem) > len(ranges) + 1:
                old.unlink()
    for number, (first, last) in enumerate(ranges, start=2):
        assert page.further is not None
        cases = page.further.make(first, last)
        write_html(
            own_folder(folder) / f"{number}.html",
            "further_cases.html",
            title=page.title,
            summary=f"Exams {first} to {last}.",
            report=f"../{path.name}",
            warnings=page.warnings,
            classes=page.classes,
            browser=_browser(page, cases),
            pages=_pages(path, page.further, number),
            limits=[*page.limits, *LIMITS],
        )


def cases_folder(path: Path) -> Path:
    """Return the folder of the further exams of a report."""
    return path.parent / f"{path.stem}_cases"


def _pages(path: Path, further: FurtherCases | None, shown: int) -> list[dict[str, str]]:
    """Links from one page of exams to all of them, the one that is shown without a target; none for a single page."""
    if further is None or not further.rest:
        return []
    here, there = ("", f"{cases_folder(path).name}/") if shown == 1 else (f"../{path.name}", "")
    targets = [here, *(f"{there}{number}.html" for number in range(2, len(further.rest) + 2))]
    ranges = [(1, further.first), *further.rest]
    return [
        {"words": f"{first}–{last}", "target": "" if number == shown else f"{target}#{CASES}"}
        for number, (target, (first, last)) in enumerate(zip(targets, ranges, strict=True), start=1)
    ]


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section of every run's page.

    Args:
        anchor: of its place on the page.
        name: in the list of sections at the top.
        template: its file in ``templates/``.
        values: the values that its template shows, by name; None leaves it out.
    """

    anchor: str
    name: str
    template: str
    values: Callable[[RunPage], Mapping[str, Any] | None]


def _cases(page: RunPage) -> dict[str, Any] | None:
    return {"browser": _browser(page, page.cases)} if page.cases else None


def _figure(page: RunPage) -> dict[str, Any] | None:
    if page.picture is None:
        return None
    return {"picture": page.picture.shown(), "downloads": page.picture.downloads(PICTURE)}


def _curves(page: RunPage) -> dict[str, Any]:
    return {
        "curves": [section.shown() for section in page.curves],
        "confusion": _confusion(page.confusion),
    }


OFFERED = PageSection("", "", "offered.html", lambda _page: None)
"""The place of the sections of plugins, each with an anchor and a name."""
SECTIONS = (
    PageSection(CASES, "Cases", "cases.html", _cases),
    PageSection("figure", "Figure", "figure.html", _figure),
    PageSection("curves", "Curves", "curves.html", _curves),
    PageSection(
        "measures",
        "Measures",
        "measures.html",
        lambda page: {"groups": measure_groups(page.metrics, page.catalogue)},
    ),
    OFFERED,
    PageSection("training", "Training", "training.html", lambda page: {"training": page.training.shown()}),
    PageSection(
        "provenance",
        "Provenance",
        "provenance.html",
        lambda page: {"facts": plain(page.facts), "texts": page.texts},
    ),
)
"""The sections in the order of the page."""


def _confusion(found: Confusion) -> dict[str, Any]:
    text = "The likeliest class is called." if found.threshold is None else found.origin
    rates = [
        {"name": n, "title": heading(n), **interval_words(interval)} for n, interval in found.rates.items()
    ]
    tried = [
        {
            "threshold": each.threshold,
            "counts": each.counts,
            "rates": {name: interval_words(interval) for name, interval in each.rates.items()},
        }
        for each in found.others
    ]
    values = {"threshold": found.threshold, "counts": found.counts, "rates": rates, "text": text}
    values |= {"often": None} if len(found.counts) <= _MOST_IN_TABLE else _often(found)
    return values | {"tried": json.dumps(tried, separators=(",", ":")) if tried else ""}


def _often(found: Confusion) -> dict[str, Any]:
    """Return the most frequent wrong calls as (truth, call, exams), and the numbers of right and wrong calls."""
    cells = [(truth, call, n) for truth, row in enumerate(found.counts) for call, n in enumerate(row) if n]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    total = sum(n for _, _, n in wrong)
    return {"often": wrong[:_MOST_IN_TABLE], "wrong": total, "right": sum(n for *_, n in cells) - total}


def _browser(page: RunPage, cases: Sequence[Case]) -> dict[str, Any]:
    systems = list(page.metrics)
    views = [view for case in cases for view in case.views]
    attention = [
        (i, title) for i, title in enumerate(systems) if any(view.attention[i] is not None for view in views)
    ]
    return {
        "text": page.cases_text,
        "cases": [_case(case, systems, page.classes) for case in cases],
        "attention": attention,
        "has_gaze": any(view.gaze for view in views),
        "has_lesion": any(view.lesion for view in views),
        "has_agreement": any(case.agreement is not None for case in cases),
        "attention_legend": legend_uri(ATTENTION),
        "gaze_legend": legend_uri(GAZE),
    }


def _case(case: Case, systems: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Describe a case; it shows the probability of the second of two classes, else of the called class."""
    shown = 1 if len(classes) == 2 else case.called
    return {
        "number": case.number,
        "exam_id": case.exam_id,
        "label": case.label,
        "called": case.called,
        "positive": f"{case.probabilities[0][1]:.6g}",
        "shown": f"{case.probabilities[0][shown]:.2f}",
        "error": f"{case.error:.6g}",
        "uncertainty": f"{case.uncertainty:.6g}",
        "agreement": "" if case.agreement is None else f"{case.agreement:.6g}",
        "systems": [
            {"title": title, "target": classes[shown], "probability": f"{p[shown]:.2f}"}
            for title, p in zip(systems, case.probabilities, strict=True)
        ],
        "views": [_view(view, systems) for view in case.views],
    }


def _view(view: CaseView, systems: Sequence[str]) -> dict[str, Any]:
    time = "" if view.seconds is None else f", {view.seconds:.1f} s"
    count = f"{view.fixations} fixation{'' if view.fixations == 1 else 's'}{_by(view.readers)}{time}"
    words = [
        f"{title}: {found}" if numbers and (found := _words(numbers)) else ""
        for title, numbers in zip(systems, view.numbers, strict=True)
    ]
    return {
        **{name: getattr(view, name) for name in _SHOWN},
        "text_size": text_size((view.height, view.width)),
        "gaze_words": "" if view.missing else count if view.gaze else "no gaze recorded",
        "attention_words": words,
    }


def _by(readers: Sequence[str]) -> str:
    """Say whose fixations they are; nothing for a single unnamed reader, the number for several readers."""
    if all(name.isdecimal() for name in readers):
        return f" of {len(readers)} readers" if len(readers) > 1 else ""
    return f" of reader{'s' if len(readers) > 1 else ''} {first_few(readers, 4)}"


def _words(numbers: MapNumbers) -> str:
    found = [] if numbers.positive else ["no positive attention"]
    if numbers.agreement is not None:
        found.append(f"agreement with gaze {numbers.agreement:.2f}".replace("-", "−"))
    if numbers.inside is not None and numbers.peak is not None:
        found.append(f"{100 * numbers.inside:.0f} % inside the lesion")
        found.append("peak inside" if numbers.peak > 0.5 else "peak outside")
    return ", ".join(found)
