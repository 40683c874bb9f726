"""Loose files become exams: by name and folder, by DICOM view, never across folders, never guessed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gazekit.data.grouping import group_images
from gazekit.errors import DataError

VIEWS = ("cc", "mlo")


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def test_views_are_words_of_the_name_in_any_order_and_case(tmp_path: Path) -> None:
    files = [image(tmp_path / name) for name in ("12_MLO.png", "a-cc-3.png", "12_CC.png", "a-mlo-3.png")]
    exams = {
        exam.exam_id: {view: path.name for view, path in exam.images.items()}
        for exam in group_images(files, VIEWS)
    }
    assert exams == {
        "12": {"cc": "12_CC.png", "mlo": "12_MLO.png"},
        "a_3": {"cc": "a-cc-3.png", "mlo": "a-mlo-3.png"},
    }


def test_a_folder_is_searched_and_patients_in_folders_stay_apart(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        for view in VIEWS:
            image(tmp_path / patient / f"left_{view}.png")
    exams = group_images([tmp_path], VIEWS)
    assert {exam.exam_id for exam in exams} == {"P1_left", "P2_left"}
    for exam in exams:
        assert {path.parent.name for path in exam.images.values()} == {exam.exam_id[:2]}


def test_halves_of_two_patients_are_no_exam(tmp_path: Path) -> None:
    files = [image(tmp_path / "P1" / "left_cc.png"), image(tmp_path / "P2" / "left_mlo.png")]
    with pytest.raises(DataError, match=r"exam left: no view 'mlo' beside left_cc\.png in .*P1"):
        group_images(files, VIEWS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1_cc.png", "1-cc.png", "1_mlo.png"], "view 'cc' comes twice"),
        (["x.png", "y.png", "z.png"], "holds none of the views cc, mlo"),
        (["x.png", "y.png"], r"neither its name nor its view position \(none\)"),
        ([], "no image among the paths given"),
    ],
)
def test_what_cannot_be_told_is_an_error(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        group_images([image(tmp_path / name) for name in names] or [tmp_path], VIEWS)


def test_one_view_needs_no_name(tmp_path: Path) -> None:
    (exam,) = group_images([image(tmp_path / "scan.png")], ("cc",))
    assert list(exam.images) == ["cc"]
