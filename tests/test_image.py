"""Image files of every format to grey in [0, 1]."""

import numpy as np
import pytest
from PIL import Image

from gazekit.data.image import read_image
from gazekit.errors import DataError


@pytest.fixture
def twelve_bit():
    values = np.random.default_rng(0).integers(0, 4096, (12, 9)).astype(np.uint16)
    values[0, :2] = 0, 4095
    return values


def save(path, values):
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_twelve_bits_in_a_sixteen_bit_file_are_scaled_by_the_data(tmp_path, twelve_bit, suffix):
    read = read_image(save(tmp_path / f"a{suffix}", twelve_bit)).pixels
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, twelve_bit / 4095, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_full_depth_files_are_divided_by_their_full_scale(tmp_path, twelve_bit, suffix, dtype, full):
    values = (twelve_bit.astype(float) / 4095 * full).round().astype(dtype)
    read = read_image(save(tmp_path / f"a{suffix}", values)).pixels
    np.testing.assert_allclose(read, values / full, atol=1e-6)


def test_a_dark_eight_bit_image_stays_dark(tmp_path):
    dark = np.full((4, 4), 20, dtype=np.uint8)
    np.testing.assert_allclose(read_image(save(tmp_path / "a.png", dark)).pixels, 20 / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.25, 0.5]], [[0.25, 0.5]]),
        ([[-1.0, 0.0, 3.0]], [[0.0, 0.25, 1.0]]),
        ([[5.0, 5.0]], [[0.0, 0.0]]),
        (np.array([[-4, 0, 4]]), [[0.0, 0.5, 1.0]]),
        (np.array([[True, False]]), [[1.0, 0.0]]),
        (np.array([[0, 10**6]]), [[0.0, 1.0]]),
    ],
)
def test_arrays_keep_the_unit_range_and_map_any_other(tmp_path, values, expected):
    np.testing.assert_allclose(read_image(save(tmp_path / "a.npy", np.array(values))).pixels, expected)


def test_content_and_not_the_suffix_says_the_format(tmp_path, twelve_bit):
    path = save(tmp_path / "a.png", twelve_bit)
    renamed = path.rename(tmp_path / "a.tif")
    np.testing.assert_allclose(read_image(renamed).pixels, twelve_bit / 4095, atol=1e-6)


def test_grey_saved_as_colour_is_grey_and_real_colour_an_error(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (6, 5, 1)).astype(np.uint8).repeat(3, axis=2)
    np.testing.assert_allclose(
        read_image(save(tmp_path / "grey.png", grey)).pixels, grey[:, :, 0] / 255, atol=1e-6
    )
    grey[2, 2, 0] ^= 255
    with pytest.raises(DataError, match="in colour"):
        read_image(save(tmp_path / "colour.png", grey))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((2, 3, 4)), "2 x 3 x 4"),
        (np.zeros((0, 3)), "0 x 3"),
        (np.array([[np.nan, 1.0]]), "NaN"),
        (np.array([["a"]]), "type"),
        (np.array([[1j]]), "type"),
        (np.array([[None]], dtype=object), "objects"),
    ],
)
def test_arrays_that_are_no_image_are_one_clear_line(tmp_path, values, expected):
    path = tmp_path / "a.npy"
    np.save(path, values, allow_pickle=True)
    with pytest.raises(DataError, match=expected) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9])
def test_a_file_cut_anywhere_is_one_clear_line(tmp_path, twelve_bit, name, share):
    content = save(tmp_path / name, twelve_bit.repeat(20, axis=0)).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=name) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_missing_unknown_and_multi_page_files_are_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="no such image file"):
        read_image(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match="not a DICOM, PNG"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DataError, match="cannot be opened"):
        read_image(tmp_path)
    (tmp_path / "a.dcm").write_text("not DICOM")
    with pytest.raises(DataError, match="no DICM prefix"):
        read_image(tmp_path / "a.dcm")
    page = Image.fromarray(np.zeros((4, 4), dtype=np.uint8))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    with pytest.raises(DataError, match="2 pages"):
        read_image(tmp_path / "pages.tif")
