"""Plain gaze tables are read, or refused with one clear line for each fault."""

import re

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.plain import Plain

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.heat_map import sigma_pixels

SAMPLES = "exam_id,view,t_ms,x,y\n"


def write(folder, text, encoding="utf-8"):
    path = folder / "gaze.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(folder, text, encoding="utf-8"):
    return list(Plain().read(write(folder, text, encoding)))


def test_samples_of_several_exams_and_views(tmp_path):
    found = read(
        tmp_path,
        SAMPLES
        + "A,cc,0,10.5,20\nA,mlo,0,1,2\nA,cc,16.7,,\nA,cc,33.3,NaN,nan\nB,cc,5,7,8\nA,cc,50,11,-3e1\n",
    )
    assert [(one.exam_id, one.view) for one in found] == [("A", "cc"), ("A", "mlo"), ("B", "cc")]
    np.testing.assert_array_equal(found[0].x, [10.5, np.nan, np.nan, 11])
    np.testing.assert_array_equal(found[0].y, [20, np.nan, np.nan, -30])
    np.testing.assert_array_equal(found[0].t_ms, [0, 16.7, 33.3, 50])
    assert all(one.duration_ms is None for one in found)
    assert found[0].source == tmp_path / "gaze.csv"


def test_fixations(tmp_path):
    (found,) = read(
        tmp_path, "exam_id,view,start_ms,duration_ms,x,y\nA,cc,100,250,10,20\nA,cc,400,180.5,30,40\n"
    )
    np.testing.assert_array_equal(found.t_ms, [100, 400])
    np.testing.assert_array_equal(found.duration_ms, [250, 180.5])
    np.testing.assert_array_equal(found.y, [20, 40])


def test_byte_order_mark_windows_lines_spaces_and_any_column_order(tmp_path):
    (found,) = read(
        tmp_path, 'y, x,t_ms,view,exam_id\r\n2,1,0,cc,"A, left"\r\n\r\n4,3,10,cc,"A, left"\r\n', "utf-8-sig"
    )
    assert (found.exam_id, found.view) == ("A, left", "cc")
    np.testing.assert_array_equal(found.x, [1, 3])
    np.testing.assert_array_equal(found.y, [2, 4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first row is empty; expected the names of the columns"),
        ("exam_id,view,time,x,y\nA,cc,0,1,2\n", "the columns are exam_id,view,time,x,y; expected"),
        (SAMPLES, "holds no gaze"),
        (SAMPLES + "A,cc,0,1,2\nA,cc,9,left,2\n", "row 3: x is 'left'; expected a number, or an empty cell"),
        (SAMPLES + "A,cc,0,1,inf\n", "row 2: y is 'inf'; expected a number"),
        (
            SAMPLES + "A,cc,0,1,2\nA,cc,,1,2\n",
            "row 3: time nan ms after 0 ms.*or blank ones for a whole view",
        ),
        (SAMPLES + "A,cc,,1,2\nA,cc,3,1,2\n", "row 3: time 3 ms after nan ms"),
        (SAMPLES + "B,cc,50,1,2\nB,cc,40,1,2\n", "row 3: time 40 ms after 50 ms for exam B"),
        (SAMPLES + "A,cc,0,1,2\nA,cc,0,1,5,2,5\n", "row 3: 7 cells; expected 5"),
        (SAMPLES + " ,cc,0,1,2\n", "row 2: exam_id is empty"),
        (SAMPLES + "A,,0,1,2\n", "row 2: view is empty"),
        ("exam_id,view,start_ms,duration_ms,x,y\nA,cc,0,-5,1,2\n", "row 2: duration_ms is -5; expected"),
        (SAMPLES + "A,cc,0," + "9" * 200_000 + ",2\n", "not a row of a text table"),
    ],
)
def test_a_whole_file_of_faults_is_named_with_file_and_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "gaze.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_samples_at_the_same_time_are_no_fault(tmp_path):
    (found,) = read(tmp_path, SAMPLES + "A,cc,1,1,2\nA,cc,1,1,2\n")
    assert len(found.x) == 2


