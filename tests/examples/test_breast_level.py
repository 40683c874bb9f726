"""The example of a head: visits of four views with logits of each breast."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import gazekit
from fresh_environment import ROOT
from made_data import make_folder, write_exams
from tiny import SMALL

import gazekit as api

CODE = (ROOT / "examples/breast_level.py").read_text()
VIEWS = ("l_cc", "l_mlo", "r_cc", "r_mlo")


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 visits of a left and a right breast; every fourth lacks ``r_mlo``, every third does not say its right one."""
    folder = tmp_path_factory.mktemp("four") / "raw"
    make_folder(folder, without_gaze=0)
    with (folder / "exams.csv").open() as file:
        breasts = list(csv.DictReader(file))
    rows = []
    for number in range(12):
        left, right = breasts[2 * number], breasts[(2 * number + 2 * (number // 2 % 2)) % 24]
        classes = left["label"], right["label"]
        sides = {"l": left, "r": right}
        row = {"exam_id": f"v{number}", "patient_id": f"p{number}", "label": max(classes)}
        row |= {"target_left": classes[0], "target_right": "" if number % 3 == 0 else classes[1]}
        row |= {f"{side}_{view}": sides[side][view] for side in sides for view in ("cc", "mlo")}
        rows.append(row)
        if number % 4 == 0:
            rows[-1]["r_mlo"] = ""
    write_exams(folder, rows)
    options: Any = {"size": 16, "crop": "none", "laterality": "off", "missing_views": "keep", "jobs": 0}
    api.prepare("folder", folder, folder.parent / "prepared", note=lambda _: None, **options)
    return folder.parent / "prepared"


def test_a_visit_is_as_suspicious_as_its_more_suspicious_breast(
    visits: Path, distribution: Any, tmp_path: Path
) -> None:
    distribution("breast-level", "1.0", CODE)
    sets = [
        f"views={json.dumps(VIEWS)}",
        "head=breast_level",
        "targets.left=1.0",
        "targets.right=1.0",
        "gaze=none",
    ]
    sets += [*SMALL, "fusion.maps.heads=2", "fusion.maps.head_dim=3", "model.vector_features=7"]
    options = [part for each in sets for part in ("--set", each)]
    run = tmp_path / "run"
    gazekit("train", "--preset", "mammonet_small", "--data", visits, "--out", run, "--epochs", 2, *options)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line[f"target_{side}"]) for line in metrics for side in ("left", "right"))
    exams = json.loads(gazekit("predict", run, visits, "--json").stdout)["exams"]
    assert len(exams) == 12
    for exam in exams:
        breasts = [exam["targets"][side]["malignant"] for side in ("left", "right")]
        assert exam["probabilities"]["malignant"] == pytest.approx(max(breasts), abs=2e-6)


def test_it_keeps_its_promises(distribution: Any) -> None:
    distribution("breast-level", "1.0", CODE)
    result = json.loads(gazekit("plugins", "check", "breast-level", "--json").stdout)
    assert {each["status"] for each in result["results"]} == {"ok"}
