"""MicEye's logs in the exact layout that its versions write."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.miceye import MicEye

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of


def write(folder, *rows):
    """As MicEye does: Python's own text of each value, joined by semicolons."""
    path = folder / "ZLC2020-10-28-13-36.csv"
    path.write_text("".join(";".join(str(cell) for cell in row) + "\n" for row in rows), encoding="utf-8")
    return path


def v1(gaze, image="D:\\data\\1\\9063823L.png"):
    return image, "1", gaze, [(10, 20, 30, 40)], (-1, -1)


def test_version_1_is_scaled_from_the_display_once_the_image_is_known(tmp_path):
    path = write(tmp_path, v1([[206, 412], [400, 799]]), v1([[5, 6]], "other/b_cc.png"))
    first, second = MicEye().read(path)
    assert (first.image, second.image) == ("D:\\data\\1\\9063823L.png", "other/b_cc.png")
    assert first.t_ms is None
    assert first.duration_ms is None
    assert first.display_height == 800
    found = fixations_of(first, image_height=3200, image_width=2400, settings=FixationSettings())
    np.testing.assert_allclose(found.x, [206 * 4, 400 * 4])
    np.testing.assert_allclose(found.y, [412 * 4, 799 * 4])
    np.testing.assert_array_equal(found.duration_ms, [1, 1])


def test_the_display_height_is_an_option(tmp_path):
    (found,) = MicEye(display_height=900).read(write(tmp_path, v1([[90, 180], [3, 900]])))
    np.testing.assert_allclose(found.in_image_pixels(1800).y, [360, 1800])
    assert found.suspect.tolist() == [False, True]


def test_version_1_clamps_to_the_border_and_such_samples_are_suspect(tmp_path):
    gaze = [[0, 5], [5, 0], [7, 800], [600, 300], [599, 799]]
    (found,) = MicEye().read(write(tmp_path, v1(gaze)))
    assert found.suspect.tolist() == [True, True, True, False, False]
    known = found.in_image_pixels(3200, 2400)  # shown 600 wide
    assert known.suspect.tolist() == [True, True, True, True, False]


def test_version_2_is_divided_by_its_scale(tmp_path):
    gaze = [[[206, 412], 0.5], [[300, 90], 1.5], [[0, 90], 2.0]]
    row = ("C:\\x y\\b_mlo.png", 0, gaze, [(1, 2, 3, 4, 0.5)], (-1, -1))
    (found,) = MicEye().read(write(tmp_path, row))
    np.testing.assert_allclose(found.x, [412, 200, 0])
    np.testing.assert_allclose(found.y, [824, 60, 45])
    assert found.display_height is None


def test_version_2_writes_no_gaze_beside_the_image_so_its_border_was_looked_at(tmp_path):
    """Its ``getPointInImage`` returns nothing outside the image, where that of version 1 returns the border."""
    row = ("b.png", 0, [[[0, 90], 2.0], [[300, 0], 1.5], [[400, 800], 2.0]], [], (-1, -1))
    (found,) = MicEye().read(write(tmp_path, row))
    kept = fixations_of(found, image_height=400, image_width=200, settings=FixationSettings())
    np.testing.assert_allclose((kept.x, kept.y), [[0, 200, 200], [45, 0, 400]])


def test_a_folder_with_a_semicolon_and_a_name_in_another_encoding(tmp_path):
    path = write(tmp_path, v1([[1, 2]], "D:\\a;b\\x.png"))
    path.write_bytes(path.read_bytes() + "D:\\图\\y.png;1;[[3, 4]];[];(-1, -1)\n".encode("gbk"))
    first, second = MicEye().read(path)
    assert first.image == "D:\\a;b\\x.png"
    assert second.image.startswith("D:\\") and second.image.endswith("\\y.png")
    np.testing.assert_array_equal(second.x, [3])


def test_an_image_passed_over_without_a_sample(tmp_path):
    (found,) = MicEye().read(write(tmp_path, v1([])))
    assert len(found.x) == len(found.y) == len(found.suspect) == 0


@pytest.mark.parametrize(
    "gaze",
    [
        "[[1, 2], [3]]",
        "[[1, 2], [[3, 4], 1.0]]",
        "[[[1, 2], 1.0], [3, 4]]",
        "[[1, 2, 3]]",
        "[1, 2]",
        "[[]]",
        "{1: 2}",
        "(1, 2)",
        "[['a', 'b']]",
        "[[None, 2]]",
        "[[1, 2]",
        "[[1, 1e999]]",
        "[[[1, 2], 0]]",
        "[[[1, 2], -1.0]]",
        "[[[[1, 2]]]]",
        "[" * 100_000,
        "[[1, " + "-" * 100_000 + "2]]",
        "[[1, 2" + "-1" * 100_000 + "]]",
        "[[1, " + "9" * 5000 + "]]",
        "__import__('os').getcwd()",
        "[[1, 2]," + " " * 2**22 + "]",
        "",
    ],
    ids=lambda gaze: gaze[:24],
)
def test_gaze_that_is_not_miceyes_is_refused_with_its_row(tmp_path, gaze):
    good, bad = MicEye().read(write(tmp_path, v1([[1, 2]]), v1(gaze)))
    assert (good.fault, len(good.x)) == (None, 1)
    assert (bad.image, bad.reader, len(bad.x)) == (good.image, "ZLC", 0)
    assert bad.fault.startswith("row 2: ") and "\n" not in bad.fault and len(bad.fault) < 400
    with pytest.raises(DataError, match=r"ZLC2020-10-28-13-36\.csv row 1: ") as caught:
        list(MicEye().read(write(tmp_path, v1(gaze))))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_row_cut_off_after_its_image_costs_that_image_and_one_before_it_the_file(tmp_path):
    path = write(tmp_path, v1([[1, 2]]))
    whole = path.read_text()
    path.write_text(whole + "D:\\b.png;1;[[3, 4], [5,")
    good, bad = MicEye().read(path)
    assert (good.fault, bad.image) == (None, "D:\\b.png")
    assert bad.fault == "row 2: 3 cells; expected path;class;gaze;boxes;point of MicEye"
    path.write_text(whole + "D:\\b.p")
    with pytest.raises(DataError, match="row 2: 1 cell; expected"):
        list(MicEye().read(path))


def test_files_that_are_no_log(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="gaze cannot be read"):
        list(MicEye().read(tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="row 1: 3 cells; expected path;class;gaze;boxes;point"):
        list(MicEye().read(write(tmp_path, ("a.png", 1, [[1, 2]]))))
    with pytest.raises(DataError, match="holds no gaze"):
        list(MicEye().read(write(tmp_path)))
    monkeypatch.setattr("gazekit_datasets.gaze_readers.miceye.LARGEST_FILE", 2**4)
    with pytest.raises(DataError, match="larger than"):
        list(MicEye().read(write(tmp_path, v1([[1, 2]]))))


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("ann2026-1-22-9-5", "ann"),
        ("P012026-11-2-19-50", "P01"),
        ("Ann B 2026-1-2-3-4", "Ann B"),
        ("log", None),
    ],
)
def test_the_name_before_the_date_is_the_readers(tmp_path, name, reader):
    path = tmp_path / f"{name}.csv"
    path.write_text("a.png;1;[[1, 2]];[];(0, 0)\n")
    (found,) = MicEye().read(path)
    assert found.reader == reader
