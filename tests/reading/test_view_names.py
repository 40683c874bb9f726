"""Views of a preset found again in words: with sides beside them, in one word with them, or in folders."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazekit.reading.identifying.name_words import read_name
from gazekit.reading.identifying.view_names import ViewNames, split_words

BREAST = ViewNames(("cc", "mlo"))
SIDED = [
    ViewNames(("l_cc", "l_mlo", "r_cc", "r_mlo")),
    ViewNames(("L-CC", "L-MLO", "R-CC", "R-MLO")),
    ViewNames(("CC left", "MLO left", "CC right", "MLO right")),
    ViewNames(("LCC", "LMLO", "RCC", "RMLO")),
]


@pytest.mark.parametrize(
    ("text", "view", "side"),
    [
        ("12_MLO", "mlo", ""),
        ("a-cc-3", "cc", ""),
        ("P1-L-MLO", "mlo", "L"),
        ("x_cc_r", "cc", "R"),
        ("A_1141_1.LEFT_CC", "cc", "L"),
        ("LEFT 12 CC", "cc", "L"),
        ("rcc", "cc", "R"),
        ("12 LMLO", "mlo", "L"),
        ("L_12_cc", "cc", ""),  # a letter that is not beside the view may be anything
        ("cc_mlo", "", ""),
        ("left_right_cc", "cc", ""),
        ("accent", "", ""),
        ("Right", "", "R"),
        ("", "", ""),
    ],
)
def test_a_view_and_its_side_are_words(text: str, view: str, side: str) -> None:
    found = BREAST.find(split_words(text))
    assert (found.view, found.side) == (view, side)


@pytest.mark.parametrize("names", SIDED, ids=lambda names: names.views[0])
def test_views_that_name_sides_are_found_however_these_are_written(names: ViewNames) -> None:
    left_cc, _, _, right_mlo = names.views
    assert names.sided and not BREAST.sided
    for text in ("x_L_CC", "x-l-cc", "lcc 7", "LEFT_7_CC", "cc_l"):
        assert names.find(split_words(text)).view == left_cc, text
    for text in ("R MLO", "7_rmlo", "mlo_right"):
        assert names.find(split_words(text)).view == right_mlo, text
    assert names.match("CC", "L") == left_cc and names.match("MLO", "R") == right_mlo
    assert names.match("L-CC") == left_cc and names.match("RMLO") == right_mlo
    assert names.match("CC") == names.match("ML", "L") == names.find(["cc"]).view == ""
    assert (names.side_of(left_cc), names.side_of(right_mlo)) == ("L", "R")


def test_views_that_are_sides_are_no_sides_of_an_image() -> None:
    eyes = ViewNames(("left", "right"))
    found = eyes.find(split_words("12_left"))
    assert (found.view, found.side, eyes.sided) == ("left", "", False)


@given(st.text(max_size=30))
def test_whatever_else_is_written_is_no_view(text: str) -> None:
    words = split_words(text)
    found = BREAST.find(words)
    assert found.view == "" or any(word.endswith(found.view) for word in words)
    assert BREAST.match(text) in ("", "cc", "mlo")


@pytest.mark.parametrize(
    ("path", "view", "side", "rest"),
    [
        ("0012_cc.png", "cc", "", "0012"),
        ("0012-L-cc.dcm.gz", "cc", "L", "0012-L"),
        ("P1/left_mlo.png", "mlo", "L", "left"),
        ("LEFT/CC/0012.png", "cc", "L", "0012"),
        ("CC/0012_R.png", "cc", "", "0012_R"),
        ("P1/cc.png", "cc", "", ""),
        ("P1/scan.png", "", "", "scan"),
        ("a cc b.png", "cc", "", "a b"),
    ],
)
def test_names_of_files_and_folders(path: str, view: str, side: str, rest: str) -> None:
    found = read_name(Path("/cc/data") / path, Path("/cc/data"), BREAST)
    assert (found.view, found.side, found.rest) == (view, side, rest)


def test_files_that_differ_in_their_view_only_are_one_exam() -> None:
    root = Path("/data")

    def exam(name: str, views: ViewNames = BREAST) -> object:
        return read_name(root / name, root, views).exam

    assert exam("12_cc.png") == exam("12_MLO.png") != exam("13_mlo.png")
    assert exam("LEFT/CC/12.png") == exam("LEFT/MLO/12.png") != exam("RIGHT/MLO/12.png")
    assert exam("P1/cc.png") == exam("P1/mlo.png") != exam("P2/mlo.png")
    assert len({exam(f"x_{side}-{view}.png", SIDED[1]) for side in "LR" for view in ("cc", "mlo")}) == 1
