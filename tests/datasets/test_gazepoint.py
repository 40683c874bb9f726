"""Exports of Gazepoint Analysis: media, clocks that begin again, samples or fixations, the screen, and each fault."""

import tracemalloc

import numpy as np
import pytest
from gaze_formats import READERS
from gazekit_datasets.gaze_readers.gazepoint import Gazepoint

from gazekit.errors import DataError
from gazekit.gaze.formats import gaze_files, nothing_read

HEADER = (
    "MEDIA_ID,MEDIA_NAME,CNT,TIME(2019/11/18 23:50:04.582),TIMETICK(f=10000000),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,"
    "BPOGX,BPOGY,BPOGV,CX,CY,CS,USER,BKID,BKDUR,AOI,\n"
)


def row(media=0, name="a_cc", t=0.0, tick=0, *, fixation=(0.5, 0.5, 0, 0.1, 1, 1), gaze=(0.25, 0.75, 1)):
    cells = (media, name, 0, t, tick, *fixation, *gaze, 0, 0, 0, "", 0, 0, "", "")
    return ",".join(map(str, cells)) + "\n"


def write(folder, *rows, name="User 0_all_gaze.csv", header=HEADER):
    path = folder / name
    path.write_text(header + "".join(rows))
    return path


def read(path, **options):
    return list(Gazepoint(**options).read(path))


def one(path, **options):
    (found,) = read(path, **options)
    return found


