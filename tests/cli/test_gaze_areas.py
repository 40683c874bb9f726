"""``gazekit gaze areas``: from a prepared set and a table of boxes to a table, JSON and the screen."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit

from gazekit.cli.gaze.areas import COLUMNS
from gazekit.prepared.dataset import PreparedDataset

PAGE = Path(__file__).parents[2] / "docs/gaze/areas.md"
HEADER = "exam_id,view,area,left,top,right,bottom"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    rows = [f"e{exam:03d},{view},left half,0,0,16,32" for exam in range(4) for view in ("cc", "mlo")]
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join([HEADER, *rows, "e900,cc,left half,0,0,16,32"]) + "\n")
    return path


def test_the_rows_are_in_the_table_and_in_json(dataset: PreparedDataset, boxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "areas.csv"
    said = gazekit("gaze", "areas", dataset.root, "--areas", boxes, "--out", out, "--json")
    found = json.loads(said.stdout)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert found["schema"] == "gazekit.areas_of_interest/1" and tuple(rows[0]) == COLUMNS
    assert [list(each.values()) for each in rows] == [
        ["" if value is None else str(value) for value in each.values()] for each in found["readings"]
    ]
    assert len(rows) == 22 * 2 + 4 * 2, "22 exams of two views with gaze and a lesion; 8 boxes"
    lesions = [each for each in found["readings"] if each["area"] == "lesion"]
    for each in lesions:  # 30 samples at 60 Hz on the lesion
        assert each["dwell_ms"] == pytest.approx(500, abs=1) and each["dwell_share"] == 1
        assert (each["fixations"], each["entries"], each["fixations_before"]) == (1, 1, 0)
        assert each["time_to_first_ms"] == 0 and each["first_fixation_ms"] == each["dwell_ms"]
    halves = {each["exam_id"]: each for each in found["readings"] if each["area"] == "left half"}
    assert halves["e000"]["fixations"] == 1 and halves["e000"]["label"] == "benign"
    assert halves["e002"]["fixations"] == 0 and halves["e002"]["time_to_first_ms"] is None
    assert {each["area_share"] for each in halves.values()} == {0.5}
    assert "names 1 image that" in said.stderr and "left out: exam e900 view cc" in said.stderr
    groups = {(each["area"], each["reader"], each["label"]): each for each in found["areas"]}
    assert groups["left half", None, None]["looked_at"]["value"] == 0.5
    assert groups["left half", None, "malignant"]["looked_at"] == {"value": 0, "low": None, "high": None}


def test_the_screen_has_a_row_per_area_and_class(dataset: PreparedDataset, boxes: Path) -> None:
    lines = gazekit("gaze", "areas", dataset.root, "--areas", boxes, COLUMNS="100").stdout.splitlines()
    chance = (dataset.masks[:22] > 0).mean()  # the last two exams have no gaze
    assert lines[0] == "44 images with gaze and an area, 1 reader"
    exact = ["1.000", f"[{0.025 ** (1 / 11):.3f},", "1.000]"]  # each of the 11 patients looked at it
    assert lines[2].split() == ["all", "lesion", "44", *exact, "0", "500", "1.000", f"{chance:.3f}", "1"]
    assert lines[3].split()[:5] == ["all", "left", "half", "8", "0.500"]
    assert re.sub(" +", " ", lines[-1]).strip() == "malignant left half 4 0.000 – 0 0.000 0.500 0"
    assert max(map(len, lines)) <= 100


def test_images_without_an_area_are_counted(
    dataset: PreparedDataset, boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = replace(dataset, has_mask=np.zeros_like(dataset.has_mask))
    monkeypatch.setattr(PreparedDataset, "open", lambda _: bare)
    said = gazekit("gaze", "areas", dataset.root, "--areas", boxes)
    assert said.stdout.startswith("8 images with gaze and an area")
    assert "36 images with gaze but no area" in said.stderr


def test_the_masks_alone_are_areas_and_a_table_is_not_replaced(dataset: PreparedDataset, boxes: Path) -> None:
    found = json.loads(gazekit("gaze", "areas", dataset.root, "--json").stdout)
    assert {each["area"] for each in found["readings"]} == {"lesion"}
    before = boxes.read_text()
    said = gazekit("gaze", "areas", dataset.root, "--areas", boxes, "--out", boxes, code=2).stderr
    assert "would replace the table of --areas" in said and boxes.read_text() == before


def test_the_page_names_every_column() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.M))))
    assert named == set(COLUMNS)
