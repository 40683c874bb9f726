"""A split that parts a patient is refused, or allowed and named in every result."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import TINY, gazekit, one_exam
from made_data import make_folder, write_exams

from gazekit.prepared.leaks import find_leak, image_hashes
from gazekit.records.geometry import Geometry

LEAK = "12 patients are on two sides of the split (p000, p001, p002, p003, p004 and 7 more)"


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set whose source puts one exam of every patient into the test part."""
    raw = make_folder(tmp_path_factory.mktemp("leaking") / "raw")
    with (raw / "exams.csv").open(newline="") as file:
        rows = [row | {"split": ("train", "test")[i % 2]} for i, row in enumerate(csv.DictReader(file))]
    write_exams(raw, rows)
    gazekit("data", "prepare", "folder", raw, raw.parent / "prepared", "--size", 16, "--crop", "none")
    return raw.parent / "prepared"


def test_the_parts_of_a_patient_and_of_an_identical_image() -> None:
    exams = [("a", "p", "train"), ("b", "p", "train"), ("c", "q", "test"), ("d", "q", "val"), ("e", "r", "")]
    leak = find_leak(exams, [("a", "b"), ("a", "c"), ("c", "e")])
    assert leak is not None and (leak.patients, leak.duplicates) == (("q",), (("a", "c"),))
    assert str(leak) == (
        "1 patient is on two sides of the split (q); 1 identical image is in exams on two sides (a = c)"
    )
    assert find_leak(exams[:3], [("a", "b")]) is None


def test_a_leak_is_refused_by_split_and_train_and_mended_anew(leaking: Path, tmp_path: Path) -> None:
    for command in (
        ("data", "split", leaking, tmp_path / "s.csv"),
        ("train", "--preset", "mammonet_small", "--data", leaking, "--out", tmp_path / "run", *TINY),
    ):
        error = gazekit(*command, code=3).stderr
        assert LEAK in error and "--anew" in error and "--allow-leak" in error
    assert list(tmp_path.iterdir()) == []
    assert "leak" not in gazekit("data", "split", leaking, tmp_path / "s.csv", "--anew").stderr


@pytest.mark.usefixtures("undrawn")
def test_an_allowed_leak_is_said_in_every_report(leaking: Path, tmp_path: Path) -> None:
    out, split = tmp_path / "run", tmp_path / "s.csv"
    warned = gazekit("data", "split", leaking, split, "--val", "0.3", "--allow-leak").stderr
    assert "patients are on two sides" in warned
    train = ("train", "--preset", "mammonet_small", "--data", leaking, "--split", split, "--out", out)
    gazekit(*train, "--epochs", 1, *TINY, code=3)
    assert LEAK in gazekit(*train, "--epochs", 1, *TINY, "--allow-leak").stderr
    assert LEAK in gazekit("evaluate", out, "--resamples", 100).stderr
    assert json.loads(gazekit("evaluate", out, "--resamples", 100, "--json").stdout)["leak"] == LEAK
    assert LEAK in json.loads((out / "evaluation.json").read_text())["leak"]
    for command in (("list", out), ("compare", out, out)):
        assert LEAK in gazekit("runs", *command).stderr
    gazekit("report", out, *one_exam(out))
    assert LEAK in (out / "report.html").read_text()


def test_an_image_is_known_by_its_names_its_size_and_what_was_cut_out() -> None:
    def hashes(**changes: object) -> tuple[str, ...]:
        facts = {
            **{"patient": "p", "exam": "e", "views": ("cc", "mlo"), "raw": (50, 40)},
            **{"box": (2, 3, 30, 40), "size": (16, 16), "there": (True, True), "flip": False},
        } | changes
        geometry = Geometry.fit(facts["box"], facts["size"], flip=facts["flip"])
        dataset = SimpleNamespace(
            patient_ids=[facts["patient"]],
            exam_ids=[facts["exam"]],
            views=facts["views"],
            has_image=np.array([facts["there"]]),
            geometry=[dict.fromkeys(facts["views"], geometry)],
            raw_size=[dict.fromkeys(facts["views"], facts["raw"])],
        )
        return image_hashes(dataset, 0)

    known = hashes()
    assert len(set(known)) == 2 and known == hashes(size=(8, 12), flip=True)
    assert hashes(there=(False, True)) == known[1:]
    for other in (
        *({"patient": "q"}, {"exam": "f"}, {"views": ("lcc", "lmlo")}),
        *({"raw": (50, 41)}, {"raw": (51, 40)}),
        *({"box": (1, 3, 30, 40)}, {"box": (2, 2, 30, 40)}, {"box": (2, 3, 31, 40)}, {"box": (2, 3, 30, 41)}),
    ):
        assert not set(hashes(**other)) & set(known), other
