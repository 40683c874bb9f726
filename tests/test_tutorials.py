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


def test_first_run_and_compare(environment: FreshEnvironment, tmp_path: Path) -> None:
    printed = follow("first_run", tmp_path, environment)
    assert "auc" in printed and "p(malignant)" in printed
    assert (tmp_path / "with_gaze/report.html").exists() and len(
        list((tmp_path / "overlays").glob("*.png"))
    ) == 2
    table = follow("compare", tmp_path, environment)
    assert "What gaze brings" in table
    assert set(systems(tmp_path / "study")) == {"without-gaze", "with-gaze", "concat"}


def test_your_data_and_your_gaze(environment: FreshEnvironment, tmp_path: Path) -> None:
    printed = follow("your_data", tmp_path, environment)
    assert "E003 " in printed and "E003_cc.png" not in printed
    printed = follow("your_gaze", tmp_path, environment)
    assert "gaze agreement" in printed
    assert len(list((tmp_path / "overlays").glob("*.png"))) == 120 and (tmp_path / "heat.png").exists()
    evaluation = json.loads((tmp_path / "run_gaze/evaluation.json").read_text())
    assert evaluation["metrics"]["gaze_agreement"]["correlation"]["value"] is not None
