"""REFLACX: fixations and samples, the reading's name, the metadata, and each fault with its row."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.reflacx import Reflacx

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of

DEGREES = "angular_resolution_x_pixels_per_degree,angular_resolution_y_pixels_per_degree"
FIXATIONS = f"timestamp_start_fixation,timestamp_end_fixation,x_position,y_position,{DEGREES}\n"
SAMPLES = f"timestamp_sample,x_position,y_position,{DEGREES}\n"


def write(root, text, name="fixations.csv", reading="P102R009922"):
    folder = root / "main_data" / reading
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def read(root, text, **options):
    (recording,) = Reflacx(**options).read(write(root, text))
    return recording


def test_fixations_are_image_pixels_and_seconds(tmp_path):
    found = read(tmp_path, FIXATIONS + "0.5,0.75,1200,900,50,50\n0.8,1.8,-40,2100,90,90\n2,2.1,7,8,90,90\n")
    np.testing.assert_allclose(found.t_ms, [500, 800, 2000])
    np.testing.assert_allclose(found.duration_ms, [250, 1000, 100])
    np.testing.assert_array_equal(found.x, [1200, -40, 7])
    assert found.pixels_per_degree == 90
    assert found.exam_id == "P102R009922"
    assert (found.image, found.view, found.display_height, found.on_screen) == (None, None, None, False)


def test_fixations_are_put_in_order(tmp_path):
    found = read(tmp_path, FIXATIONS + "2,2.1,3,3,50,50\n0.5,0.75,1,1,50,50\n0.8,1.8,2,2,50,50\n")
    np.testing.assert_array_equal(found.x, [1, 2, 3])


def test_samples_are_lost_where_the_eye_was_not_found(tmp_path):
    rows = "".join(f"{i / 1000},{500},{600},60,60\n" for i in range(150))
    path = write(tmp_path, SAMPLES + "-0.001,,,,\n" + rows + "0.150,700,,60,60\n", name="gaze.csv")
    (found,) = Reflacx().read(path)
    assert found.duration_ms is None
    assert np.isnan(found.x).tolist() == [True, *[False] * 150, True]
    fixations = fixations_of(found, image_height=3056, settings=FixationSettings())
    np.testing.assert_allclose((fixations.x, fixations.y, fixations.duration_ms), [[500], [600], [150]])


def test_pixels_per_degree_of_oblong_pixels_and_none_known(tmp_path):
    assert read(tmp_path, FIXATIONS + "0,1,5,5,40,90\n").pixels_per_degree == pytest.approx(60)
    assert read(tmp_path, FIXATIONS + "0,1,5,5,,\n").pixels_per_degree is None
    assert read(tmp_path, FIXATIONS + "0,1,5,5,0,-3\n").pixels_per_degree is None


def test_the_image_is_found_in_the_metadata_beside_the_folder_or_where_named(tmp_path):
    table = "split,id,image,dicom_id\ntrain,P102R009922,files/p10/x.dcm,1e64fb27-c8d9\ntest,P1,f,g\n"
    (tmp_path / "elsewhere.csv").write_text(table)
    text = FIXATIONS + "0,1,5,5,40,90\n"
    assert read(tmp_path, text).image is None
    assert read(tmp_path, text, metadata=str(tmp_path / "elsewhere.csv")).image == "1e64fb27-c8d9"
    (tmp_path / "main_data" / "metadata_phase_1.csv").write_text("id,dicom_id\nP1,g\n")
    (tmp_path / "main_data" / "metadata_phase_2.csv").write_text(table)
    assert read(tmp_path, text).image == "1e64fb27-c8d9"
    (tmp_path / "main_data" / "metadata_phase_2.csv").write_text("id\nP1\n")
    with pytest.raises(DataError, match=r"metadata_phase_2\.csv: no column dicom_id"):
        read(tmp_path, text)


def test_columns_of_names_go_before_the_folder(tmp_path):
    header = FIXATIONS.replace("\n", ",id,dicom_id\n")
    found = read(tmp_path, header + "0,1,5,5,40,90,P7,abc-def\n")
    assert (found.exam_id, found.image) == ("P7", "abc-def")


def test_a_folder_that_is_no_reading_names_nothing(tmp_path):
    (found,) = Reflacx().read(write(tmp_path, FIXATIONS + "0,1,5,5,40,90\n", "cxr7.csv", reading="exports"))
    assert (found.exam_id, found.image) == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column x_position, y_position, angular_resolution_x_pixels_per_degree"),
        (
            SAMPLES.replace("timestamp_sample", "t"),
            "no column timestamp_start_fixation, timestamp_end_fixation",
        ),
        (FIXATIONS.replace("timestamp_end_fixation", "end"), "no column timestamp_end_fixation"),
        (FIXATIONS.replace("y_position", "x_position"), "column 'x_position' comes twice"),
        (SAMPLES.replace(",angular_resolution_y_pixels_per_degree", ""), "no column angular_resolution_y"),
        (FIXATIONS, "holds no gaze"),
        (SAMPLES, "holds no gaze"),
        (FIXATIONS + "0,1,5\n", "row 2: 3 cells; expected 6"),
        (FIXATIONS + "0,1,5,5,40,90,1\n", "row 2: 7 cells; expected 6"),
        (FIXATIONS + "2,1,5,5,40,90\n", "row 2: the fixation lasts -1000 ms; expected a duration >= 0"),
        (FIXATIONS + ",1,5,5,40,90\n", "row 2: timestamp_start_fixation is ''; expected a number"),
        (FIXATIONS + "0,nan,5,5,40,90\n", "row 2: timestamp_end_fixation is 'nan'"),
        (FIXATIONS + "0,1,5 px,5,40,90\n", "row 2: x_position is '5 px'"),
        (FIXATIONS + "0,1,5,inf,40,90\n", "row 2: y_position is 'inf'"),
        (FIXATIONS + "0,1,5,5,1e400,90\n", "row 2: angular_resolution_x_pixels_per_degree is '1e400'"),
        (FIXATIONS + "0,1,1e20,5,40,90\n", "row 2: a number is beyond"),
        (FIXATIONS + "0,1e30,1,5,40,90\n", "row 2: a number is beyond"),
        (FIXATIONS + "-1e30,1e30,1,5,40,90\n", "row 2: a number is beyond"),
        (SAMPLES + "2,5,5,40,90\n1,5,5,40,90\n", "row 3: time 1000 ms after 2000 ms; expected ascending"),
        (SAMPLES + ",5,5,40,90\n", "row 2: timestamp_sample is ''"),
        (FIXATIONS.replace("\n", ",id\n") + "0,1,5,5,40,90,\n", "row 2: id is empty"),
        (FIXATIONS.replace("\n", ",dicom_id\n") + "0,1,5,5,40,90,\n", "row 2: dicom_id is empty"),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "fixations.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_of_half_a_number_is_lost(tmp_path):
    assert np.isnan(read(tmp_path, FIXATIONS + "0,1,5,,40,90\n1,2,5,5,4,4\n").x).tolist() == [True, False]
