"""The tutorials, followed to the letter in a fresh environment.

Every ``sh`` block is run and every block that begins with ``# PATH`` is written to that file, in the order of the page.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fresh_environment import ROOT, FreshEnvironment, build, make_environment

TUTORIALS = ROOT / "docs/tutorials"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    folder = tmp_path_factory.mktemp("fresh")
    return make_environment(folder / "venv", build(folder / "dist")["wheel"])


def blocks(page: str) -> Iterator[tuple[str, str]]:
    text = (TUTORIALS / f"{page}.md").read_text()
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def follow(page: str, folder: Path, environment: FreshEnvironment) -> str:
    """Do what a page says; all that its commands printed."""
    printed = []
    for language, text in blocks(page):
        file = re.match(r"# ([\w/.-]+\.\w+)\n", text)
        if language == "sh":
            printed.append(environment.run(text, folder))
        elif file and language != "text":
            (folder / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / file[1]).write_text(text)
    return "".join(printed)


def expected(page: str) -> dict[str, list[tuple[float, float]]]:
    """Row of a page's table of expected numbers → the interval that each cell prints, ``0.883 (0.722 – 0.960)``."""
    text = (TUTORIALS / f"{page}.md").read_text()
    interval = re.compile(r"\(([-+\d.]+) – ([-+\d.]+)\)")
    rows = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    found = {
        name: [tuple(map(float, pair)) for pair in interval.findall(" ".join(cells))] for name, *cells in rows
    }
    return {name: intervals for name, intervals in found.items() if intervals}


def within(value: float, interval: tuple[float, float]) -> bool:
    """Whether it lies there, to the digits that a page prints."""
    return interval[0] - 5e-4 <= value <= interval[1] + 5e-4


def systems(study: Path) -> dict[str, float]:
    """System → mean AUC, of a study's results."""
    result = json.loads((study / "results.json").read_text())
    return {row["name"]: row["metrics"]["auc"]["mean"] for row in result["rows"]}


def test_write_a_fusion_ends_in_a_trained_model_and_a_table(
    environment: FreshEnvironment, tmp_path: Path
) -> None:
    printed = follow("write_a_fusion", tmp_path, environment)
    assert 'use = "gated"' in (tmp_path / "run/preset.toml").read_text()
    assert (tmp_path / "run/evaluation.json").exists()
    assert any(
        row["package"] == "gazekit-gated" for row in json.loads((tmp_path / "run/plugins.json").read_text())
    )
    assert set(systems(tmp_path / "study")) == {"bfl", "gated"}
    assert all(0 < auc < 1 for auc in systems(tmp_path / "study").values())
    assert "Gated against BFL" in printed


def check_first_run(folder: Path, printed: str) -> None:
    """What the page prints is what came out, within its own intervals, and what it concludes from it is so."""
    page = (TUTORIALS / "first_run.md").read_text()
    table = expected("first_run")
    assert len(table) == 3 and all(len(intervals) == 2 for intervals in table.values())
    runs = ("with_gaze", "without_gaze")
    evaluations = [json.loads((folder / run / "evaluation.json").read_text()) for run in runs]
    for row, (group, name) in zip(
        table,
        [("classification", "auc"), ("gaze_agreement", "correlation"), ("localisation", "pointing_game")],
        strict=True,
    ):
        measured = [evaluation["metrics"][group][name] for evaluation in evaluations]
        for found, interval in zip(measured, table[row], strict=True):
            assert within(found["value"], interval), f"{row}: {found} is not within {interval} of the page"
        if name == "auc":
            assert all(found["low"] > 0.5 for found in measured), "both tell benign from malignant"
        else:
            assert measured[0]["low"] > measured[1]["high"], "the intervals are far apart"
    (warning,) = re.findall(r"^warning: .* …$", page, flags=re.MULTILINE)
    assert printed.count(warning.removesuffix(" …")) == 2, "both runs begin with it"
    assert f"{len(list((folder / 'raw/images').glob('*_cc.dcm')))} exams" in page
    exams, patients = re.search(r"\| (\d+) test exams of (\d+) patients \|", page).groups()
    assert f"test part: {exams} exams of {patients} patients" in printed
    files = re.findall(r"`([\w.]+/?)`", "".join(re.findall(r"^\| `.*$", page, flags=re.MULTILINE)))
    assert len(files) > 8
    for name in files:
        assert list((folder / "with_gaze").glob(f"*{name}" if name.startswith(".") else name.strip("/"))), (
            name
        )
    first = (folder / "with_gaze/split.csv").read_text()
    assert re.search(r"^.*,test$", first, flags=re.MULTILINE)[0].startswith("P00001_L,P00001,malignant")
    (said,) = re.findall(r"^(P00001_L .*)$", page, flags=re.MULTILINE)
    (shown,) = re.findall(r"^(P00001_L .*)$", printed, flags=re.MULTILINE)
    assert shown.split()[3] == said.split()[3] == "malignant", "the page says that the model finds it"


def check_compare(folder: Path) -> None:
    """The pooled AUCs and their difference lie within the page's intervals, and its conclusions hold."""
    table = expected("compare")
    result = json.loads((folder / "study/results.json").read_text())
    rows = {row["name"]: row for row in result["rows"]}
    assert set(rows) == {"without-gaze", "with-gaze"}
    pooled = [rows[name]["metrics"]["auc"]["pooled"] for name in ("with-gaze", "without-gaze")]
    assert all(each["low"] > 0.5 for each in pooled), "both are better than chance"
    for found, interval in zip(pooled, table["AUC, pooled"], strict=True):
        assert within(found["value"], interval)
    difference = rows["with-gaze"]["comparison"]["auc_difference"]
    (interval,) = table["AUC difference to without-gaze"]
    assert within(difference["value"], interval) and difference["low"] < 0, "it cannot say"
    assert rows["with-gaze"]["comparison"]["runs_p"] == 0.25, "the least of three folds with one seed"
    pointing = [rows[name]["metrics"]["pointing_game"]["mean"] for name in ("with-gaze", "without-gaze")]
    assert pointing[0] > 0.5 > pointing[1]
    page = (TUTORIALS / "compare.md").read_text()
    assert f"| {result['exams']} exams of {result['patients']} patients" in page


def test_first_run_and_compare(
    environment: FreshEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the pages' numbers are of one thread
    printed = follow("first_run", tmp_path, environment)
    check_first_run(tmp_path, printed)
    assert (tmp_path / "with_gaze/report.html").exists() and len(
        list((tmp_path / "overlays").glob("*.png"))
    ) == 2
    table = follow("compare", tmp_path, environment)
    assert "What gaze brings" in table
    check_compare(tmp_path)


def test_your_data_and_your_gaze(environment: FreshEnvironment, tmp_path: Path) -> None:
    printed = follow("your_data", tmp_path, environment)
    assert "E003 " in printed and "E003_cc.png" not in printed
    printed = follow("your_gaze", tmp_path, environment)
    assert "gaze agreement" in printed
    assert len(list((tmp_path / "overlays").glob("*.png"))) == 120 and (tmp_path / "heat.png").exists()
    evaluation = json.loads((tmp_path / "run_gaze/evaluation.json").read_text())
    assert evaluation["metrics"]["gaze_agreement"]["correlation"]["value"] is not None
