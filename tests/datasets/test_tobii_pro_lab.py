"""Tobii Pro Lab's exports: older and newer names, other sensors between the samples, the media's place, and damage."""

from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.tobii.pro_lab import TobiiProLab

from gazekit.errors import DataError

MINIATURE = Path(__file__).parents[1] / "helpers/gaze_files" / "tobii_pro_lab.tsv"
OLD = {
    "clock": "Recording timestamp",
    "sensor": "Sensor",
    "x": "Gaze point X",
    "y": "Gaze point Y",
    "left": "Validity left",
    "right": "Validity right",
    "media": "Presented Stimulus name",
    "place_x": "Presented Media position X (DACSpx)",
    "place_y": "Presented Media position Y (DACSpx)",
    "width": "Presented Media width",
    "height": "Presented Media height",
    "original_width": "Original Media width",
    "original_height": "Original Media height",
}
ROW = {
    **{"clock": 1000, "sensor": "Eye Tracker", "x": 300, "y": 140, "left": "Valid", "right": "Invalid"},
    **{"media": "a.png", "place_x": 100, "place_y": 40, "width": 400, "height": 200},
    **{"original_width": 800, "original_height": 400},
}


def read(tmp_path, rows, names=OLD, drop=(), **options):
    path = tmp_path / "a.tsv"
    keys = [key for key in names if key not in drop]
    lines = [[names[key] for key in keys], *([str(row.get(key, "")) for key in keys] for row in rows)]
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    return list(TobiiProLab(**options).read(path))


def test_the_miniature():
    assert TobiiProLab().fits(MINIATURE)
    first, second = TobiiProLab().read(MINIATURE)
    assert (first.image, second.image) == ("P1_L_cc.png", "P1_L_mlo.png")
    assert not first.on_screen and (first.display_width, first.display_height) == (
        1600,
        2000,
    )  # of the original
    assert np.nanmedian(first.x[:30]) == pytest.approx((900 - 560) * 2, abs=3)
    assert np.nanmedian(first.y[:30]) == pytest.approx((300 - 40) * 2, abs=3)
    halved = first.in_image_pixels(1000, 800)  # the media was an export in another size
    np.testing.assert_allclose((halved.x, halved.y), (first.x / 2, first.y / 2))
    assert np.median(np.diff(first.t_ms)) == pytest.approx(8.333)
    events, _ = TobiiProLab(events="fixations").read(MINIATURE)
    assert (events.x.tolist(), events.duration_ms.tolist()) == ([680, 1080], [250, 333])


def test_the_formula_of_the_media(tmp_path):
    (found,) = read(tmp_path, [ROW, ROW | {"clock": 9000, "left": "Invalid"}])
    assert (found.x[0], found.y[0]) == ((300 - 100) * 800 / 400, (140 - 40) * 400 / 200)
    assert np.isnan(found.x[1]) and found.t_ms.tolist() == [1, 9]
    (found,) = read(tmp_path, [ROW], drop=("original_width",))
    assert (found.x[0], found.display_width, found.display_height) == (200, 400, 200)
    (found,) = read(tmp_path, [ROW], drop=("place_x",))
    assert found.on_screen and found.x[0] == 300
    (found,) = read(tmp_path, [ROW], drop=("place_x",), shown=(200, 40, 100, 100))
    assert not found.on_screen and found.x[0] == 100


@pytest.mark.parametrize(
    "column", ["place_x", "place_y", "width", "height", "original_width", "original_height"]
)
def test_a_media_of_no_screen_makes_no_endless_places(tmp_path, column):
    with pytest.raises(DataError, match="row 2: a number is beyond"):
        read(tmp_path, [ROW | {column: "1e30"}])
    (found,) = read(tmp_path, [ROW | {column: "1e-308"}])
    assert np.isfinite(found.x).all() and np.isfinite(found.y).all()


@pytest.mark.parametrize(
    ("clock", "first", "expected"),
    [
        ("Recording timestamp [ms]", 1, 1),
        ("Recording timestamp [µs]", 1000, 1),
        ("Recording timestamp [μs]", 1000, 1),
        ("Recording timestamp", 1000, 1),
    ],
)
def test_newer_names_have_units(tmp_path, clock, first, expected):
    names = OLD | {"clock": clock, "x": "Gaze point X [DACS px]", "y": "Gaze point Y [DACS px]"}
    names |= {
        "place_x": "Presented Media position X [DACS px]",
        "place_y": "Presented Media position Y [DACS px]",
    }
    (found,) = read(tmp_path, [ROW | {"clock": first, "x": "300,5"}], names)
    assert found.t_ms[0] == expected and found.x[0] == 401


