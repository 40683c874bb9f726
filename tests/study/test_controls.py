"""Negative controls of the benchmarks: they break one thing and leave the rest."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder

from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.verification import seal

CONTROLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "controls.py"))


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    raw = make_folder(tmp_path_factory.mktemp("controls") / "raw", exams=12, without_gaze=0)
    gazekit("data", "prepare", "folder", raw, raw.parent / "prepared", "--size", 16, "--crop", "none")
    return PreparedDataset.open(raw.parent / "prepared")


def control(dataset, tmp_path, name, split=None):
    CONTROLS["make_control"](dataset.root, tmp_path / name, name, split or {})
    made = PreparedDataset.open(tmp_path / name)
    assert made.fingerprint != dataset.fingerprint
    assert made.exam_ids == dataset.exam_ids and made.labels.tolist() == dataset.labels.tolist()
    return made


def test_shuffled_gaze_belongs_to_another_exam(looked_at, tmp_path):
    made = control(looked_at, tmp_path, "gaze_shuffled")
    np.testing.assert_array_equal(made.images, looked_at.images)
    ours, theirs = ([each.heat_map(i, "cc") for i in range(12)] for each in (made, looked_at))
    source = [next(j for j in range(12) if (ours[i] == theirs[j]).all()) for i in range(12)]
    assert sorted(source) == list(range(12)) and all(i != j for i, j in enumerate(source))
    (mine,), (theirs,) = made.fixations(0, "cc"), looked_at.fixations(source[0], "cc")
    np.testing.assert_array_equal(mine.x, theirs.x)


def test_shifted_gaze_is_elsewhere(looked_at, tmp_path):
    made = control(looked_at, tmp_path, "gaze_shifted")
    (mine,), (theirs,) = made.fixations(0, "cc"), looked_at.fixations(0, "cc")
    np.testing.assert_allclose(mine.x, (theirs.x + 5) % 16)
    np.testing.assert_allclose(mine.y, (theirs.y + 5) % 16)


def test_shuffled_order_keeps_places_and_onsets(looked_at, tmp_path):
    shutil.copytree(looked_at.root, tmp_path / "longer")
    rows = [
        row | {"x": float(row["x"]) + step, "onset_ms": 300 * step}
        for row in CONTROLS["read_rows"](looked_at.root)
        for step in range(5)
    ]
    CONTROLS["write_rows"](tmp_path / "longer", rows)
    seal(tmp_path / "longer")
    dataset = PreparedDataset.open(tmp_path / "longer")
    made = control(dataset, tmp_path, "order_shuffled")
    moved = 0
    for exam in range(12):
        np.testing.assert_allclose(made.heat_map(exam, "cc"), dataset.heat_map(exam, "cc"), atol=1e-6)
        (mine,), (theirs,) = made.fixations(exam, "cc"), dataset.fixations(exam, "cc")
        np.testing.assert_array_equal(mine.onset_ms, theirs.onset_ms)
        assert sorted(zip(mine.x, mine.y, strict=True)) == sorted(zip(theirs.x, theirs.y, strict=True))
        moved += not np.array_equal(mine.x, theirs.x)
    assert moved > 6


def test_mispaired_views_keep_the_label_and_the_first_view(looked_at, tmp_path):
    made = control(looked_at, tmp_path, "views_mispaired")
    np.testing.assert_array_equal(made.images[:, 0], looked_at.images[:, 0])
    for i in range(12):
        source = next(j for j in range(12) if (made.images[i, 1] == looked_at.images[j, 1]).all())
        assert source != i and looked_at.labels[source] == looked_at.labels[i]


def test_a_control_that_was_not_finished_is_not_there(looked_at, tmp_path):
    split = dict.fromkeys(looked_at.exam_ids, "train") | {looked_at.exam_ids[0]: "val"}
    with pytest.raises(SystemExit, match="one exam alone is in the group 'val'"):
        control(looked_at, tmp_path, "gaze_shuffled", split)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exchanged_is_refused(tmp_path):
    """Views of which some have no gaze, whose flags would no longer be true, and an exam that is alone."""
    raw = make_folder(tmp_path / "raw", exams=12, without_gaze=5)
    gazekit("data", "prepare", "folder", raw, tmp_path / "prepared", "--size", 16, "--crop", "none")
    dataset = PreparedDataset.open(tmp_path / "prepared")
    for name, said in (
        ("gaze_shuffled", "gaze on every view"),
        ("views_mispaired", "in every exam, or in none"),
    ):
        with pytest.raises(SystemExit, match=said):
            control(dataset, tmp_path, name)
        assert not (tmp_path / name).exists()
    with pytest.raises(SystemExit, match="one exam alone is in the group 'val 0'"):
        CONTROLS["another"](["train 0", "train 0", "val 0"], 0)