def test_samples_are_fractions_of_the_screen_and_seconds(tmp_path):
    path = write(
        tmp_path,
        row(t=0),
        row(t=0.01667, gaze=(1.25, -0.5, 1)),
        row(t=0.03333, gaze=(0.5, 0.5, 0)),  # keeps the last place where no eye is seen
        row(t=0.05, gaze=(0.5, "", 1)),
        row(t=0.06667, gaze=(0.5, 0.5, "")),
    )
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["gazepoint"]
    found = one(path)
    np.testing.assert_allclose(found.t_ms, [0, 16.67, 33.33, 50, 66.67])
    np.testing.assert_array_equal(found.x, [480, 2400, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found.y, [810, -540, np.nan, np.nan, np.nan])
    assert (found.image, found.reader, found.duration_ms, found.on_screen) == ("a_cc", "User 0", None, True)
    with pytest.raises(DataError, match="set the reader's option shown"):
        found.in_image_pixels(400)
    placed = one(path, screen=(1000, 1000), shown=(50, 250, 400, 500))
    assert (placed.x[0], placed.y[0], placed.display_width, placed.display_height) == (200, 500, 400, 500)


def test_each_media_is_a_recording_whose_clock_begins_again(tmp_path):
    found = read(
        write(
            tmp_path,
            row(4, "b", t=0, tick=100),
            row(4, "b", t=0.5, tick=200),
            row(1, "a", t=0, tick=300),
            row(4, "b", t=0, tick=400),
            row(4, "b", t=0, tick=500),
            row(4, "b", t=0.25, tick=600),
            row(4, "b", t=0, tick=700),  # shown once more
            row(5, "", t=0, tick=800),
        )
    )
    assert [(each.image, each.t_ms.tolist()) for each in found] == [
        ("b", [0, 500]),
        ("a", [0]),
        ("b", [0, 0, 250]),
        ("b", [0]),
        (None, [0]),
    ]


def test_fixations_are_those_of_the_filter(tmp_path):
    path = write(
        tmp_path,
        row(t=0.4, fixation=(0.25, 0.75, 0.125, 0.25, 1, 1), gaze=(0, 0, 0)),
        row(t=0.9, fixation=(0.5, 1.5, 0.5, 0.375, 2, 1)),
        row(t=1.9, fixation=(0.5, 0.5, 1, 0.375, 3, 0)),
        name="User 0_fixations.csv",
    )
    found = one(path)
    np.testing.assert_array_equal(found.t_ms, [125, 500, 1000])
    np.testing.assert_array_equal(found.duration_ms, [250, 375, 375])
    np.testing.assert_array_equal(found.x, [480, 960, np.nan])
    np.testing.assert_array_equal(found.y, [810, 1620, np.nan])
    assert found.reader == "User 0"


def test_of_the_two_tables_of_a_user_one_is_read(tmp_path):
    gaze = write(tmp_path, row())
    found = write(tmp_path, row(), name="User 0_fixations.csv")
    other = write(tmp_path, row(), name="User 1_fixations.csv")
    assert [len(read(path)) for path in (gaze, found, other)] == [1, 0, 1]
    assert [len(read(path, events="fixations")) for path in (gaze, found, other)] == [0, 1, 1]
    assert Gazepoint().beside(found) == [gaze] and Gazepoint().beside(gaze) == []
    files, _ = gaze_files(found, READERS)
    assert "its gaze is read from User 0_all_gaze.csv; give that file" in str(nothing_read(found, files))
    gaze.write_text("another table\n")
    assert len(read(found)) == 1


@pytest.mark.parametrize(
    ("numbers", "are_samples"), [([1, 1, 1, 2, 2, 3], True), ([1, 2, 3, 3, 4, 5], False)]
)
def test_a_renamed_table_holds_samples_if_its_rows_share_fixations(tmp_path, numbers, are_samples):
    rows = [row(t=i, fixation=(0.5, 0.5, i, 0.5, number, 1)) for i, number in enumerate(numbers)]
    found = one(write(tmp_path, *rows, name="a_cc.csv"))
    assert (found.duration_ms is None) is are_samples
    assert found.reader is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no gaze"),
        ([row(t="")], r"row 2: TIME\(2019/11/18 23:50:04.582\) is ''; expected a number"),
        ([row(t=1, tick=5), row(t=0.5, tick=4)], "row 3: time 500 ms after 1000 ms"),
        ([row(gaze=(0.5, 0.5, 2))], "row 2: BPOGV is 2; expected 0 or 1"),
        ([row(gaze=("left", 0.5, 1))], "row 2: BPOGX is 'left'"),
        ([row().replace(",0.25,", ",")], "row 2: 21 cells; expected 22"),
        ([row(gaze=(1e30, 0.5, 1))], "row 2: a number is beyond"),
    ],
)
def test_a_fault_is_named_with_its_row(tmp_path, rows, message):
    path = write(tmp_path, *rows)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damaged", "faulty", "fault"),
    [
        (row(2, "b", t="late"), "ab", "row 3: TIME"),
        (row(2, "b", gaze=("left", 0.5, 1)), "b", "row 3: BPOGX is 'left'"),
        ("2,b,0\n", "ab", "row 3: 3 cells; expected 22"),
    ],
)
def test_a_damaged_row_costs_the_gaze_of_its_media_or_of_those_beside_it(tmp_path, damaged, faulty, fault):
    found = read(write(tmp_path, row(1, "a"), damaged, row(2, "b", t=0.1), row(3, "c")))
    assert [each.image for each in found] == ["a", "b", "c"]
    assert {each.image for each in found if each.fault is not None} == set(faulty)
    assert all(each.fault.startswith(fault) for each in found if each.fault is not None)
    assert all(len(each.x) == (each.fault is None) for each in found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("BPOGX,", "X,", "no column BPOGX"), ("TIME(2019/11/18 23:50:04.582)", "TIME", r"no column TIME\(…\)")],
)
def test_a_missing_column_is_named_and_the_table_of_no_format(tmp_path, old, new, message):
    path = write(tmp_path, row(), header=HEADER.replace(old, new))
    assert not any(reader.fits(path) for reader in READERS.values())
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_fault_of_a_fixation_is_named_with_its_row(tmp_path):
    path = write(tmp_path, row(fixation=(0.5, 0.5, 0, -1, 1, 1)), name="User 0_fixations.csv")
    with pytest.raises(DataError, match="row 2: the fixation lasts -1000 ms"):
        read(path)


def test_a_fixation_without_the_time_that_tells_its_media_is_a_fault_of_both(tmp_path):
    rows = row(1, "a", t=0.1), row(1, "a", t="late"), row(2, "b", t=0.1), row(3, "c", t=0.1)
    found = read(write(tmp_path, *rows, name="User 0_fixations.csv"))
    assert [(each.image, len(each.x), bool(each.fault)) for each in found] == [
        ("a", 0, True),
        ("b", 0, True),
        ("c", 1, False),
    ]


def test_the_rows_of_a_long_recording_are_not_held(tmp_path):
    path = write(tmp_path, *(row(t=number / 150) for number in range(5000)))
    tracemalloc.start()
    try:
        read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e6  # held, the rows take 4.5 MB; 500 000 of 44 cells, 1.6 GB