@pytest.mark.parametrize(
    ("step", "milliseconds"), [(8333, 8.333), (16, 16), (3, 3), (833, 0.833), (33366, 33.366)]
)
def test_a_clock_without_unit_is_told_by_its_steps(tmp_path, step, milliseconds):
    (found,) = read(tmp_path, [ROW | {"clock": step * i} for i in range(9)])
    np.testing.assert_allclose(found.t_ms, milliseconds * np.arange(9))


def test_media_that_moves_is_another_recording_with_its_own_place(tmp_path):
    moved = ROW | {"clock": 3000, "place_x": 200, "width": 800, "height": 400}
    first, second = read(tmp_path, [ROW, moved])
    assert (first.x[0], second.x[0]) == ((300 - 100) * 2, (300 - 200) * 1)


def test_pixels_per_degree_from_the_left_eye(tmp_path):
    """0.25 mm pixels at 600 mm: one degree is 10.47 mm, 41.9 pixels of the screen, of the original twice that."""
    names = OLD | {
        "left_px": "Gaze point left X",
        "left_mm": "Gaze point left X (DACSmm)",
        "distance": "Eye position left Z (DACSmm)",
    }
    rows = [
        ROW
        | {"clock": 8333 * i, "left_px": 300 + i, "left_mm": 0.25 * (300 + i), "distance": 600}
        | ({} if i else {"distance": 6000})  # the median counts
        for i in range(20)
    ]
    degree = 600 * np.tan(np.radians(1)) / 0.25
    (found,) = read(tmp_path, rows, names)
    assert found.pixels_per_degree == pytest.approx(2 * degree)
    (found,) = read(tmp_path, rows, names, drop=("original_width",))
    assert found.pixels_per_degree == pytest.approx(degree)
    assert found.in_image_pixels(400, 800).pixels_per_degree == pytest.approx(2 * degree)
    assert read(tmp_path, rows, names, drop=("distance",))[0].pixels_per_degree is None


def test_a_media_that_was_shown_stretched_has_degrees_per_axis(tmp_path):
    """800 x 400 shown on 400 x 400: a degree is twice as many of its pixels across, with its size and without."""
    names = OLD | {
        "left_px": "Gaze point left X",
        "left_mm": "Gaze point left X (DACSmm)",
        "distance": "Eye position left Z (DACSmm)",
    }
    rows = [
        ROW | {"clock": 8333 * i, "left_px": 4 * i, "left_mm": i, "distance": 600, "height": 400}
        for i in range(20)
    ]
    degree = 600 * np.tan(np.radians(1)) * 4
    for drop in ((), ("original_width",)):
        (found,) = read(tmp_path, rows, names, drop=drop)
        down = found.in_image_pixels(400, 800)
        assert (down.x[0], down.y[0]) == (400, 100)
        assert (down.pixels_per_degree, down.stretch) == (pytest.approx(degree), 2)


def test_each_participant_sits_at_a_distance_of_their_own(tmp_path):
    names = OLD | {
        "who": "Participant name",
        "left_px": "Gaze point left X",
        "left_mm": "Gaze point left X (DACSmm)",
        "distance": "Eye position left Z (DACSmm)",
    }
    rows = [
        ROW
        | {
            "clock": 8333 * i,
            "who": who,
            "left_px": 300 + i,
            "left_mm": 0.25 * (300 + i),
            "distance": distance,
        }
        for who, distance in (("Ann", 600), ("Ben", 700))
        for i in range(20)
    ]
    found = read(tmp_path, rows, names)
    expected = [pytest.approx(2 * distance * np.tan(np.radians(1)) / 0.25) for distance in (600, 700)]
    assert [each.pixels_per_degree for each in found] == expected


def test_a_place_in_pixels_of_the_recording_is_the_medias(tmp_path):
    names = OLD | {f"place_{axis.lower()}": f"Presented Media position {axis} (RCSpx)" for axis in "XY"}
    (found,) = read(tmp_path, [ROW], names)
    assert (found.x[0], found.y[0], found.on_screen) == ((300 - 100) * 2, (140 - 40) * 2, False)


@pytest.mark.parametrize(("word", "lost"), [("Valid", False), ("INVALID", True), ("", True), ("NA", True)])
def test_words_of_validity(tmp_path, word, lost):
    (found,) = read(tmp_path, [ROW | {"left": word}])
    assert np.isnan(found.x[0]) == lost


def test_rows_of_other_sensors_and_gaze_on_nothing(tmp_path):
    rows = [ROW, {"clock": 1500, "sensor": "Mouse", "media": "a.png"}, ROW | {"clock": 2000}]
    rows += [
        ROW | {"clock": 3000, "media": ""},
        ROW | {"clock": 4000},
        ROW | {"clock": 5000, "media": "b.png"},
    ]
    assert [(each.image, len(each.x)) for each in read(tmp_path, rows)] == [
        ("a.png", 2),
        ("a.png", 1),
        ("b.png", 1),
    ]
    without = [{key: value for key, value in row.items() if key != "sensor"} for row in rows]
    assert [len(each.x) for each in read(tmp_path, without, drop=("sensor",))] == [2, 1, 1]
    (screen,) = read(tmp_path, [ROW | {"media": ""}])
    assert screen.on_screen and screen.image is None


