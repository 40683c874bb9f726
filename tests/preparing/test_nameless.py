"""Words in the place of file names."""

from pathlib import Path

import pytest

from gazekit.preparing.redaction import files_of, without_names
from gazekit.records.exam import Exam
from gazekit.records.lesions import MaskFile, Outline

ROOT = Path("/data/raw")
EXAM = Exam(
    "e1",
    "p1",
    "0",
    {"cc": ROOT / "Smith" / "Smith_cc.dcm", "mlo": ROOT / "Smith_mlo.dcm", "ml": ROOT / "1.dcm"},
    gaze={"cc": ROOT / "Smith_gaze.tsv", "mlo": ROOT / "Smith_mlo.csv"},
    masks={"cc": (MaskFile(ROOT / "Smith_mask.png"), Outline(((1.0, 2.0),)))},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/raw/Smith/Smith_cc.dcm: damaged", "the image of view cc: damaged"),
        ("Smith/Smith_cc.dcm: damaged", "the image of view cc: damaged"),
        ("the path of Smith_cc.dcm leads out", "the path of the image of view cc leads out"),
        ("rec.csv (image Smith_cc.png)", "rec.csv (image the image of view cc)"),
        ("Smith_mlo.csv: no row", "the gaze file of view mlo: no row"),
        ("Smith_mlo.dcm: no row", "the image of view mlo: no row"),
        ("rec.csv (image Smith_cc)", "rec.csv (image the image of view cc)"),
        ("Smith_gaze.tsv row 2: x is ''", "the gaze file of view cc row 2: x is ''"),
        ("Smith_mask.png: the mask has 1 x 11 pixels", "the mask of view cc: the mask has 1 x 11 pixels"),
        ("1.dcm: 1 of 11 bytes", "the image of view ml: 1 of 11 bytes"),
        ("exam e1, view cc, 11.dcm", "exam e1, view cc, 11.dcm"),
    ],
)
def test_paths_and_names_become_words(text: str, expected: str) -> None:
    assert without_names(text, files_of(EXAM), ROOT) == expected


def test_a_file_that_is_called_as_messages_speak_takes_no_word_out_of_them() -> None:
    files = {
        Path("/data/bytes.dcm"): "the image of view cc",
        Path("/data/Smith.dcm"): "the image of view mlo",
    }
    text = "bytes.dcm: holds 1000000000 bytes, and bytes.png and Smith hold more"
    assert without_names(text, files) == (
        "the image of view cc: holds 1000000000 bytes, and the image of view cc and the image of view mlo hold more"
    )


def test_a_text_without_files_is_left_alone() -> None:
    assert without_names("missing view cc", {}) == "missing view cc"


def test_a_path_without_a_name_takes_no_word_out_of_a_message() -> None:
    assert without_names("/: cannot be read", {Path("/"): "the image of view cc"}) == (
        "the image of view cc: cannot be read"
    )
