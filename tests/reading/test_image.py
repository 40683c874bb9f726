"""Image files of every format to grey in [0, 1]."""

import gzip
import struct
import zlib

import numpy as np
import pytest
from made_dicom import write
from PIL import Image

from gazekit.errors import DataError
from gazekit.reading.image import read_image


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
        (np.array([[0, 2**14, 2**16]]), [[0.0, 0.25, 1.0]]),
        (np.array([[0, 65535]]), [[0.0, 1.0]]),
        (np.array([[0, 256]]), [[0.0, 256 / 1023]]),
        (np.array([[10**9, 10**9 + 25, 10**9 + 100]]), [[0.0, 0.25, 1.0]]),
    ],
)
def test_arrays_keep_the_unit_range_and_map_any_other(tmp_path, values, expected):
    np.testing.assert_allclose(read_image(save(tmp_path / "a.npy", np.array(values))).pixels, expected)


def test_content_and_not_the_suffix_says_the_format(tmp_path, twelve_bit):
    path = save(tmp_path / "a.png", twelve_bit)
    renamed = path.rename(tmp_path / "a.tif")
    np.testing.assert_allclose(read_image(renamed).pixels, twelve_bit / 4095, atol=1e-6)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_colours_that_are_stored_otherwise_are_read_as_red_green_and_blue(tmp_path, mode):
    colours = np.array([[[200, 90, 40], [60, 120, 200]], [[128, 128, 128], [255, 255, 255]]], dtype=np.uint8)
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as written:
        assert written.mode == mode
    found = np.moveaxis(read_image(tmp_path / "a.tif", colour=True).colour, 0, -1)
    np.testing.assert_allclose(found, colours / 255, atol=0.03)
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).convert("YCbCr").save(tmp_path / "grey.tif")
    np.testing.assert_allclose(read_image(tmp_path / "grey.tif").pixels, grey / 255, atol=1e-6)


def test_a_grey_image_has_three_equal_channels_where_colour_is_asked_for(tmp_path, twelve_bit):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(twelve_bit).save(tmp_path / "a.png", exif=exif)
    for path in (write(tmp_path / "a.dcm", twelve_bit), tmp_path / "a.png"):
        grey, colour = read_image(path), read_image(path, colour=True)
        assert grey.colour is None
        np.testing.assert_array_equal(colour.colour, [grey.pixels] * 3)
        np.testing.assert_array_equal(colour.pixels, grey.pixels)
        assert (colour.guessed_depth, colour.warnings) == (grey.guessed_depth, grey.warnings)
    assert grey.guessed_depth == 12 and grey.warnings


def test_grey_saved_as_colour_is_grey_and_real_colour_an_error(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (6, 5, 1)).astype(np.uint8).repeat(3, axis=2)
    np.testing.assert_allclose(
        read_image(save(tmp_path / "grey.png", grey)).pixels, grey[:, :, 0] / 255, atol=1e-6
    )
    grey[2, 2, 0] ^= 255
    with pytest.raises(DataError, match="in colour"):
        read_image(save(tmp_path / "colour.png", grey))


