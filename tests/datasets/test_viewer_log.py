"""The viewer's log beside the tracker's samples: zoom, pan, several boxes, clocks, and each fault."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.viewer_log import ViewerLog

from gazekit.errors import DataError

HEADER = (
    "timestamp,img_pos_x,img_pos_y,img_size_w,img_size_h,img_scale_x,img_scale_y,"
    "box_pos_x,box_pos_y,box_size_w,box_size_h,box_index,dcm_path"
)
WIDTH, HEIGHT = 1000, 2000
LEFT, RIGHT, WHOLE = (0, 40, 960, 1000), (960, 40, 960, 1000), (0, 40, 1920, 1000)


def state(time, left, top, zoom, box=LEFT, index=0, image="D:\\case 1\\a_cc.dcm"):
    zoom_x, zoom_y = zoom if isinstance(zoom, tuple) else (zoom, zoom)
    cells = (time, left, top, WIDTH * zoom_x, HEIGHT * zoom_y, zoom_x, zoom_y, *box, index, image)
    return ",".join(f"{cell}" for cell in cells)


def write_log(folder, *rows, name="Pacs_EID-1.csv"):
    path = folder / name
    path.write_bytes(("\ufeff" + "\r\n".join([HEADER, *rows]) + "\r\n").encode())
    return path


def write_gaze(folder, samples, name="gaze.csv"):
    """``samples``: (ms, x, y) with x, y in pixels of a screen of 1920 × 1080; None where lost."""
    lines = ["system_time_stamp,left_gaze_point_on_display_area,left_gaze_point_validity"]
    for ms, x, y in samples:
        lost = x is None
        point = "nan, nan" if lost else f"{float(x) / 1920!r}, {float(y) / 1080!r}"
        lines.append(f'{round(ms * 1000)},"({point})",{int(not lost)}')
    (folder / name).write_text("\n".join(lines) + "\n")


def read(folder, rows, samples, **options):
    write_gaze(folder, samples)
    return list(ViewerLog(**options).read(write_log(folder, *rows)))


def test_the_formula(tmp_path):
    """(screen x - img_pos_x) / img_scale_x, on each axis by its own scale."""
    (found,) = read(
        tmp_path, [state(0, 100, 60, (0.5, 0.25)), state(900, 5, 5, 1)], [(10, 300, 160), (950, 305, 505)]
    )
    np.testing.assert_allclose(found.x, [400, 300])
    np.testing.assert_allclose(found.y, [400, 500])
    np.testing.assert_allclose(found.t_ms, [10, 950])
    assert found.image == "D:\\case 1\\a_cc.dcm"
    assert not found.on_screen
    assert found.duration_ms is None


def test_a_lesion_looked_at_in_three_zooms_lands_within_one_pixel(tmp_path):
    """The reader fits the image, zooms to its size, then doubles it and moves: each time at a whole screen pixel."""
    lesion = np.array([612.3, 1333.8])
    views = [(0, 230.0, 40.0, 0.5), (500, -150.5, -900.25, 1.0), (1000, -777.7, -2140.1, 2.0)]
    samples = [(t + 100 + i, *np.rint(lesion * zoom + (x, y))) for t, x, y, zoom in views for i in range(5)]
    (found,) = read(tmp_path, [state(*view) for view in views], samples)
    assert len(found.x) == 15
    np.testing.assert_allclose(found.x, lesion[0], atol=1)
    np.testing.assert_allclose(found.y, lesion[1], atol=1)
    np.testing.assert_allclose(found.x[10:], lesion[0], atol=0.26)


def test_a_state_holds_from_its_time_until_the_next(tmp_path):
    rows = [state(100, 0, 40, 1), state(200, 50, 40, 1), state(200, 70, 40, 1)]
    (found,) = read(
        tmp_path, rows, [(100, 300, 60), (199.9, 300, 60), (200, 300, 60), (10_000, 300, 60)], unit="ms"
    )
    np.testing.assert_allclose(found.x, [300, 300, 230, 230])


@pytest.mark.parametrize("header", [HEADER, "\ufeff" + HEADER])
def test_a_viewer_that_starts_again_repeats_the_header(tmp_path, header):
    rows = [state(0, 0, 40, 1), state(100, 0, 40, 1), header, state(200, 0, 40, 2), state(300, 0, 40, 2)]
    (found,) = read(tmp_path, rows, [(10, 5, 50), (210, 8, 50)])
    np.testing.assert_allclose((found.t_ms, found.x), [[10, 210], [5, 4]])


def test_two_boxes_show_two_images_and_a_sample_belongs_to_the_box_it_is_in(tmp_path):
    rows = [
        state(0, 0, 40, 0.5),
        state(1, 960, 40, 0.5, RIGHT, 1, "D:\\case 1\\a_mlo.dcm"),
        state(900, 10, 40, 0.5),
    ]
    samples = [(5, 100, 140), (20, 1060, 240), (30, None, None), (40, 500, 20), (999, 110, 140)]
    cc, mlo = read(tmp_path, rows, samples)
    assert (cc.image, mlo.image) == ("D:\\case 1\\a_cc.dcm", "D:\\case 1\\a_mlo.dcm")
    np.testing.assert_allclose(cc.t_ms, [5, 30, 40, 999])  # without the sample that is on the other image
    np.testing.assert_allclose(cc.x, [200, np.nan, np.nan, 200])
    np.testing.assert_allclose(mlo.t_ms, [20, 30, 40])
    np.testing.assert_allclose(mlo.x, [200, np.nan, np.nan])
    np.testing.assert_allclose(mlo.y, [400, np.nan, np.nan])


def test_before_the_log_begins_samples_are_lost_in_its_first_image(tmp_path):
    rows = [state(100, 0, 40, 1), state(101, 960, 40, 1, RIGHT, 1, "b.dcm")]
    first, second = read(
        tmp_path, rows, [(0, 5, 50), (50, 1000, 50), (110, 5, 50), (120, 1000, 50)], unit="ms"
    )
    assert np.isnan(first.x).tolist() == [True, True, False]
    assert np.isnan(second.x).tolist() == [False]


def test_a_newer_box_covers_those_under_it(tmp_path):
    """One of two images is enlarged over both: the other one is not shown any more, then again."""
    two = [state(0, 0, 40, 0.5), state(0, 960, 40, 0.5, RIGHT, 1, "b.dcm")]
    enlarged = state(100, 0, 40, 1, WHOLE, 0, "a_cc.dcm")
    again = [state(200, 0, 40, 0.5, image="a_cc.dcm"), state(201, 960, 40, 0.5, RIGHT, 1, "b.dcm")]
    samples = [(50, 1000, 60), (150, 1000, 60), (160, None, None), (250, 1000, 60)]
    found = {one.image: one for one in read(tmp_path, [*two, enlarged, *again], samples)}
    np.testing.assert_allclose(found["a_cc.dcm"].x, [1000, np.nan])
    np.testing.assert_allclose(found["b.dcm"].t_ms, [50, 250])
    np.testing.assert_allclose(found["b.dcm"].x, [80, 80])


def test_boxes_whose_frames_overlap_do_not_cover_each_other(tmp_path):
    framed = (955, 40, 965, 1000)
    rows = [state(0, 0, 40, 0.5), state(1, 960, 40, 0.5, framed, 1, "b.dcm"), state(900, 0, 40, 0.5)]
    under, over = read(tmp_path, rows, [(5, 100, 60), (6, 958, 60), (999, 958, 60)])
    np.testing.assert_allclose((under.t_ms, under.x), [[5, 999], [200, 1916]])
    np.testing.assert_allclose((over.t_ms, over.x), [[6], [-4]])


def test_one_image_after_another_in_a_box(tmp_path):
    rows = [state(0, 0, 40, 1), state(100, 0, 40, 1, image="b.dcm"), state(200, 0, 40, 2)]
    first, second = read(tmp_path, rows, [(10, 5, 50), (110, 6, 50), (210, 8, 50)])
    np.testing.assert_allclose((first.t_ms, first.x), [[10, 210], [5, 4]])
    np.testing.assert_allclose((second.t_ms, second.x), [[110], [6]])


def test_beside_the_image_but_in_its_box_is_outside_the_image_and_not_lost(tmp_path):
    (found,) = read(tmp_path, [state(0, 300, 40, 0.2), state(9, 300, 40, 0.2)], [(5, 200, 50), (6, 700, 50)])
    np.testing.assert_allclose(found.x, [-500, 2000])


def test_rows_without_an_image_show_none_and_an_image_not_looked_at_has_no_recording(tmp_path):
    rows = [state(0, 0, 0, -1, image="-1"), state(10, 0, 40, 1), state(11, 960, 40, 1, RIGHT, 1, "b.dcm")]
    (found,) = read(tmp_path, rows, [(5, 100, 60), (15, 100, 60)])
    np.testing.assert_allclose((found.t_ms, found.x), [[15], [100]])


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("ms", 1), ("10us", 100), ("us", 1000)])
@pytest.mark.parametrize("epoch", [0, 1_764_000_000_000])
def test_the_unit_of_the_log_is_found(tmp_path, unit, factor, epoch):
    times = [epoch + ms for ms in (20, 500, 980)]
    rows = [state(f"{time * factor:.6f}", 10 * i, 40, 1) for i, time in enumerate(times)]
    samples = [(epoch + ms, 100, 60) for ms in range(0, 1000, 10)]
    (found,) = read(tmp_path, rows, samples)
    np.testing.assert_allclose(found.x[[2, 50, 98]], [100, 90, 80])
    assert np.isnan(found.x[:2]).all()
    (same,) = read(tmp_path, rows, samples, unit=unit)
    np.testing.assert_array_equal(same.x, found.x)


def test_clocks_that_differ(tmp_path):
    rows = [state(1_000_100, 0, 40, 1), state(1_000_900, 50, 40, 1)]
    samples = [(50, 300, 60), (200, 300, 60), (950, 300, 60)]
    (found,) = read(tmp_path, rows, samples, clock_offset_ms=1e6)
    np.testing.assert_allclose(found.x, [np.nan, 300, 250])
    with pytest.raises(
        DataError, match="run from 1000100 to 1000900, the samples' from 50 to 950 ms; expected them to"
    ):
        read(tmp_path, rows, samples)


def test_samples_are_the_one_table_beside_the_log_or_the_one_named(tmp_path):
    log = write_log(tmp_path, state(0, 0, 40, 1), state(100, 0, 40, 1))
    (tmp_path / "notes.txt").write_text("nothing\n")
    with pytest.raises(
        DataError, match=r"Pacs_EID-1\.csv: 0 files of samples beside the log \(none\); expected one"
    ):
        list(ViewerLog().read(log))
    write_gaze(tmp_path, [(0, 10, 60), (99, 10, 60)])
    assert len(list(ViewerLog().read(log))) == 1
    (tmp_path / "other").mkdir()
    write_gaze(tmp_path / "other", [(0, 20, 60), (99, 20, 60)])
    assert ViewerLog().beside(log) == [log.with_name("gaze.csv")]
    (other,) = ViewerLog(samples="other/gaze.csv").read(log)
    assert ViewerLog(samples="other/gaze.csv").beside(log) == [log.parent / "other/gaze.csv"]
    assert other.x.tolist() == [20, 20]
    write_gaze(tmp_path, [(50, 10, 60)], "second.csv")
    with pytest.raises(DataError, match=r"2 files of samples beside the log \(gaze.csv, second.csv\)"):
        list(ViewerLog().read(log))
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file; expected a t"):
        list(ViewerLog(samples="absent.csv").read(log))


GAZE = [(t, 100, 60) for t in range(0, 1000, 100)]


@pytest.mark.parametrize(
    ("rows", "samples", "message"),
    [
        ([], GAZE, r"Pacs_EID-1\.csv: holds no gaze"),
        ([state("soon", 0, 40, 1)], GAZE, "row 2: timestamp is 'soon'; expected a number"),
        ([state("", 0, 40, 1)], GAZE, "row 2: timestamp is ''"),
        ([state("nan", 0, 40, 1)], GAZE, "row 2: timestamp is 'nan'"),
        ([state(5, "?", 40, 1)], GAZE, r"row 2: img_pos_x is '\?'"),
        ([state(5, 0, "inf", 1)], GAZE, "row 2: img_pos_y is 'inf'"),
        ([state(5, 0, 40, 1, (0, 40, "", 1))], GAZE, "row 2: box_size_w is ''"),
        ([state(5, 0, 40, 1, (0, 40, 5, "1e400"))], GAZE, "row 2: box_size_h is '1e400'"),
        ([state(5, 0, 40, 1, index="left")], GAZE, "row 2: box_index is 'left'"),
        (
            [state(5, 0, 40, 0)],
            GAZE,
            "row 2: the zoom is 0, 0; expected screen pixels per image pixel between 0.001",
        ),
        ([state(5, 0, 40, (1, -1))], GAZE, "row 2: the zoom is 1, -1"),
        ([state(5, 0, 40, 1e-9)], GAZE, "row 2: the zoom is 1e-09"),
        ([state(5, 1e30, 40, 1)], GAZE, "row 2: a number is beyond"),
        ([state(5, 0, 40, 1), state(4, 0, 40, 1)], GAZE, "row 3: time 4 ms after 5 ms|row 3: time 4 after 5"),
        ([state(5, 0, 40, 1) + ",1"], GAZE, "row 2: 14 cells; expected 13"),
        ([state(5, 0, 40, 1, image='"a')], GAZE, "check its quotes"),
        (
            [state(i, 0, 40, 1, index=i) for i in range(70)],
            GAZE,
            "box_index has 70 values; expected at most 16 boxes",
        ),
        ([state(100, 0, 40, 1)], GAZE, "they overlap alike in ms and 10us and us; set the option unit"),
        (
            [state(5e8, 0, 40, 1), state(6e8, 0, 40, 1)],
            GAZE,
            "expected them to overlap in one of s, ms, 10us, us",
        ),
        (
            [state(0, 0, 40, 1), state(9, 0, 40, 1)],
            [(4, 0, 0), (5, 0, 0)],
            "none of the 2 samples of gaze.csv lies on",
        ),
        ([state(0, 0, 0, -1, image="-1")], GAZE, "none of the 10 samples of gaze.csv lies on an image"),
        (
            [state(4, 0, 40, 1), state(9, 0, 40, 1)],
            [(3, 0, 50), (8, None, None)],
            "1 lost by the tracker, 1 from before",
        ),
        ([state(0, 0, 40, 1, (0, 40, 0, -9))], GAZE, "none of the 10 samples"),
        ([state(0, 0, 40, 1)], [], r"gaze\.csv: holds no gaze"),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, rows, samples, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, rows, samples)
    assert ".csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_screen_larger_than_said_is_noticed_and_a_second_one_is_not(tmp_path):
    beside = state(0, 1920, 0, 1, (1920, 0, 1920, 1080), 1, "b.dcm")
    assert len(read(tmp_path, [state(0, 0, 40, 1), beside, state(900, 0, 40, 1)], GAZE)) == 1
    wide, high = (1280, 0, 1280, 720), (0, 720, 1280, 720)
    for box, end in (
        (wide, "1280 to 2560, beyond a screen that is 1920 pixels wide"),
        (high, "1080 pixels high"),
    ):
        rows = [state(0, 0, 40, 1, box), state(900, 0, 40, 1, box)]
        with pytest.raises(DataError, match=f"{end}; set the option screen"):
            read(tmp_path, rows, GAZE)
        with pytest.raises(DataError, match="none of the 10 samples"):
            read(tmp_path, rows, [(t, 1, 1) for t, _, _ in GAZE], screen=(2560, 1440))


def test_it_is_told_by_its_columns(tmp_path):
    assert ViewerLog().fits(write_log(tmp_path))
    write_gaze(tmp_path, [])
    assert not ViewerLog().fits(tmp_path / "gaze.csv")
