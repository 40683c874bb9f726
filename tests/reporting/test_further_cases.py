"""A report of more exams than a page holds goes on in pages beside it: every exam once, each page whole and small."""

import re
import shutil

import pytest
import torch
from made_page import CASES, made_run_page

from gazekit.errors import DataError
from gazekit.registry.discovery import load_registry
from gazekit.reporting.run import report
from gazekit.reporting.run.files import write_report
from gazekit.reporting.run.page import FurtherCases, write_run_page
from gazekit.runs.trained import open_trained


def shown_on(page):
    return re.findall(r'<h3 id="case-\d+-title">([^<]+)</h3>', page.read_text())


def links_of(page):
    return re.findall(r'<li><a href="([^"#]*)#cases">(\d+–\d+)</a></li>', page.read_text())


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.mark.usefixtures("undrawn")
def test_every_exam_is_on_one_page_in_the_order_of_the_data(run, dataset, monkeypatch):
    monkeypatch.setattr(report, "CASES_ON_A_PAGE", 3)
    trained = open_trained(run, load_registry(), torch.device("cpu"))
    in_figure = dataset.exam_ids[:1]  # the fewer, the sooner

    told = []

    def write(cases):
        settings = report.ReportSettings(part="all", cases=cases, exams=in_figure)
        return write_report(trained, dataset, settings, report=lambda *at: told.append(at))

    path = write(8)
    number = min(8, len(dataset))
    assert told == sorted(set(told)) and told[-1] == (len(dataset) + number,) * 2
    pages = [path, *(run / "report_cases" / f"{n}.html" for n in range(2, 1 + -(-number // 3)))]
    assert sorted(pages[1:]) == sorted((run / "report_cases").iterdir())
    assert [exam for page in pages for exam in shown_on(page)] == list(dataset.exam_ids[:number])
    assert len(shown_on(path)) == 3 and ", 3 on a page." in path.read_text()
    for page in pages:
        targets = [(page.parent / target).resolve() for target, _ in links_of(page)]
        assert targets == [other.resolve() for other in pages if other != page]
        assert not re.search(
            r'(?:src|href)="(?!data:|#|\.\./report\.html|report_cases/\d|\d+\.html)', page.read_text()
        )

    write(5)
    assert [page.name for page in (run / "report_cases").iterdir()] == ["2.html"]
    write(3)
    assert not list((run / "report_cases").iterdir()) and not links_of(path)


def test_further_exams_are_made_when_their_page_is_written(tmp_path):
    made = []

    def make(first, last):
        made.append((first, last))
        assert not (tmp_path / "report_cases" / f"{1 + len(made)}.html").exists()
        return CASES[:2]

    further = FurtherCases(5, [(6, 7), (8, 9)], make)
    write_run_page(tmp_path / "report.html", made_run_page(further=further))
    assert made == [(6, 7), (8, 9)]
    assert links_of(tmp_path / "report.html") == [
        ("report_cases/2.html", "6–7"),
        ("report_cases/3.html", "8–9"),
    ]
    assert links_of(tmp_path / "report_cases" / "3.html") == [("../report.html", "1–5"), ("2.html", "6–7")]


def test_pages_are_not_written_through_a_link(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "9.html").write_text("theirs")
    (tmp_path / "report_cases").symlink_to(tmp_path / "theirs")
    with pytest.raises(DataError, match="report_cases: is a link"):
        write_run_page(tmp_path / "report.html", made_run_page())
    assert (tmp_path / "theirs" / "9.html").read_text() == "theirs"
