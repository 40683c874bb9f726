"""Eye tracking of BIDS: sidecars, clocks, eyes, the screen, the images of a run, and each fault in one line."""

import gzip
import json
import math

import numpy as np
import pytest
from gaze_formats import READERS
from gazekit_datasets.gaze_readers.bids import Bids

from gazekit.errors import DataError
from gazekit.gaze.collecting import find_files
from gazekit.gaze.formats import gaze_files, nothing_read

EYE = {
    "Columns": ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"],
    "PhysioType": "eyetrack",
    "RecordedEye": "left",
    "SampleCoordinateSystem": "gaze-on-screen",
    "SamplingFrequency": 1000,
    "StartTime": 0,
    "timestamp": {"Units": "ms"},
    "x_coordinate": {"Units": "pixel"},
    "y_coordinate": {"Units": "pixel"},
}
SCREEN = {
    "ScreenDistance": 0.6,
    "ScreenOrigin": ["top", "left"],
    "ScreenResolution": [1024, 768],
    "ScreenSize": [0.384, 0.288],
}
FOUND = {"Columns": ["onset", "duration", "trial_type", "blink", "message"], "OnsetSource": "timestamp"}
ROWS = "7000\t10\t20\t1\n7001\t11\t21\t1\n7002\t12\t22\t1\n7003\t13\t23\t1\n"