def test_a_file_that_cannot_be_read_or_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file; expected a text table"):
        list(Plain().read(tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="cannot be read"):
        list(Plain().read(tmp_path))
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(DataError, match="not a text table but an image"):
        list(Plain().read(tmp_path / "image.csv"))


def test_semicolons_decimal_commas_other_encodings_and_missing_times(tmp_path):
    for encoding in ("utf-8", "utf-16", "cp1252"):
        (found,) = read(tmp_path, "exam_id;view;t_ms;x;y\né;cc;0;1,5;2\n", encoding)
        assert (found.exam_id, found.x.tolist()) == ("é", [1.5])
    (found,) = read(tmp_path, SAMPLES + "A,cc,,1,2\nA,cc,,3,4\n")
    assert found.t_ms is None


def test_readers_sittings_stretch_and_columns_that_are_not_read(tmp_path):
    path = tmp_path / "gaze.csv"
    head = ",exam_id,view,reader,sitting,t_ms,x,y,stretch,pupil,pupil\n"
    rows = ["Ann,1,0", "Ann,1,10", "Ann,2,0", "Ben,1,5"]
    path.write_text(head + "".join(f"{i},E,cc,{row},1,2,0.8,9,9\n" for i, row in enumerate(rows)))
    assert Plain().fits(path)
    found = list(Plain().read(path))
    assert [(each.reader, each.stretch, len(each.x)) for each in found] == [
        ("Ann", 0.8, 2),
        ("Ann", 0.8, 1),
        ("Ben", 0.8, 1),
    ]
    path.write_text("exam_id,view,t_ms,x,y,stretch\nE,cc,0,1,2,-1\n")
    with pytest.raises(DataError, match="row 2: stretch is -1; expected a number > 0, or nothing"):
        list(Plain().read(path))


def test_the_size_of_a_smaller_copy_places_its_gaze_on_the_original(tmp_path):
    header = "exam_id,view,t_ms,x,y,display_width,display_height\n"
    pixels, fractions = read(tmp_path, header + "A,cc,0,30,20,60,80\nA,mlo,0,0.5,0.25,1,1\n")
    for found in (pixels, fractions):
        placed = found.in_image_pixels(800, 600)
        assert (placed.x[0], placed.y[0]) == pytest.approx((300, 200))
    with pytest.raises(DataError, match="row 2: display_width and display_height go together"):
        read(tmp_path, header + "A,cc,0,30,20,60,\n")


@pytest.mark.parametrize("size", ["1,1", "60,80", "512,512"])
def test_the_size_of_a_copy_says_nothing_of_degrees(tmp_path, size):
    """Fractions and square copies of an oblong image were not shown stretched; a degree is in its own pixels."""
    header = "exam_id,view,t_ms,x,y,display_width,display_height,pixels_per_degree,stretch\n"
    plain, shown = read(tmp_path, header + f"A,cc,0,0.5,0.5,{size},,\nA,mlo,0,0.5,0.5,{size},30,1.2\n")
    assert sigma_pixels(plain, 800, 600, FixationSettings()) == pytest.approx((30, 30))
    assert sigma_pixels(shown, 800, 600, FixationSettings()) == pytest.approx((36, 30))
    placed = shown.in_image_pixels(800, 600)
    assert (placed.pixels_per_degree, placed.stretch) == (30, 1.2)
    assert plain.in_image_pixels(800, 600).stretch == 1


def test_rows_of_one_sitting_are_one_recording_whatever_its_degree(tmp_path):
    """Zoom changes the degree, and lost samples have none: the median of those that are there counts, as in REFLACX."""
    rows = "A,cc,0,1,2,40,0.8\nA,cc,10,1,2,44,0.8\nA,cc,20,,,,\nA,cc,30,1,2,41,0.8\nA,cc,40,1,2,,0.8\n"
    (found,) = read(tmp_path, "exam_id,view,t_ms,x,y,pixels_per_degree,stretch\n" + rows)
    np.testing.assert_array_equal(found.t_ms, [0, 10, 20, 30, 40])
    assert (found.pixels_per_degree, found.stretch) == (41, 0.8)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,cc,0,1,2,0.8,,\nA,cc,9,1,2,0.9,,\n", "row 3: stretch is 0.9 after 0.8 for exam A view cc"),
        ("A,cc,0,,,,,\nA,cc,1,1,2,0.8,,\nA,cc,9,1,2,,,\n", "row 4: stretch is blank after 0.8"),
        ("A,cc,0,1,2,,60,80\nA,cc,9,1,2,,60,90\n", "row 3: display_height is 90 after 80"),
        ("A,cc,0,1,2,,,\nA,cc,9,1,2,,60,90\n", "row 3: display_width is 60 after blank"),
    ],
)
def test_what_is_shown_does_not_change_within_a_recording(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, "exam_id,view,t_ms,x,y,stretch,display_width,display_height\n" + rows)


def test_no_stretch_is_a_stretch_of_1_and_rounding_is_no_change(tmp_path):
    header = "exam_id,view,t_ms,x,y,stretch\n"
    (found,) = read(tmp_path, header + "A,cc,0,30,20,1\nA,cc,16,31,20,\nA,cc,33,31,20,1.0001\n")
    assert found.stretch == 1
    with pytest.raises(DataError, match=r"stretch is 1\.2 after"):
        read(tmp_path, header + "A,cc,0,30,20,\nA,cc,16,31,20,1.2\n")


@pytest.mark.parametrize(
    ("row", "faulty", "fault"),
    [
        ("B,cc,50,1x,2", "B", "row 4: x is '1x'; expected a number, or an empty cell where it was lost"),
        ("B,cc,5,1,2", "B", "row 4: time 5 ms after 10 ms for exam B view cc"),
        ("B,cc,5", "B", "row 4: 3 cells; expected 5 like the first row"),
        (",cc,50,1,2", "B", "row 4: exam_id is empty"),
        ("B,cc,20,1,2\nC,mlo,0,8,9,7", "BC", "row 5: 6 cells; expected 5"),
    ],
)
def test_a_damaged_row_costs_its_recording_or_those_beside_it(tmp_path, row, faulty, fault):
    text = (
        SAMPLES
        + f"A,cc,0,1,2\nB,cc,10,1,2\n{row}\n"
        + "B,cc,60,3,4\n" * (faulty == "B")
        + "C,mlo,0,5,6\nD,cc,0,7,8\n"
    )
    found = read(tmp_path, text)
    assert [each.exam_id for each in found] == ["A", "B", "C", "D"]
    assert {each.exam_id for each in found if each.fault is not None} == set(faulty)
    for each in found:
        if each.fault is None:
            assert len(each.x) == 1
            continue
        assert each.fault.startswith(fault) and len(each.x) == 0
        with pytest.raises(
            DataError, match=re.escape(f"gaze.csv (exam {each.exam_id}, view {each.view}): {fault}")
        ):
            each.in_image_pixels(100, 100)


def test_a_file_that_ends_in_a_row_cut_off_costs_the_last_recording(tmp_path):
    first, last = read(tmp_path, SAMPLES + "A,cc,0,1,2\nB,cc,0,3,4\nB,cc,1")
    assert (first.fault, last.exam_id) == (None, "B")
    assert last.fault.startswith("row 4: 3 cells; expected 5 like the first row")
