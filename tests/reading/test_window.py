"""Which window of a DICOM file is shown: first, by number, by name, range, or centre and width."""

import numpy as np
import pytest
from made_dicom import linear, write
from pydicom.dataset import Dataset

from gazekit.errors import ConfigurationError, DataError
from gazekit.reading.dicom.pixels import read_dicom
from gazekit.reading.image import read_image
from gazekit.reading.window import parse_window

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WINDOWS = {
    "WindowCenter": [2000, 900],
    "WindowWidth": [3000, 500],
    "WindowCenterWidthExplanation": ["NORMAL", "HARDER"],
}


vectorised = np.vectorize(linear)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "image.dcm", RAMP, **WINDOWS)


@pytest.mark.parametrize(
    ("text", "centre", "width"),
    [
        ("first", 2000, 3000),
        ("1", 2000, 3000),
        ("2", 900, 500),
        ("HARDER", 900, 500),
        ("harder", 900, 500),
        (" Harder ", 900, 500),
        ("1200,80", 1200, 80),
        ("1200,1", 1200, 1),
        (" 1200.5 , 80.5 ", 1200.5, 80.5),
    ],
)
def test_every_way_to_choose(path, text, centre, width):
    found = read_dicom(path, parse_window(text)).pixels
    np.testing.assert_allclose(found, vectorised(RAMP.astype(float), centre, width), atol=1e-6)


def test_a_centre_and_a_width_keep_the_function_and_the_slope_of_the_file(tmp_path):
    tags = WINDOWS | {"VOILUTFunction": "SIGMOID", "RescaleSlope": -2, "RescaleIntercept": 5000}
    found = read_dicom(write(tmp_path / "image.dcm", RAMP, **tags), (1200.0, 300.0)).pixels
    expected = 1 / (1 + np.exp(-4 * (5000 - 2.0 * RAMP - 1200) / 300))  # DICOM PS3.3 C.11.2.1.3.1
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("centres", "widths", "function"),
    [
        (["", 900], [3000, 500], "LINEAR"),
        ([2000, 900], ["", 500], "LINEAR"),
        ([2000, 900], [0, 500], "LINEAR"),
        ([2000, 900], [0.5, 500], "LINEAR"),
        ([2000, 900], [0, 500], "LINEAR_EXACT"),
        ([2000, 900, 700], [0, 500], "LINEAR"),
    ],
)
def test_the_first_window_is_the_first_that_is_whole(tmp_path, centres, widths, function):
    tags = {"WindowCenter": centres, "WindowWidth": widths, "VOILUTFunction": function}
    path = write(tmp_path / "image.dcm", RAMP, **tags)
    exact = np.clip((RAMP - 900.0) / 500 + 0.5, 0, 1)
    expected = exact if function == "LINEAR_EXACT" else vectorised(RAMP.astype(float), 900, 500)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=1e-6)


def test_the_only_window_has_a_name_and_one_without_is_a_number(tmp_path):
    only = {"WindowCenter": 900, "WindowWidth": 500, "WindowCenterWidthExplanation": "HARDER"}
    path = write(tmp_path / "image.dcm", RAMP, **only)
    np.testing.assert_array_equal(read_dicom(path, "HARDER").pixels, read_dicom(path, 1).pixels)
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "US", list(range(4096)))
    unnamed = {name: value for name, value in only.items() if name != "WindowCenterWidthExplanation"}
    path = write(tmp_path / "image.dcm", RAMP, VOILUTSequence=[table], **unnamed)
    with pytest.raises(DataError, match="it has 1, 2; choose one"):
        read_dicom(path, 3)


def test_range_is_all_that_is_in_the_image(path):
    np.testing.assert_allclose(read_dicom(path, "range").pixels, RAMP / 4095, atol=1e-6)


def test_a_table_comes_before_the_windows_and_has_a_number_and_a_name(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTExplanation = [4096, 0, 16], "STEEP"
    table.add_new("LUTData", "US", (np.arange(4096) ** 2 // 256).tolist())
    path = write(tmp_path / "image.dcm", RAMP, VOILUTSequence=[table], **WINDOWS)
    expected = (RAMP.astype(float) ** 2 // 256) / (4095**2 // 256)
    for choice in ("first", 1, "STEEP"):
        np.testing.assert_allclose(read_dicom(path, choice).pixels, expected, atol=1e-6)
    np.testing.assert_allclose(
        read_dicom(path, 3).pixels, vectorised(RAMP.astype(float), 900, 500), atol=1e-6
    )


def test_a_window_that_a_file_lacks_is_named_with_those_it_has(path, tmp_path):
    with pytest.raises(DataError, match="no window '3' in the file; it has 1 NORMAL, 2 HARDER; choose one"):
        read_dicom(path, 3)
    with pytest.raises(DataError, match="no window 'SOFT' in the file"):
        read_dicom(path, "SOFT")
    plain = write(tmp_path / "plain.dcm", RAMP)
    with pytest.raises(DataError, match="no window '1' in the file; it has none"):
        read_dicom(plain, 1)
    np.testing.assert_allclose(read_dicom(plain).pixels, RAMP / 4095, atol=1e-6)


def test_other_files_have_no_windows_but_a_range(tmp_path):
    np.save(tmp_path / "a.npy", RAMP)
    np.testing.assert_allclose(
        read_image(tmp_path / "a.npy", (1000.0, 200.0)).pixels,
        np.clip((RAMP.astype(float) - 900) / 200, 0, 1),
        atol=1e-6,
    )
    np.save(tmp_path / "dark.npy", np.array([[20, 30, 60]], dtype=np.uint8))
    np.testing.assert_allclose(read_image(tmp_path / "dark.npy", "range").pixels, [[0, 0.25, 1]], atol=1e-6)
    with pytest.raises(DataError, match="no window '2'; only DICOM files have windows"):
        read_image(tmp_path / "a.npy", 2)


@pytest.mark.parametrize("text", ["0", "100,0", "100,-5", "", "  "])
def test_what_is_no_choice(text):
    with pytest.raises(ConfigurationError, match="expected first, range, a number from 1"):
        parse_window(text)
