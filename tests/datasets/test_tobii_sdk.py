"""Tables of the Tobii Pro SDK: both ways to write a point, lost eyes, the screen, and each fault with its row."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.tobii.sdk import TobiiSDK

from gazekit.errors import DataError

CLOCKS = "device_time_stamp,system_time_stamp"
WHOLE = (
    f"{CLOCKS},left_gaze_point_on_display_area,left_gaze_point_validity,"
    "right_gaze_point_on_display_area,right_gaze_point_validity\n"
)
SPLIT = (
    f",{CLOCKS},left_gaze_point_on_display_area_x,left_gaze_point_on_display_area_y,left_gaze_point_validity,"
    "right_gaze_point_on_display_area_x,right_gaze_point_on_display_area_y,right_gaze_point_validity\n"
)


def write(folder, text, name="gaze.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(folder, text, encoding="utf-8", **options):
    (recording,) = TobiiSDK(**options).read(write(folder, text, encoding=encoding))
    return recording


def test_points_written_as_pairs_and_the_mean_of_the_valid_eyes(tmp_path):
    found = read(
        tmp_path,
        WHOLE
        + '10,1000000,"(0.2, 0.4)",1,"(0.3, 0.6)",1\n'
        + '16677,1016667,"(0.2, 0.4)",1,"(nan, nan)",0\n'
        + '33344,1033334,"(nan, nan)",0,"(0.3, 0.6)",1\n'
        + '50011,1050001,"(0.9, 0.9)",0,"(nan, nan)",1\n',
    )
    np.testing.assert_allclose(found.x, [0.25 * 1920, 0.2 * 1920, 0.3 * 1920, np.nan])
    np.testing.assert_allclose(found.y, [0.5 * 1080, 0.4 * 1080, 0.6 * 1080, np.nan])
    np.testing.assert_allclose(found.t_ms, [1000, 1016.667, 1033.334, 1050.001])
    assert found.on_screen
    with pytest.raises(DataError, match="set the reader's option shown"):
        found.in_image_pixels(400)


@pytest.mark.parametrize("separator", ",\t;")
def test_points_written_as_two_columns_as_pandas_does(tmp_path, separator):
    rows = "0,1,5000,0.5,0.25,1,,,0\n1,2,6000,,,0,0.1,0.2,1.0\n2,3,7000,0.5,0.25,True,0.7,0.35,False\n"
    text = (SPLIT + rows).replace(",", separator)
    text = text.replace("0.", "0,") if separator == ";" else text
    found = read(tmp_path, text, screen=(1000, 1000))
    np.testing.assert_allclose(found.x, [500, 100, 500])
    np.testing.assert_allclose(found.y, [250, 200, 250])


def test_one_eye_other_brackets_no_validity_and_only_the_devices_clock(tmp_path):
    header = "device_time_stamp,right_gaze_point_on_display_area\n"
    for cell in ('"[0.5, 0.25]"', "[0.5 0.25]", '"(0.5,0.25)"'):
        found = read(tmp_path, f"{header}2000,{cell}\n4000,\n")
        np.testing.assert_allclose(found.x, [960, np.nan])
        np.testing.assert_allclose(found.t_ms, [2, 4])


def test_rows_that_pandas_and_numpy_write(tmp_path):
    found = read(
        tmp_path,
        WHOLE
        + '1,1000,"(np.float64(0.5), np.float64(0.25))",1.0,"(np.float32(0.5), np.float32(0.25))",1.0\n'
        + "2,2000,nan,nan,,\n"
        + '3,3000,"(0.5, 0.25)",NaN,"(None, None)",1\n'
        + '4,4000,"(numpy.float64(1e-1), numpy.float64(nan))",1,NA,0\n'
        + '5,5000,"(0.5, 0.25)",True,nan,nan\n',
    )
    np.testing.assert_allclose(found.x, [960, np.nan, np.nan, np.nan, 960])
    np.testing.assert_allclose(found.y, [270, np.nan, np.nan, np.nan, 270])


def test_the_computers_clock_goes_first_for_other_logs_share_it(tmp_path):
    assert read(tmp_path, WHOLE + '7000,9000,"(0.2, 0.4)",1,"(0.3, 0.6)",1\n').t_ms.tolist() == [9]


def test_where_the_image_was_shown(tmp_path):
    """Shown 800 high at (560, 140), an image of 1600 rows has its point (200, 100) at (660, 190) on the screen."""
    found = read(
        tmp_path,
        WHOLE + f'1,2,"({660 / 1920!r}, {190 / 1080!r})",1,"(nan, nan)",0\n',
        shown=(560, 140, 600, 800),
    )
    assert not found.on_screen
    image = found.in_image_pixels(1600, 1200)
    assert (image.x[0], image.y[0]) == pytest.approx((200, 100))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "the columns are a, b; expected system_time_stamp or device_time_stamp and left_gaze_point_on",
        ),
        ("system_time_stamp,left_gaze_point_on_display_area_x\n1,2\n", "expected system_time_stamp or"),
        (
            'left_gaze_point_on_display_area\n"(0.1, 0.2)"\n',
            "expected system_time_stamp or device_time_stamp and",
        ),
        (WHOLE, "holds no gaze; expected at least one row below the header"),
        (WHOLE + '1,x,"(0.1, 0.2)",1,"(0.1, 0.2)",1\n', "row 2: system_time_stamp is 'x'; expected a number"),
        (WHOLE + '1,,"(0.1, 0.2)",1,"(0.1, 0.2)",1\n', "row 2: system_time_stamp is ''"),
        (WHOLE + '1,nan,"(0.1, 0.2)",1,"(0.1, 0.2)",1\n', "row 2: system_time_stamp is 'nan'"),
        (WHOLE + "1,2,0.1,1,0.2,1\n", r"row 2: left_gaze_point_on_display_area is '0.1'; expected \(x, y\)"),
        (WHOLE + '1,2,"(0.1, 0.2, 0.3)",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (WHOLE + '1,2,"(0.1, inf)",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (WHOLE + '1,2,"(0.1, 1e999)",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (WHOLE + '1,2,"(0.1, 0_1)",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (WHOLE + '1,2,"(0.1, zwei)",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (
            WHOLE + '1,2,"(np.float64(0.1), np.int(2))",1,,0\n',
            r"row 2: left_gaze_point_on.* expected \(x, y\); write both as plain numbers",
        ),
        (WHOLE + f'1,2,"({"[" * 999}",1,,0\n', r"row 2: left_gaze_point_on.* expected \(x, y\)"),
        (
            WHOLE + '1,2,"(0.1, 1e99)",1,,0\n',
            "row 2: a number is beyond 1e.18; expected what an eye tracker writes",
        ),
        (WHOLE + '1,2,"(0.1, 0.2)",2,,0\n', "row 2: left_gaze_point_validity is '2'; expected 0 or 1"),
        (
            WHOLE + '1,2,"(0.1, 0.2)",Valid,,0\n',
            "left_gaze_point_validity is 'Valid'; expected 0 or 1, .*; write",
        ),
        (
            WHOLE + '1,2,"(0.1, 0.2)",1,,0\n' + '1,1,"(0.1, 0.2)",1,,0\n',
            "row 3: time 0.001 ms after 0.002 ms",
        ),
        (WHOLE + "1,2,(0.1, 0.2),1,(0.1, 0.2),1\n", "row 2: 8 cells; expected 6 like the first row"),
        (SPLIT + "0,1,2,0.1,oben,1,,,0\n", "row 2: left_gaze_point_on_display_area_y is 'oben'"),
        (SPLIT + "0,1,2,1e400,0.2,1,,,0\n", "row 2: left_gaze_point_on_display_area_x is '1e400'"),
        (SPLIT + "0,1,1e30,0.1,0.2,1,,,0\n", "row 2: a number is beyond"),
        (
            WHOLE.replace("left_gaze_point_validity", "system_time_stamp") + '1,2,"(0.1, 0.2)",1,,0\n',
            "row 2: column 'system_time_stamp' comes twice",
        ),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "gaze.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_told_by_a_clock_and_an_eye(tmp_path):
    assert TobiiSDK().fits(write(tmp_path, WHOLE))
    assert TobiiSDK().fits(write(tmp_path, SPLIT.replace(",", "\t"), encoding="utf-8-sig"))
    assert not TobiiSDK().fits(write(tmp_path, f"{CLOCKS},left_pupil_diameter\n"))
    assert not TobiiSDK().fits(write(tmp_path, "left_gaze_point_on_display_area,t\n"))


def test_options_are_checked(registry):
    for options in ({"screen": (0, 1080)}, {"shown": (0, 0, 100, -5)}, {"shown": (1, 2, 3)}):
        with pytest.raises(Exception, match=next(iter(options))):
            registry.create("gaze_reader", "tobii_sdk", **options)
