"""EGD-CXR: fixations and samples of many images in one table, lost samples, and each fault with its row."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.egd_cxr import EgdCxr

from gazekit.errors import DataError
from gazekit.gaze.readers import reader_names

SHORT = "DICOM_ID,Time (in secs),FPOGX,FPOGY,FPOGD,FPOGV,X_ORIGINAL,Y_ORIGINAL\n"
LONG = "DICOM_ID,SESSION_ID,Time (in secs),FPOGS,FPOGD,FPOGID,FPOGV,X_ORIGINAL,Y_ORIGINAL\n"


def read(folder, text):
    path = folder / "fixations.csv"
    path.write_text(text)
    return list(EgdCxr().read(path))


def test_fixations_of_two_images(tmp_path):
    first, second = read(
        tmp_path,
        LONG
        + "a-b,1,0.50,0.25,0.25,1,1,100,200\na-b,1,1.00,0.60,0.40,2,1,300,400\n"
        + "c-d,1,0.30,0.10,0.20,1,1,500,600\n",
    )
    assert (first.image, second.image) == ("a-b", "c-d")
    np.testing.assert_allclose(first.t_ms, [250, 600])  # FPOGS, not the time of the record
    np.testing.assert_allclose(first.duration_ms, [250, 400])
    np.testing.assert_array_equal(first.x, [100, 300])
    np.testing.assert_array_equal(second.y, [600])


def test_without_their_onset_the_time_of_the_record_stands_for_it(tmp_path):
    (found,) = read(tmp_path, SHORT + "a,0.5,0.1,0.2,0.25,1,10,20\na,0.9,0.1,0.2,0.3,1,30,40\n")
    np.testing.assert_allclose(found.t_ms, [500, 900])
    np.testing.assert_allclose(found.duration_ms, [250, 300])


def test_beside_the_image_and_not_valid_is_lost(tmp_path):
    rows = ["1,-2,-2", "1,-1,50", "1,50,-1", "0,50,50", ",50,50", "1,,", "1,0,0", "1,0,7", "1.0,5,6"]
    (found,) = read(tmp_path, SHORT + "".join(f"a,{i},0,0,1,{row}\n" for i, row in enumerate(rows)))
    assert np.isnan(found.x).tolist() == [True] * 7 + [False] * 2
    assert np.isnan(found.y).tolist() == [True] * 7 + [False] * 2


@pytest.mark.parametrize("height", [1760, 2022, 2544])
def test_the_sets_own_mark_of_a_place_beside_the_image_is_lost_at_any_size(tmp_path, height):
    """The code of the set writes ``int(height / 2160 * -1)``: 0 for images with fewer pixels than their display."""
    beside = int(height / 2160 * -1)
    (found,) = read(tmp_path, SHORT + f"a,0,0,0,1,1,{beside},{beside}\na,1,0,0,1,1,5,6\n")
    np.testing.assert_array_equal(found.x, [np.nan, 5])


def test_rows_of_one_fixation_are_samples(tmp_path):
    rows = "".join(f"a,1,{i / 60:.5f},0.1,{i / 60:.5f},{1 + i // 6},1,{i},9\n" for i in range(12))
    (found,) = read(tmp_path, LONG + rows)
    assert found.duration_ms is None
    np.testing.assert_allclose(np.diff(found.t_ms), 1000 / 60, atol=0.02)
    np.testing.assert_array_equal(found.x, np.arange(12))


def test_the_first_fixation_of_the_next_image_is_no_sample_of_the_last(tmp_path):
    first, second = read(tmp_path, LONG + "a,1,0.1,0.1,0.2,1,1,5,5\nb,1,0.1,0.1,0.2,1,1,5,5\n")
    assert first.duration_ms is not None and second.duration_ms is not None


def test_a_fixation_that_comes_twice_does_not_make_samples_of_fixations(tmp_path):
    rows = [f"a,1,{i},{i},0.25,{number},1,5,5\n" for i, number in enumerate([1, 2, 3, 3, 4, 5])]
    (found,) = read(tmp_path, LONG + "".join(rows))
    np.testing.assert_allclose(found.duration_ms, [250] * 6)


def test_its_one_radiologist_is_the_reader_of_every_look(tmp_path):
    found = read(tmp_path, LONG + "".join(f"{image},1,0.1,0.1,0.2,1,1,5,5\n" for image in "aba"))
    assert reader_names([found[0], found[2]]) == ["radiologist", "radiologist"]


def test_two_sessions_on_one_image_are_two_recordings(tmp_path):
    found = read(tmp_path, LONG + "a,1,9,9,0.2,7,1,5,5\na,2,0.1,0.1,0.2,1,1,6,6\n")
    assert [one.x.tolist() for one in found] == [[5], [6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"no column DICOM_ID, Time \(in secs\), FPOGD, FPOGV, X_ORIGINAL, Y_ORIGINAL"),
        (SHORT.replace("X_ORIGINAL", "X"), "no column X_ORIGINAL"),
        (SHORT.replace("FPOGX", "FPOGD"), "column 'FPOGD' comes twice"),
        (SHORT.replace(" (in secs)", ""), r"no column Time \(in secs\)"),
        (SHORT, "holds no gaze"),
        (SHORT + "a,1\n", "row 2: 2 cells; expected 8"),
        (SHORT + "a,0,0,0,1,1,5,5,7\n", "row 2: 9 cells; expected 8"),
        (SHORT + ",0,0,0,1,1,5,5\n", "row 2: DICOM_ID is empty"),
        (SHORT + "a,,0,0,1,1,5,5\n", r"row 2: Time \(in secs\) is ''"),
        (SHORT + "a,zero,0,0,1,1,5,5\n", r"row 2: Time \(in secs\) is 'zero'; expected a number"),
        (SHORT + "a,0,0,0,,1,5,5\n", "row 2: FPOGD is ''"),
        (SHORT + "a,0,0,0,-1,1,5,5\n", "row 2: the fixation lasts -1000 ms"),
        (SHORT + "a,0,0,0,1,2,5,5\n", "row 2: FPOGV is 2; expected 0 or 1"),
        (SHORT + "a,0,0,0,1,-1,5,5\n", "row 2: FPOGV is -1"),
        (SHORT + "a,0,0,0,1,TRUE,5,5\n", "row 2: FPOGV is 'TRUE'; expected a number"),
        (SHORT + "a,0,0,0,1,1,1_0,5\n", "row 2: X_ORIGINAL is '1_0'"),
        (SHORT + "a,0,0,0,1,1,5,inf\n", "row 2: Y_ORIGINAL is 'inf'"),
        (SHORT + "a,0,0,0,1,1,5,1e400\n", "row 2: Y_ORIGINAL is '1e400'"),
        (SHORT + "a,0,0,0,1,1,5,1e30\n", "row 2: a number is beyond"),
        (SHORT + "a,1e30,0,0,1,1,5,5\n", "row 2: a number is beyond"),
        (SHORT + "a,0,0,0,1e18,1,5,5\n", "row 2: a number is beyond"),
        (LONG + "a,1,1,,1,1,1,5,5\n", "row 2: FPOGS is ''"),
        (LONG + "a,1,1,0,1,1,1,5,5\na,1,0.5,0,1,1,1,5,5\n", "row 3: time 500 ms after 1000 ms"),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "fixations.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "faulty", "fault"),
    [
        ("b,zero,0,0,1,1,5,5", "b", "row 4: Time (in secs) is 'zero'; expected a number"),
        ("b,0,0", "b", "row 4: 3 cells; expected 8"),
        ("b,1,0,0,1,1,5,5\nc,0,0", "bc", "row 5: 3 cells; expected 8"),
        (",1,0,0,1,1,5,5", "bc", "row 4: DICOM_ID is empty; expected a value"),
    ],
)
def test_a_damaged_row_costs_the_gaze_on_its_image_or_those_beside_it(tmp_path, row, faulty, fault):
    last = "b,9,0,0,1,1,6,6\n" * (faulty == "b")
    text = SHORT + f"a,0,0,0,1,1,5,5\nb,0,0,0,1,1,6,6\n{row}\n{last}c,0,0,0,1,1,7,7\nd,0,0,0,1,1,8,8\n"
    found = read(tmp_path, text)
    assert [each.image for each in found] == ["a", "b", "c", "d"]
    assert {each.image for each in found if each.fault is not None} == set(faulty)
    assert all(len(each.x) == (each.fault is None) for each in found)
    assert all(each.fault.startswith(fault) for each in found if each.fault is not None)


def test_where_the_table_cannot_be_read_on_the_images_below_are_not_lost_in_silence(tmp_path):
    long = f'b,0,0,0,1,1,6,"{"6" * 200_000}"\n'
    with pytest.raises(DataError, match="row 3: not a row of a text table"):
        read(tmp_path, SHORT + f"a,0,0,0,1,1,5,5\n{long}c,0,0,0,1,1,7,7\n")
