"""GazeMedSeg: fractions of the image become pixels, order and onset, and each fault with its row."""

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.gazemedseg import GazeMedSeg

from gazekit.errors import DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of

HEADER = "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,IMAGE_HEIGHT,IMAGE_WIDTH\n"
ONSET = HEADER.replace("\n", ",CURRENT_FIX_START\n")


def read(folder, text):
    path = folder / "kvasir_fixation.csv"
    path.write_text(text)
    return list(GazeMedSeg().read(path))


def test_fractions_become_pixels_of_each_image(tmp_path):
    first, second = read(tmp_path, ONSET + "a.jpg,1,0.5,0.25,210,400,600,84\nb.jpg,1,0.1,1,60,1000,2000,30\n")
    assert (first.image, second.image) == ("a.jpg", "b.jpg")
    assert first.reader == second.reader == "annotator"
    np.testing.assert_allclose((first.x, first.y), [[300], [100]])
    np.testing.assert_allclose((second.x, second.y), [[200], [1000]])
    assert (first.t_ms.tolist(), first.duration_ms.tolist()) == ([84], [210])


def test_without_onset_there_is_an_order_but_no_time(tmp_path):
    rows = "a,3,0.3,0.3,30,100,100\na,1,0.1,0.1,10,100,100\na,2,0.2,0.2,20,100,100\n"
    (found,) = read(tmp_path, HEADER + rows)
    assert found.t_ms is None
    np.testing.assert_array_equal(found.duration_ms, [10, 20, 30])
    fixations = fixations_of(found, image_height=100, settings=FixationSettings())
    np.testing.assert_allclose(fixations.x, [10, 20, 30])
    assert np.isnan(fixations.onset_ms).all()


def test_with_onset_it_gives_the_order(tmp_path):
    (found,) = read(tmp_path, ONSET + "a,2,0.2,0.2,20,100,100,500\na,1,0.1,0.1,10,100,100,90\n")
    np.testing.assert_array_equal(found.t_ms, [90, 500])
    np.testing.assert_array_equal(found.duration_ms, [10, 20])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column IMAGE, CURRENT_FIX_INDEX, CURRENT_FIX_DURATION, CURRENT_FIX_X"),
        (HEADER.replace("IMAGE_WIDTH", "WIDTH"), "no column IMAGE_WIDTH"),
        (HEADER.replace("IMAGE_WIDTH", "IMAGE"), "column 'IMAGE' comes twice"),
        (HEADER.lower(), "no column IMAGE"),
        (HEADER, "holds no gaze"),
        (HEADER + "a,1\n", "row 2: 2 cells; expected 7"),
        (HEADER + "a,1,0.5,0.5,10,100,100,1\n", "row 2: 8 cells; expected 7"),
        (HEADER + ",1,0.5,0.5,10,100,100\n", "row 2: IMAGE is empty"),
        (HEADER + "a,,0.5,0.5,10,100,100\n", "row 2: CURRENT_FIX_INDEX is ''"),
        (HEADER + "a,one,0.5,0.5,10,100,100\n", "row 2: CURRENT_FIX_INDEX is 'one'"),
        (HEADER + "a,1,0.5,0.5,-10,100,100\n", "row 2: the fixation lasts -10 ms"),
        (HEADER + "a,1,0.5,0.5,,100,100\n", "row 2: CURRENT_FIX_DURATION is ''"),
        (HEADER + "a,1,0.5,0.5,10 ms,100,100\n", "row 2: CURRENT_FIX_DURATION is '10 ms'"),
        (HEADER + "a,1,0.5,0.5,10,0,100\n", "row 2: the image is 100 x 0 pixels; expected a size > 0"),
        (HEADER + "a,1,0.5,0.5,10,100,-100\n", "row 2: the image is -100 x 100 pixels"),
        (HEADER + "a,1,0.5,0.5,10,,100\n", "row 2: IMAGE_HEIGHT is ''"),
        (HEADER + "a,1,left,0.5,10,100,100\n", "row 2: CURRENT_FIX_X is 'left'"),
        (HEADER + "a,1,0.5,inf,10,100,100\n", "row 2: CURRENT_FIX_Y is 'inf'"),
        (HEADER + "a,1,1e30,0.5,10,100,1e30\n", "row 2: a number is beyond"),
        (HEADER + "a,1,0.5,0.5,1e400,100,100\n", "row 2: CURRENT_FIX_DURATION is '1e400'"),
        (HEADER + "a,1,0.5,0.5,10,1e30,100\n", "row 2: a number is beyond"),
        (ONSET + "a,1,0.5,0.5,10,100,100,\n", "row 2: CURRENT_FIX_START is ''"),
    ],
)
def test_faults_are_named_with_file_and_row(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "kvasir_fixation.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lost_place(tmp_path):
    (found,) = read(tmp_path, ONSET + "a,1,,0.5,10,100,100,1\n")
    assert np.isnan(found.x).all()


def test_a_row_that_names_no_image_is_a_fault_of_those_beside_it(tmp_path):
    names = ("a", "b", "", "c", "d")
    found = read(tmp_path, HEADER + "".join(f"{name},1,0.5,0.5,10,100,100\n" for name in names))
    assert [(each.image, len(each.x)) for each in found] == [("a", 1), ("b", 0), ("c", 0), ("d", 1)]


def test_a_torn_row_costs_the_gaze_on_its_image_alone(tmp_path):
    text = (
        HEADER
        + "a,1,0.5,0.5,10,100,100\nb,1,0.5,0.5,10,100,100\nb,2,0.5\nb,3,0.5,0.5,10,100,100\nc,1,0.5,0.5,10,9,9\n"
    )
    found = read(tmp_path, text)
    assert [(each.image, len(each.x)) for each in found] == [("a", 1), ("b", 0), ("c", 1)]
    assert found[1].fault.startswith("row 4: 3 cells; expected 7")
