"""The page of the benchmarks shows the numbers of its results; Table 1 has the values that tuning chose."""

import json
import re
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def rows_of(results: str) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((FOLDER / "results" / results).read_text())["rows"]}


def written(estimate: dict, sign: str = "") -> str:
    value, low, high = (
        f"{round(estimate[key], 3) + 0.0:{sign}.3f}".replace("-", "−") for key in ("value", "low", "high")
    )
    return rf"{value} \[{low}, {high}\]"


def table_below(heading: str) -> dict[str, list[str]]:
    section = (FOLDER / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n### ")[0]
    lines = re.findall(r"^\| (\w+)(?: \(.*?\))? \| (.+) \|$", section, flags=re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in lines if name != "system"}


def test_table_1_shows_auc_difference_and_pointing_game_over_the_phantoms() -> None:
    rows, shown = rows_of("table1.json"), table_below("Table 1 on phantoms")
    assert {*shown} == {*rows}
    for name, (auc, difference, pointing) in shown.items():
        over, localised = rows[name]["over_data_sets"], rows[name]["metrics"].get("pointing_game")
        assert auc == written(over["value"]), name
        assert difference == (written(over["difference"], "+") if over["difference"] else "reference"), name
        assert pointing == (f"{localised['mean']:.3f}" if localised else "–"), name


def test_the_rows_on_adrenalmnist3d_show_pooled_auc_and_difference() -> None:
    rows, shown = rows_of("adrenal.json"), table_below("The rows without gaze on AdrenalMNIST3D")
    assert {*shown} == {*rows}
    for name, (auc, difference) in shown.items():
        compared = rows[name]["comparison"]
        assert auc == written(rows[name]["metrics"]["auc"]["pooled"]), name
        expected = written(compared["auc_difference"], "+") if compared else "reference"
        assert difference.removeprefix("+") == expected.removeprefix("+"), name


@pytest.mark.parametrize("name", rows_of("development.json"))
def test_table_1_has_the_values_that_the_development_phantom_chose(name: str) -> None:
    """``double_model`` and ``eg_vit`` were tuned once more, with the gaze of one reader."""
    (tuned,) = (rows_of("development.json") | rows_of("development_images.json"))[name]["tuned"]
    table = {row["name"]: row for row in tomllib.loads((FOLDER / "table1.toml").read_text())["system"]}
    assert {*tuned["changes"]} <= {*table[name]["set"]}