class Study:
    """A BIDS data set with one run, of subject 01."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "sub-01" / "func"
        self.folder.mkdir(parents=True)
        self.write(root / "dataset_description.json", {"BIDSVersion": "1.11.0"})

    def write(self, path, content):
        if isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
        return path

    def eye(self, rows=ROWS, label="eye1", ending=".tsv.gz", **changes):
        """Write the table of an eye and its sidecar; a change to None leaves the field out."""
        about = {name: value for name, value in (EYE | changes).items() if value is not None}
        self.write(self.of(f"recording-{label}_physio", ".json"), about)
        return self.write(self.of(f"recording-{label}_physio", ending), rows)

    def of(self, name, ending):
        return self.folder / f"sub-01_task-view_{name}{ending}"

    def screen(self, **changes):
        shown = {name: value for name, value in (SCREEN | changes).items() if value is not None}
        self.write(self.root / "task-view_events.json", {"StimulusPresentation": shown})

    def events(self, *rows, header="onset\tduration\tstim_file"):
        self.write(self.of("events", ".tsv"), "\n".join([header, *rows]) + "\n")

    def tracked(self, *rows, label="eye1", **changes):
        self.write(self.root / "task-view_physioevents.json", FOUND | changes)
        self.write(self.of(f"recording-{label}_physioevents", ".tsv.gz"), "\n".join(rows) + "\n")


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def read(path, **options):
    return list(Bids(**options).read(path))


def one(path, **options):
    (found,) = read(path, **options)
    return found


def test_a_run_without_images_is_one_recording_of_its_subject_in_pixels_of_the_screen(study):
    found = one(study.eye())
    np.testing.assert_array_equal(found.t_ms, [7000, 7001, 7002, 7003])
    np.testing.assert_array_equal(found.x, [10, 11, 12, 13])
    np.testing.assert_array_equal(found.y, [20, 21, 22, 23])
    assert (found.reader, found.image, found.on_screen) == ("sub-01", None, True)
    assert found.duration_ms is None and found.pixels_per_degree is None
    with pytest.raises(DataError, match="set the reader's option shown"):
        found.in_image_pixels(400)


@pytest.mark.parametrize("ending", [".tsv.gz", ".tsv"])
@pytest.mark.parametrize("before", ["", "\ufeff", "timestamp\tx_coordinate\ty_coordinate\tpupil_size\n"])
def test_packed_or_not_and_with_what_programs_write_first(study, ending, before):
    path = study.eye(before + ROWS, ending=ending)
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["bids"]
    np.testing.assert_array_equal(one(path).x, [10, 11, 12, 13])


@pytest.mark.parametrize("cell", ["n/a", "", "NaN", "."])
def test_a_place_that_is_not_given_is_lost(study, cell):
    found = one(study.eye(ROWS.replace("11\t21", f"11\t{cell}")))
    np.testing.assert_array_equal(np.isnan(found.x), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(found.y), [False, True, False, False])


@pytest.mark.parametrize(("unit", "ms"), [("s", 1000), ("ms", 1), ("us", 1e-3), ("µs", 1e-3), ("ns", 1e-6)])
def test_the_clock_counts_in_the_unit_of_its_sidecar(study, unit, ms):
    found = one(study.eye(timestamp={"Units": unit}))
    np.testing.assert_allclose(found.t_ms, np.array([7000, 7001, 7002, 7003]) * ms)


@pytest.mark.parametrize(("hertz", "ms"), [(1, 1000), (1000, 1), (0.9, 1000), (1e6 - 1, 1e-3)])
def test_a_clock_without_a_unit_counts_in_the_one_nearest_to_the_sampling_rate(study, hertz, ms):
    found = one(study.eye(timestamp=None, SamplingFrequency=hertz))
    np.testing.assert_allclose(np.diff(found.t_ms), ms)


def test_without_a_clock_the_rows_count_at_the_sampling_rate(study):
    rows = "10\t20\n11\t21\n12\t22\n"
    path = study.eye(rows, Columns=["x_coordinate", "y_coordinate"], SamplingFrequency=250)
    np.testing.assert_allclose(one(path).t_ms, [0, 4, 8])


def test_sidecars_apply_from_above_and_the_most_particular_counts(study):
    path = study.eye(Columns=None, RecordedEye="right")
    about = {key: value for key, value in EYE.items() if key != "SamplingFrequency"}
    study.write(study.root / "task-view_physio.json", about | {"RecordedEye": "left"})
    study.write(study.root / "task-other_physio.json", {"Columns": ["a", "b", "c", "d"]})
    study.write(study.root / "sub-01" / "sub-01_ses-2_physio.json", {"Columns": ["a"]})
    assert Bids().fits(path)
    assert len(one(path, eye="right").x) == 4
    with pytest.raises(DataError, match="RecordedEye is right; expected left; set the reader's option eye"):
        read(path, eye="left")


def test_another_physiological_recording_is_no_gaze(study):
    path = study.eye(label="cardiac", Columns=["cardiac"] * 4, PhysioType="generic")
    assert not Bids().fits(path)
    with pytest.raises(DataError, match="no sidecar says that it is of an eye tracker"):
        read(path)


def test_the_mean_of_the_eyes_is_read_once_with_the_first_table(study):
    first = study.eye("0\t10\t20\t1\n1\t10\t20\t1\n2\tn/a\tn/a\t1\n3\tn/a\tn/a\t0\n")
    second = study.eye(
        "0\t30\t24\t1\n1\tn/a\tn/a\t1\n2\t30\t24\t1\n3\tn/a\tn/a\t0\n4\t7\t8\t1\n",
        "eye2",
        RecordedEye="right",
    )
    found = one(first)
    np.testing.assert_array_equal(found.t_ms, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(found.x, [20, 10, 30, np.nan, 7])
    np.testing.assert_array_equal(found.y, [22, 20, 24, np.nan, 8])
    assert read(second) == []
    np.testing.assert_array_equal(one(first, eye="left").x, [10, 10, np.nan, np.nan])
    np.testing.assert_array_equal(one(second, eye="right").x, [30, np.nan, 30, np.nan, 7])
    assert read(first, eye="right") == read(second, eye="left") == []
    assert {second, first.with_name(first.name.replace(".tsv.gz", ".json"))} <= set(Bids().beside(first))


@pytest.mark.parametrize("side", [None, "n/a"])
def test_two_eyes_that_nobody_tells_apart_are_averaged_too(study, side):
    first = study.eye(RecordedEye=side)
    study.eye(ROWS.replace("\t1", "\t3"), label="eye2", RecordedEye=side)
    np.testing.assert_array_equal(one(first).x, [20, 21, 22, 23])


def test_each_eye_counts_in_its_own_unit(study):
    study.screen()
    first = study.eye()
    in_fractions = {axis: {"Units": "1"} for axis in ("x_coordinate", "y_coordinate")}
    study.eye("7000\t0.5\t0.25\t1\n", label="eye2", RecordedEye="right", **in_fractions)
    found = one(first)
    assert (found.x[0], found.y[0]) == ((10 + 512) / 2, (20 + 192) / 2)
    study.eye(label="eye2", RecordedEye="right", SampleCoordinateSystem="eye-in-head")
    with pytest.raises(DataError, match=r"eye2_physio\.tsv\.gz: SampleCoordinateSystem is 'eye-in-head'"):
        read(first)


def test_an_eye_that_was_recorded_earlier_does_not_move_the_onsets(study):
    first = study.eye(StartTime=0)
    study.eye("6998\t1\t2\t1\n7002\t1\t2\t1\n", label="eye2", RecordedEye="right", StartTime=-0.002)
    study.events("0.001\t0.002\ta.png")
    np.testing.assert_array_equal(one(first).t_ms, [7001, 7002])


@pytest.mark.parametrize("later", [0.3, 0.5, -0.4])
def test_eyes_that_take_turns_are_averaged_and_do_not_alternate(study, later):
    study.eye()
    moved = "".join(f"{7000 + n + later}\t{30 + n}\t{20 + n}\t1\n" for n in (0, 1, 3, 4))
    study.eye(moved, label="eye2", RecordedEye="right")
    found = one(study.of("recording-eye1_physio", ".tsv.gz"))
    np.testing.assert_allclose(found.t_ms, [7000, 7001, 7002, 7003, 7004 + later])
    np.testing.assert_allclose(found.x, [20, 21, 12, 23, 34])


def test_the_cyclopean_eye_speaks_for_both(study):
    study.eye()
    study.eye(label="eye2", RecordedEye="right")
    third = study.eye("0\t1\t2\t1\n", "eye3", RecordedEye="cyclopean")
    files, others = gaze_files(study.root, READERS)
    assert [path.name for path in others] == ["dataset_description.json"]  # sidecars are read, not left out
    ((found,),) = [recordings for file in files if (recordings := file.read())]
    assert (found.source, found.x.tolist()) == (third, [1])


def test_what_describes_a_data_set_is_told_as_no_gaze_without_a_remedy(study):
    study.eye()
    study.write(study.root / "participants.json", {"age": {"Units": "year", "Levels": ["a", "b"]}})
    study.write(study.root / "rows.json", {"x": list(range(40))})
    warned = []
    find_files(study.root, READERS, warned.append)
    assert len(warned) == 2 and "skipped: dataset_description.json, participants.json, rows.json" in warned[0]
    assert "rows.json: not a gaze recording as it is, but JSON" in warned[1]


def test_an_eye_that_is_read_with_another_says_with_which(study):
    study.eye()
    files, _ = gaze_files(study.eye(label="eye2", RecordedEye="right"), READERS)
    assert files[0].read() == []
    assert "its gaze is read from sub-01_task-view_recording-eye1_physio.tsv.gz; give that file" in str(
        nothing_read(files[0].path, files)
    )


def test_runs_and_subjects_are_not_mixed(study):
    path = study.eye()
    for name in ("sub-01_task-view_run-2_recording-eye2_physio", "sub-01_task-rest_recording-eye2_physio"):
        study.write(study.folder / f"{name}.json", EYE | {"RecordedEye": "right"})
        study.write(study.folder / f"{name}.tsv.gz", "0\t900\t900\t1\n")
    np.testing.assert_array_equal(one(path).x, [10, 11, 12, 13])


def test_blinks_of_the_tracker_are_lost_in_the_eye_that_blinked(study):
    path = study.eye()
    study.tracked(
        'n/a\tn/a\tn/a\tn/a\tone\tmessage "with" tabs',
        "7001\t1\tblink\tn/a\tn/a",
        "7002\t1\tsaccade\t1\tn/a",
        "7003\t1\tsaccade\t0\tn/a",
    )
    np.testing.assert_array_equal(np.isnan(one(path).x), [False, True, True, False])
    study.eye(label="eye2", RecordedEye="right")
    np.testing.assert_array_equal(one(path).x, [10, 11, 12, 13])


def test_events_of_the_tracker_may_count_rows_and_have_a_unit(study):
    path = study.eye(SamplingFrequency=1000)
    study.tracked("1\t0.002\tblink\t0\tn/a", OnsetSource="n/a", duration={"Units": "s"})
    np.testing.assert_array_equal(np.isnan(one(path).x), [False, True, True, False])


def test_fixations_of_the_tracker_lie_at_the_mean_of_their_samples(study):
    path = study.eye(ROWS.replace("13\t23", "n/a\tn/a"))
    study.tracked("7001\t2\tfixation\t0\tn/a", "7003\t1\tfixation\t0\tn/a")
    found = one(path, events="fixations")
    np.testing.assert_array_equal(found.t_ms, [7001, 7003])
    np.testing.assert_array_equal(found.duration_ms, [2, 1])
    np.testing.assert_array_equal(found.x, [11.5, np.nan])
    np.testing.assert_array_equal(found.y, [21.5, np.nan])


def test_fixations_need_one_eye_and_the_trackers_events(study):
    path = study.eye()
    with pytest.raises(
        DataError, match="the tracker found no fixations; expected some in a physioevents table"
    ):
        read(path, events="fixations")
    study.tracked("7000\t4\tfixation\t0\tn/a")
    study.eye(label="eye2", RecordedEye="right")
    with pytest.raises(DataError, match=r"fixations of both eyes; .* set the reader's option eye"):
        read(path, events="fixations")
    assert one(path, events="fixations", eye="left").x.tolist() == [11.5]


def test_the_screen_gives_pixels_per_degree_and_how_they_are_stretched(study):
    path = study.eye()
    study.screen()
    found = one(path)
    assert found.pixels_per_degree == pytest.approx(768 / 0.288 * 0.6 * math.tan(math.radians(1)))
    assert found.stretch == 1 and found.notes == ()
    study.screen(ScreenSize=[0.29, 0.18], ScreenResolution=[800, 600], ScreenDistance=[0, 0, 0.68])
    found = one(path)
    assert found.pixels_per_degree == pytest.approx(600 / 0.18 * 0.68 * math.tan(math.radians(1)))
    assert found.stretch == pytest.approx(800 / 0.29 / (600 / 0.18))
    study.screen(ScreenDistance="n/a", ScreenSize="n/a")
    assert one(path).pixels_per_degree is None


@pytest.mark.parametrize(
    ("origin", "upwards", "x", "y"),
    [
        (["top", "left"], None, 10, 20),
        (["left", "top"], None, 10, 20),
        (["bottom", "left"], None, 10, 748),
        (["center", "center"], True, 522, 364),
        (["center", "center"], False, 522, 404),
        (["top", "left"], True, 10, -20),
    ],
)
def test_the_origin_of_the_screen_and_the_direction_of_y(study, origin, upwards, x, y):
    path = study.eye("0\t10\t20\t1\n")
    study.screen(ScreenOrigin=origin)
    found = one(path, upwards=upwards)
    assert (found.x.tolist(), found.y.tolist()) == ([x], [y])


def test_without_an_origin_the_corner_is_assumed_and_said(study):
    path = study.eye()
    study.screen(ScreenOrigin=None)
    assert "no sidecar gives the screen's origin" in one(path).notes[0]
    study.eye(EnvironmentCoordinates="top-left")
    assert one(path).notes == ()


def test_fractions_of_the_screen_become_pixels(study):
    path = study.eye("0\t0.25\t1.5\t1\n", x_coordinate={"Units": "1"}, y_coordinate={"Units": "1"})
    study.screen()
    found = one(path)
    assert (found.x.tolist(), found.y.tolist()) == ([256], [1152])  # below the screen, and kept there


def test_each_image_of_a_run_gets_the_gaze_while_it_was_shown(study):
    path = study.eye(StartTime=-0.001)  # the first sample is taken before the run begins
    study.screen()
    study.events("0\t0.001\ta.png", "0.001\tn/a\tn/a", "0.001\tn/a\tfolder/b.png", "0.002\t9\tlate.png")
    found = read(path, shown=(5, 6, 100, 50))
    assert [(each.image, each.t_ms.tolist()) for each in found] == [
        ("a.png", [7001]),
        ("folder/b.png", [7002]),
        ("late.png", [7003]),
    ]
    assert (found[0].x.tolist(), found[0].y.tolist()) == ([6], [15])
    assert not found[0].on_screen and found[0].display_height == 50


def test_a_response_to_an_image_is_no_other_look_at_it(study):
    path = study.eye()
    study.events("0\t0.003\ta.png", "0.001\t0\ta.png", "0.002\t0.001\ta.png", "0.003\t0\ta.png")
    assert [(each.image, each.t_ms.tolist()) for each in read(path)] == [
        ("a.png", [7000, 7001, 7002]),
        ("a.png", [7003]),
    ]


def test_the_image_may_be_named_in_another_column_and_without_it_there_is_one_recording(study):
    path = study.eye()
    study.events("0\t0.002\t77", header="onset\tduration\timage_number")
    assert one(path).image is None
    assert one(path, image_column="image_number").image == "77"
    assert (
        one(path, image_column="image").notes[-1] == "no event of its run names an image in the column image"
    )


def test_fixations_are_cut_to_the_time_that_their_image_was_shown(study):
    path = study.eye()
    study.tracked("7000\t2\tfixation\t0\tn/a", "7002\t2\tfixation\t0\tn/a")
    study.events("0.001\t0.002\ta.png")
    found = one(path, events="fixations")
    assert (found.t_ms.tolist(), found.duration_ms.tolist()) == ([7001, 7002], [1, 1])


def test_onsets_by_the_trackers_own_clock_are_taken_and_said(study):
    path = study.eye()
    study.events("7.001\t0.002\ta.png")
    found = one(path)
    assert found.t_ms.tolist() == [7001, 7002]
    assert any("tracker's clock" in note for note in found.notes)
    study.events("0.001\t0.002\ta.png")
    assert not any("tracker's clock" in note for note in one(path).notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Columns": None}, "no sidecar lists its Columns"),
        ({"Columns": "timestamp"}, "no sidecar lists its Columns"),
        ({"Columns": ["timestamp", "x", "y", "pupil_size"]}, "expected x_coordinate and y_coordinate once"),
        (
            {"Columns": ["timestamp", "x_coordinate", "x_coordinate", "y_coordinate"]},
            "expected x_coordinate once",
        ),
        ({"Columns": ["timestamp", "x_coordinate", "y_coordinate"]}, "row 1: 4 cells, .*; expected 3, as"),
        ({"SampleCoordinateSystem": "eye-in-head"}, "SampleCoordinateSystem is 'eye-in-head'; expected gaze"),
        ({"x_coordinate": {"Units": "deg"}}, "are 'deg and pixel'; expected pixel, or 1 for fractions"),
        ({"x_coordinate": None, "y_coordinate": None}, "are 'not given'; expected pixel"),
        ({"timestamp": {"Units": "frames"}}, "the unit of timestamp in its sidecar is 'frames'"),
        ({"timestamp": None, "SamplingFrequency": "n/a"}, "SamplingFrequency of its sidecar is 'n/a'"),
        (
            {"Columns": ["timestamp", "x_coordinate", "y_coordinate", "a\nb", "c"]},
            "4 cells, .*; expected 5, as",
        ),
        ({"Columns": ["timestamp\r", "x_coordinate", "y\n", "pupil_size"]}, "expected y_coordinate once"),
        ({"StartTime": "soon"}, "StartTime of its sidecar is 'soon'; expected seconds"),
        ({"x_coordinate": {"Units": "1"}, "y_coordinate": {"Units": "1"}}, "ScreenResolution, which these"),
    ],
)
def test_a_sidecar_that_does_not_say_enough_is_one_line(study, changes, message):
    path = study.eye(**changes)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (
            {"ScreenOrigin": ["center", "center"]},
            "leaves open whether y grows upwards; set the option upwards",
        ),
        ({"ScreenOrigin": ["bottom", "left"], "ScreenResolution": "n/a"}, "ScreenResolution"),
        ({"ScreenOrigin": ["top", "right"]}, r"ScreenOrigin is \"\['top', 'right'\]\"; expected"),
        ({"ScreenOrigin": 3}, "ScreenOrigin is '3'; expected"),
    ],
)
def test_a_screen_that_leaves_the_place_open_is_one_line(study, shown, message):
    path = study.eye()
    study.screen(**shown)
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "holds no gaze"),
        ("\n\n", "holds no gaze"),
        ("7000\t1\t2\n", "row 1: 3 cells, .*; expected 4, as the sidecar's Columns: timestamp, x_coordinate"),
        ("7000\t1\t2\t3\t4\n", "row 1: 5 cells"),
        (ROWS + "7004\there\t2\t1\n", "row 5: x_coordinate is 'here'"),
        (ROWS + "n/a\t1\t2\t1\n", "row 5: timestamp is 'n/a'; expected a number"),
        (ROWS + "6000\t1\t2\t1\n", "row 5: time 6000 ms after 7003 ms"),
        (ROWS + "7004\t1e30\t2\t1\n", "row 5: a number is beyond"),
        (ROWS + "7004\t1\0\t2\t1\n", "row 5: 4 cells"),
        ("1" * 2**20, "a line is longer than 1048576 bytes"),
    ],
)
def test_a_fault_of_the_table_is_named_with_its_row(study, rows, message):
    path = study.eye(rows, ending=".tsv")
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


LONG = "".join(f"{7000 + i}\t{i}\t{i}\t1\n" for i in range(12))
"""Twelve samples, of which an image has four."""
SHOWN = ("0\tn/a\ta.png", "0.004\tn/a\tb.png", "0.008\tn/a\tc.png")


def faults(recordings):
    return [(each.image, bool(each.fault), len(each.x)) for each in recordings]


@pytest.mark.parametrize(
    ("row", "count"),
    [
        ("7005\there\t2\t1", 1),
        ("7005\t1e30\t2\t1", 1),
        ("n/a\t1\t2\t1", 1),
        ("7005\t1", 1),
        ("7001\t5\t5\t1", 2),  # of the time it says, or of the times around it
        ("9999\t5\t5\t1", 3),  # all that follow go back
    ],
)
def test_a_damaged_row_costs_the_image_shown(study, row, count):
    path = study.eye(LONG.replace("7005\t5\t5\t1", row))
    study.events(*SHOWN)
    expected = [("a.png", count == 2, 0 if count == 2 else 4), ("b.png", True, 0), ("c.png", count == 3, 4)]
    if count == 3:
        expected[2] = ("c.png", True, 0)
    found = read(path)
    assert faults(found) == expected and found[1].fault.startswith("row "), found[1].fault


def test_without_a_clock_a_damaged_row_counts_as_a_row(study):
    rows = "".join(f"{i}\t{i}\n" for i in range(12)).replace("5\t5\n", "5\n")
    path = study.eye(rows, Columns=["x_coordinate", "y_coordinate"])
    study.events(*SHOWN)
    assert faults(read(path)) == [("a.png", False, 4), ("b.png", True, 0), ("c.png", False, 4)]


@pytest.mark.parametrize("row", ["soon\t1\tblink\t0\tn/a", "7005\tlong\tblink\t0\tn/a", "7005\t1\t"])
def test_a_damaged_blink_costs_the_images_that_it_may_be_in(study, row):
    path = study.eye(LONG)
    study.events(*SHOWN)
    study.tracked("7004\t1\tblink\t0\tn/a", row, "7006\t1\tblink\t0\tn/a")
    found = read(path)
    assert faults(found) == [("a.png", False, 4), ("b.png", True, 0), ("c.png", False, 4)]
    assert "physioevents.tsv.gz row 2: " in found[1].fault


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("soon\tn/a\tb.png", [("b.png", True, 0), ("a.png", True, 0), ("c.png", False, 4)]),
        ("0.004\tlong\tb.png", [("b.png", True, 0), ("a.png", True, 0), ("c.png", False, 4)]),
        ("0.004\tn/a", [(None, True, 0), ("a.png", True, 0), ("c.png", False, 4)]),
        ("soon\tn/a\tn/a", [("a.png", False, 8), ("c.png", False, 4)]),  # a response, of no image
    ],
)
def test_a_damaged_event_costs_its_image_and_the_one_that_it_ends(study, row, expected):
    path = study.eye(LONG)
    study.events(SHOWN[0], row, SHOWN[2])
    found = read(path)
    assert faults(found) == expected
    assert all("events.tsv row 3: " in each.fault for each in found if each.fault)
    study.events("0\t0.004\ta.png", row, SHOWN[2])
    assert faults(read(path))[-2:] == [("a.png", False, 4), ("c.png", False, 4)]


def test_times_of_images_that_are_not_the_runs_are_an_error_with_both_spans(study):
    path = study.eye()
    study.events("100\t1\ta.png")
    with pytest.raises(
        DataError, match=r"gaze is from 0 to 0\.003 s, images from 100 to 100 s; .* StartTime"
    ):
        read(path)


def test_a_truncated_or_damaged_gzip_file_is_one_line(study):
    path = study.eye(ROWS * 1)
    whole = path.read_bytes()
    for broken in (
        whole[:-6],
        whole[:20],
        whole[:12] + bytes(8) + whole[20:],
        whole[:2] + b"\xff" + whole[3:],
    ):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="the gzip file is damaged or truncated; copy it again"):
            read(path)


def test_a_gzip_bomb_is_refused_before_it_unpacks(study):
    path = study.eye()
    path.write_bytes(gzip.compress(b"7000\t1\t2\t1\n" * 400_000))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        read(path)


def test_a_damaged_sidecar_is_named_and_costs_no_other_recording(study):
    path = study.eye()
    sidecar = study.write(path.with_name(path.name.replace(".tsv.gz", ".json")), '{"Columns": [')
    assert Bids().fits(path)
    with pytest.raises(DataError, match=f"{sidecar.name}: is not JSON"):
        read(path)
    study.write(study.of("recording-cardiac_physio", ".json"), "[1, 2]")
    assert not Bids().fits(study.write(study.of("recording-cardiac_physio", ".tsv.gz"), "1\n"))
    assert Bids().beside(path) == []