@pytest.mark.parametrize(
    ("rows", "drop", "message"),
    [
        ([], (), "holds no gaze"),
        ([{"sensor": "Mouse", "clock": 1}], (), "holds no gaze"),
        ([ROW], ("clock",), "no column Recording timestamp; expected those of Tobii Pro Lab"),
        ([ROW], ("x",), "no column Gaze point X"),
        ([ROW], ("x", "y"), "no column Gaze point X, Gaze point Y"),
        ([ROW | {"clock": ""}], (), "row 2: Recording timestamp is ''"),
        ([ROW | {"clock": "soon"}], (), "row 2: Recording timestamp is 'soon'"),
        ([ROW | {"clock": "nan"}], (), "row 2: Recording timestamp is 'nan'"),
        ([ROW | {"clock": "1e400"}], (), "row 2: Recording timestamp is '1e400'"),
        ([ROW, ROW | {"clock": 10}], (), "row 3: time 0.01 ms after 1 ms"),
        ([ROW | {"x": "left"}], (), "row 2: Gaze point X is 'left'"),
        ([ROW | {"y": "inf"}], (), "row 2: Gaze point Y is 'inf'"),
        ([ROW | {"x": "1e30"}], (), "row 2: a number is beyond"),
        ([ROW | {"x": "1.000,5"}], (), "row 2: Gaze point X is '1.000,5'"),
        ([ROW | {"place_x": "left"}], (), r"row 2: Presented Media position X \(DACSpx\) is 'left'"),
        ([ROW | {"width": "wide"}], (), "row 2: Presented Media width is 'wide'"),
        ([ROW | {"original_width": "wide"}], (), "row 2: Original Media width is 'wide'"),
        ([ROW | {"left": "0"}], (), "row 2: Validity left is '0'; expected valid, invalid or an empty cell"),
        ([ROW, ROW | {"right": "Gültig"}], (), "row 3: Validity right is 'Gültig'; expected valid, invalid"),
    ],
)
def test_faults_name_file_and_row(tmp_path, rows, drop, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, rows, drop=drop)
    assert "a.tsv" in str(caught.value) and "\n" not in str(caught.value)


THREE = [ROW | {"clock": 8333 * i, "media": f"{'abc'[i // 3]}.png"} for i in range(9)]
"""Three samples on each of three images."""


def faults(recordings):
    return [(each.image, each.fault and each.fault[:40], len(each.x)) for each in recordings]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"x": "x"}, "row 6: Gaze point X is 'x'; expected a n"),
        ({"right": "?"}, "row 6: Validity right is '?'; expected v"),
        ({"clock": 1}, "row 6: time 0.001 ms after 24.999 ms; ex"),
        ({"clock": "?"}, "row 6: Recording timestamp is '?'; expec"),
    ],
)
def test_a_damaged_row_costs_its_presentation(tmp_path, changed, fault):
    rows = [row | changed if i == 4 else row for i, row in enumerate(THREE)]
    found = faults(read(tmp_path, rows))
    assert found == [("a.png", None, 3), ("b.png", fault, 0), ("c.png", None, 3)]


def test_a_torn_row_costs_the_presentations_before_and_after_it(tmp_path):
    read(tmp_path, THREE)
    path = tmp_path / "a.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:7], lines[7][:10], *lines[8:]]) + "\n")
    fault = "row 8: 2 cells; expected 13 like the fir"
    assert faults(TobiiProLab().read(path)) == [("a.png", None, 3), ("b.png", fault, 0), ("c.png", fault, 0)]
    path.write_text("\n".join([lines[0], *(line[:10] for line in lines[1:])]) + "\n")
    with pytest.raises(DataError, match="row 2: 2 cells; expected 13"):
        list(TobiiProLab().read(path))


def test_a_damaged_place_or_eye_costs_its_media(tmp_path):
    place = [row | {"place_x": "left"} if 3 <= i < 6 else row for i, row in enumerate(THREE)]
    fault = "row 5: Presented Media position X (DACSp"
    assert faults(read(tmp_path, place))[1] == ("b.png", fault, 0)
    names = OLD | {
        **{"left_px": "Gaze point left X", "left_mm": "Gaze point left X (DACSmm)"},
        "distance": "Eye position left Z (DACSmm)",
    }
    eyes = [
        row | {"left_px": 1, "left_mm": 1, "distance": "far" if i == 4 else 600}
        for i, row in enumerate(THREE)
    ]
    found = faults(read(tmp_path, eyes, names))
    fault = "row 6: Eye position left Z (DACSmm) is '"
    assert found == [("a.png", None, 3), ("b.png", fault, 0), ("c.png", None, 3)]