def png(values):
    """A PNG of 16 bits and 1 to 4 channels, which Pillow reads but does not write."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0),
        b"IDAT" + zlib.compress(rows),
        b"IEND",
    ]
    framed = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def tiff(values, order="<", *, photometric):
    """An uncompressed TIFF of 16 or 8 bits, written by hand."""
    height, width, channels = (*values.shape, 1)[:3]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = struct.pack(f"{order}{channels}H", *[8 * values.itemsize] * channels)
    after = 8 + 2 + 8 * 12 + 4
    long = len(bits) > 4
    fields = (
        *((256, 4, 1, struct.pack(f"{order}I", width)), (257, 4, 1, struct.pack(f"{order}I", height))),
        (258, 3, channels, struct.pack(f"{order}I", after) if long else bits.ljust(4, b"\0")),
        *(
            (259, 3, 1, struct.pack(f"{order}HH", 1, 0)),
            (262, 3, 1, struct.pack(f"{order}HH", photometric, 0)),
        ),
        (273, 4, 1, struct.pack(f"{order}I", after + len(bits) * long)),
        *(
            (277, 3, 1, struct.pack(f"{order}HH", channels, 0)),
            (279, 4, 1, struct.pack(f"{order}I", len(data))),
        ),
    )
    directory = b"".join(struct.pack(f"{order}HHI", *field[:3]) + field[3] for field in fields)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(fields))
    return start + directory + bytes(4) + bits * long + data


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (2, "grey and transparency"),
        (3, "red, green and blue"),
        (4, "red, green, blue and transparency"),
    ],
)
def test_sixteen_bits_of_several_channels_are_refused_and_not_read_as_eight(
    tmp_path, twelve_bit, channels, said
):
    path = tmp_path / "a.png"
    path.write_bytes(png(np.stack([twelve_bit] * channels, axis=-1)))
    with pytest.raises(
        DataError, match=rf"16 bits in several channels \({said}\), .* save it as one channel"
    ):
        read_image(path)
    path.write_bytes(png(twelve_bit[..., None]))
    np.testing.assert_array_equal(read_image(path).stored, twelve_bit)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_same_in_tiff(tmp_path, twelve_bit, channels, order):
    path = tmp_path / "a.tif"
    values = np.stack([twelve_bit] * channels, axis=-1)
    path.write_bytes(tiff(values, order, photometric=1 if channels == 2 else 2))
    with pytest.raises(DataError, match=r"16 bits in several channels|no decoder for this kind of TIFF"):
        read_image(path)


def test_the_same_in_ppm(tmp_path, twelve_bit):
    height, width = twelve_bit.shape
    grey = np.stack([twelve_bit] * 3, axis=-1).astype(">u2").tobytes()
    (tmp_path / "a.ppm").write_bytes(b"P6 %d %d 4095\n" % (width, height) + grey)
    with pytest.raises(DataError, match="16 bits in several channels"):
        read_image(tmp_path / "a.ppm")


@pytest.mark.parametrize("white", [100, 255, 256, 1000, 4095, 40000])
def test_a_pgm_file_states_its_white(tmp_path, white):
    values = np.linspace(0, white * 0.7, 108).round().astype(np.uint16).reshape(12, 9)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 9 12 %d\n" % white + values.astype("u1" if white < 256 else ">u2").tobytes())
    np.testing.assert_allclose(
        read_image(path).pixels, values / white, atol=0.51 / 255 if white < 256 else 1e-5
    )


def test_a_pgm_file_of_16_bits_states_nothing_as_other_files_of_16_bits(tmp_path, twelve_bit):
    (tmp_path / "a.pgm").write_bytes(b"P5 9 12 65535\n" + twelve_bit.astype(">u2").tobytes())
    found = read_image(tmp_path / "a.pgm")
    assert found.guessed_depth == 12
    np.testing.assert_allclose(found.pixels, twelve_bit / 4095, atol=1e-6)


def test_white_may_be_zero_in_tiff(tmp_path, twelve_bit):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(twelve_bit, photometric=1))
    np.testing.assert_allclose(read_image(path).pixels, twelve_bit / 4095, atol=1e-6)
    path.write_bytes(tiff(twelve_bit, photometric=0))
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, 1 - twelve_bit / 4095, atol=1e-6)
    np.testing.assert_array_equal(image.stored, twelve_bit)
    path.write_bytes(tiff(twelve_bit, ">", photometric=0))
    with pytest.raises(DataError, match="no decoder for this kind of TIFF"):
        read_image(path)
    eight = (twelve_bit >> 4).astype(np.uint8)
    path.write_bytes(tiff(eight, photometric=0))
    np.testing.assert_allclose(read_image(path).pixels, 1 - eight / 255, atol=1e-6)


@pytest.mark.parametrize(("depth", "white"), [(12, 4095), (14, 16383), (16, 65535)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_the_depth_is_the_data_sets_and_not_the_images(tmp_path, twelve_bit, suffix, depth, white):
    for darker in (0, 3, 8):
        path = save(tmp_path / f"a{suffix}", twelve_bit >> darker)
        image = read_image(path, depth=depth)
        np.testing.assert_allclose(image.pixels, (twelve_bit >> darker) / white, atol=1e-6)
        assert image.guessed_depth is None
        assert read_image(path).guessed_depth == {0: 12, 3: 10, 8: 8}[darker]


def test_values_beyond_the_depth_are_refused(tmp_path, twelve_bit):
    path = save(tmp_path / "a.png", twelve_bit)
    with pytest.raises(DataError, match="the value 4095 does not fit into the 10 bits of the data set"):
        read_image(path, depth=10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], dtype=np.uint8), [[0, 128 / 255, 1]]),
        (np.array([[-4, 0, 4]]), [[0.0, 0.5, 1.0]]),
        (np.array([[0, 10**6]]), [[0.0, 1.0]]),
        (np.array([[0.25, 0.5]]), [[0.25, 0.5]]),
    ],
)
def test_the_depth_is_of_whole_numbers_that_need_one(tmp_path, values, expected):
    path = save(tmp_path / "a.npy", values)
    image = read_image(path, depth=10)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert read_image(path).guessed_depth is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((2, 3, 4)), "2 x 3 x 4"),
        (np.zeros((0, 3)), "0 x 3"),
        (np.zeros((0, 4, 3)), "0 x 4"),
        (np.array([[np.nan, 1.0]]), "NaN"),
        (np.array([["a"]]), "type"),
        (np.array([[1j]]), "type"),
        (np.array([[None]], dtype=object), "objects"),
        (np.ones((2, 3), dtype=np.longdouble), "at most 64 bits"),
        (np.float32(1), "an array of one number"),
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
    with pytest.raises(DataError, match="no such image file; check its path or the table"):
        read_image(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match="not a DICOM, PNG"):
        read_image(tmp_path / "text.png")
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "a.bmp")
    with pytest.raises(DataError, match="not a DICOM, PNG, TIFF, JPEG, PGM or NPY file; convert it"):
        read_image(tmp_path / "a.bmp")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)
    (tmp_path / "a.dcm").write_text("not DICOM")
    with pytest.raises(DataError, match="no DICM prefix"):
        read_image(tmp_path / "a.dcm")
    page = Image.fromarray(np.zeros((4, 4), dtype=np.uint8))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    with pytest.raises(DataError, match="2 pages"):
        read_image(tmp_path / "pages.tif")


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.npy", "a.tif", "a.dcm.gz", "packed.png.gz"])
def test_an_empty_file_is_called_empty(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.startswith("packed") else b"")
    with pytest.raises(DataError, match=f"{name}: the file is empty; copy it again from its source"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_viewers_turn_is_read_as_stored_and_pointed_out(tmp_path, suffix):
    exif = Image.Exif()
    values = np.random.default_rng(0).integers(0, 256, (8, 16), dtype=np.uint8)
    found = {}
    for orientation in (1, 6, 0, 9):
        exif[274] = orientation
        Image.fromarray(values).save(tmp_path / f"{orientation}{suffix}", exif=exif)
        found[orientation] = read_image(tmp_path / f"{orientation}{suffix}")
    assert found[1].pixels.shape == found[6].pixels.shape == (8, 16)
    assert found[1].warnings == found[0].warnings == found[9].warnings == ()
    assert (
        found[6].warnings[0].startswith("its EXIF data ask viewers to turn or mirror it, and it is read as")
    )


def test_exif_data_that_cannot_be_read_say_nothing(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (8, 16), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", exif=b"Exif\0\0garbage!!!")
    found = read_image(tmp_path / "a.png")
    assert found.pixels.shape == (8, 16) and found.warnings == ()
