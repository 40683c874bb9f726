"""A section of one's own: one class and one line of a table; it is drawn by the page, and cannot break it."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_page import made_figure, made_run_page

import gazekit
from gazekit.contracts.report import ReportedRun, ReportFigure, ReportTable
from gazekit.registry.component import Provenance
from gazekit.reporting.run.files import write_report
from gazekit.reporting.run.offered_sections import offered_sections
from gazekit.reporting.run.page import write_run_page
from gazekit.reporting.run.report import ReportSettings
from gazekit.runs.trained import open_trained
from gazekit.testing import check_component
from gazekit.testing.plugin import registry_with


class Counts:
    """How many exams of each class there are."""

    title = "Exams & classes"

    def __call__(self, run):
        yield f"{len(run.truth)} exams, <b>all</b> of them"
        counts = [(name, int((run.truth == label).sum())) for label, name in enumerate(run.classes)]
        yield ReportTable(("class", "exams"), counts, "Exams of each class")
        yield ReportFigure(made_figure(), "A line.", "It rises.")


class Silent(Counts):
    title = "Nothing to say"

    def __call__(self, run):
        return []


class Raises(Counts):
    title = "Raises"

    def __call__(self, run):
        yield "begun"
        raise ZeroDivisionError("of <nothing>")


class Exits(Counts):
    title = "Exits"

    def __call__(self, run):
        raise SystemExit(3)


class Crooked(Counts):
    title = "Crooked"

    def __call__(self, run):
        return [ReportTable(("one", "two"), [(1, 2), (3,)])]


class Markup(Counts):
    title = "Markup"

    def __call__(self, run):
        return [b"<script>"]


class Overwrites(Counts):
    title = "Overwrites"

    def __call__(self, run):
        run.truth[:] = 1
        run.facts["Run"] = {"seed": 99}
        yield "done"


class Sections:
    def __init__(self, **sections):
        self.sections = sections

    @gazekit.hookimpl
    def gazekit_report_sections(self):
        return self.sections


def offered(**sections):
    return registry_with(Sections(**sections), Provenance("mine", "my-sections", "0.3"))


RUN = ReportedRun(
    "run",
    "test",
    ["benign", "malignant"],
    ["1", "2"],
    ["p", "q"],
    np.array([0, 1]),
    np.array([[0.8, 0.2], [0.6, 0.4]]),
)


def test_it_keeps_the_contract(registry):
    check_component("report_section", Counts)
    for component in registry.components("report_section"):
        check_component("report_section", component.value)


def test_it_is_drawn_escaped_and_has_its_place_in_the_contents(tmp_path):
    sections = offered_sections(offered(counts=Counts, silent=Silent), RUN)
    write_run_page(tmp_path / "page.html", made_run_page(offered=sections))
    text = (tmp_path / "page.html").read_text()
    assert '<li><a href="#section-counts">Exams &amp; classes</a></li>' in text
    section = text[text.index('id="section-counts"') : text.index('id="training"')]
    assert "2 exams, &lt;b&gt;all&lt;/b&gt; of them" in section
    assert re.search(r"<td>malignant</td><td class=\"number\">1</td>", section)
    assert 'alt="A line."' in section and "data:image/svg+xml" in section and "It rises." in section
    assert "Nothing to say" not in text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Raises, "ZeroDivisionError: of &lt;nothing&gt;"),
        (Exits, "SystemExit: 3"),
        (Crooked, "row 2 has 1 cell, and the table 2 columns"),
        (Markup, "expected text, a ReportTable or a ReportFigure, got bytes"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_a_section_that_fails_says_whose_it_is_and_the_rest_of_the_page_stands(tmp_path, broken, said):
    sections = offered_sections(offered(broken=broken, counts=Counts), RUN)
    write_run_page(tmp_path / "page.html", made_run_page(offered=sections))
    text = (tmp_path / "page.html").read_text()
    assert "This section of plugin &#39;mine&#39; of my-sections 0.3 failed: " in text and said in text
    assert (
        "begun" not in text
        and "<script>" not in text[text.index("section-broken") : text.index('id="training"')]
    )
    for anchor in ("cases", "curves", "measures", "section-counts", "training", "provenance", "limits"):
        assert f'id="{anchor}"' in text


def test_a_section_that_changes_the_run_changes_no_other():
    run = replace(RUN, facts={"Run": {"seed": 0}})
    before, counts, *_ = offered_sections(offered(before=Overwrites, counts=Counts), run)
    assert not before.failure
    assert [row[1]["text"] for row in counts.parts[1]["rows"]] == ["1", "1"]
    assert run.facts == {"Run": {"seed": 0}} and run.truth.tolist() == [0, 1]


@pytest.mark.usefixtures("undrawn")
def test_a_report_hands_it_the_run(tiny_run, dataset, tmp_path):
    seen = []

    class Curious(Counts):
        def __call__(self, run):
            seen.append(run)
            return ["seen"]

    trained = open_trained(tiny_run, offered(curious=Curious), torch.device("cpu"))
    write_report(trained, dataset, ReportSettings(cases=0), out=tmp_path / "report.html")
    assert 'id="section-curious"' in (tmp_path / "report.html").read_text()
    [run] = seen
    predictions = trained.predict(dataset, "test")
    assert run.exam_ids == [dataset.exam_ids[i] for i in predictions.indices]
    np.testing.assert_array_equal(run.truth, dataset.labels[predictions.indices])
    np.testing.assert_allclose(run.probabilities, predictions.probabilities)
    assert (
        set(run.attention) == {"cc", "mlo"} and run.epochs[0]["epoch"] == 1 and run.facts["Run"]["seed"] == 0
    )
    assert (run.name, run.part, run.threshold) == ("run", "test", 0.5)