EVENTS = OLD | {
    "type": "Eye movement type",
    "number": "Eye movement type index",
    "duration": "Gaze event duration",
    "fx": "Fixation point X",
    "fy": "Fixation point Y",
}
FIXATION = ROW | {"type": "Fixation", "number": 1, "duration": 200, "fx": 300, "fy": 140}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"duration": -1}, "lasts -1 ms"),
        ({"duration": ""}, "Gaze event duration is ''"),
        ({"fx": "x"}, "Fixation point X is 'x'"),
        ({"type": "Saccade"}, "holds no gaze"),
        ({"fx": "", "fy": ""}, "holds no gaze"),
    ],
)
def test_faults_of_fixations(tmp_path, changed, message):
    samples = [FIXATION | {"clock": 8000 * i} for i in range(25)]
    (good,) = read(tmp_path, samples, EVENTS, events="fixations")
    assert (good.x.tolist(), good.duration_ms.tolist()) == ([400], [200])
    with pytest.raises(DataError, match=message):
        read(tmp_path, [FIXATION | changed], EVENTS, events="fixations")
    with pytest.raises(DataError, match="no column Eye movement type;"):
        read(tmp_path, [FIXATION], EVENTS, drop=("type",), events="fixations")


def test_a_damaged_fixation_costs_its_presentation(tmp_path):
    rows = [FIXATION | row | {"number": i // 3} for i, row in enumerate(THREE)]
    rows[4] |= {"duration": "long"}
    found = faults(read(tmp_path, rows, EVENTS, events="fixations"))
    fault = "row 6: Gaze event duration is 'long'; ex"
    assert found == [("a.png", None, 1), ("b.png", fault, 0), ("c.png", None, 1)]


@pytest.mark.parametrize(
    ("name", "duration"),
    [
        ("Gaze event duration", 200),
        ("Gaze event duration [ms]", 200),
        ("Eye movement event duration", 200_000),
        ("Eye movement event duration", 200),
        ("Eye movement event duration [μs]", 200_000),
    ],
)
def test_durations_under_every_name_and_unit(tmp_path, name, duration):
    (found,) = read(
        tmp_path, [FIXATION | {"duration": duration}], EVENTS | {"duration": name}, events="fixations"
    )
    assert found.duration_ms.tolist() == [200]


def test_durations_are_in_milliseconds_however_late_the_first_fixation(tmp_path):
    rows = [
        FIXATION | {"clock": 833 * i, "type": "EyesNotFound" if i < 5100 else "Fixation"} for i in range(5400)
    ]
    (found,) = read(tmp_path, rows, EVENTS, events="fixations")
    assert found.duration_ms.tolist() == [200]
    unknown = [FIXATION | {"clock": 833 * i, "fx": "", "duration": ""} for i in range(5100)]
    late = [FIXATION | {"clock": 833 * i} for i in range(5100, 5400)]
    (found,) = read(tmp_path, unknown + late, EVENTS, events="fixations")
    assert found.duration_ms.tolist() == [200]


def test_the_last_sample_of_a_fixation_is_all_that_the_next_image_gets(tmp_path):
    rows = [
        FIXATION
        | {
            "clock": 8000 * i,
            "media": "a.png" if i < 20 else "b.png",
            "number": 1 if i <= 20 else 2,
            "duration": 168 if i <= 20 else 200,
        }
        for i in range(46)
    ]
    first, second = read(tmp_path, rows, EVENTS, events="fixations")
    assert first.duration_ms.tolist() == [pytest.approx(160, abs=8)]  # to a sample
    assert (second.t_ms.tolist(), second.duration_ms.tolist()) == ([160, 168], [8, 200])


def test_a_fixation_from_before_the_image_counts_only_while_it_is_shown(tmp_path):
    rows = [
        FIXATION
        | {"clock": 8000 * i, "media": "cross.png" if i < 20 else "a.png", "number": 1 if i < 25 else 2}
        for i in range(60)
    ]
    cross, image = read(tmp_path, rows, EVENTS, events="fixations")
    assert (cross.t_ms.tolist(), cross.duration_ms.tolist()) == ([0], [160])
    assert (image.t_ms.tolist(), image.duration_ms.tolist()) == ([160, 200], [40, 200])


def test_another_unit_of_time_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"Recording timestamp \[s\] has the unit 's'; expected µs or ms"):
        read(tmp_path, [ROW], OLD | {"clock": "Recording timestamp [s]"})
