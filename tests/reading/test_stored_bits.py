"""Bits of a pixel's cell: overlays, HighBit, signs, padding and BitsStored that is too small, compared by hand."""

import json

import numpy as np
import pydicom
import pytest
from command_line import gazekit
from made_dicom import write
from pydicom.uid import JPEG2000Lossless, RLELossless

from gazekit.reading.dicom.pixels import read_dicom


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


@pytest.fixture
def picture():
    """A smooth picture of 12 bits that uses all of them."""
    y, x = np.mgrid[:64, :80]
    return (2047 + 2047 * np.sin(x / 19) * np.cos(y / 23)).astype(np.uint16)


def read(path, cells, syntax=None, **tags):
    write(path, cells, **tags)
    if syntax is not None:
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    return read_dicom(path)


def with_overlays(path, cells, positions, syntax=None, **tags):
    write(path, cells, **tags)
    dataset = pydicom.dcmread(path)
    for number, position in enumerate(positions):
        dataset.add_new((0x6000 + 2 * number, 0x0100), "US", 16)
        dataset.add_new((0x6000 + 2 * number, 0x0102), "US", position)
    if syntax is not None:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    return read_dicom(path)


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_declared_overlays_are_no_part_of_the_values(path, picture, syntax):
    drawn = picture | np.uint16(1 << 12) | np.uint16(1 << 15)
    drawn[:, ::3] = picture[:, ::3]
    image = with_overlays(path, drawn, (12, 15), syntax)
    np.testing.assert_array_equal(image.stored, picture)
    assert image.warnings == ()
    np.testing.assert_array_equal(image.pixels, read(path, picture).pixels)


def test_by_hand(path):
    cells = np.array([[0x0123, 0x1123, 0xF123, 0x8FFF]], dtype=np.uint16)
    image = with_overlays(path, cells, (12, 13, 14, 15))
    assert image.stored.tolist() == [[0x123, 0x123, 0x123, 0xFFF]]
    image = read(path, cells, BitsStored=12, HighBit=15)
    assert image.stored.tolist() == [[0x012, 0x112, 0xF12, 0x8FF]]
    image = read(path, cells, BitsStored=8, HighBit=11)
    assert image.stored.tolist() == [[0x12, 0x12, 0x12, 0xFF]]
    small = np.array([[0x0011, 0x0FF8]], dtype=np.uint16)
    assert read(path, small, BitsStored=12, HighBit=14).stored.tolist() == [[0x002, 0x1FF]], "though they fit"
    assert read(path, cells, BitsStored=15, HighBit=15).stored.tolist() == [[0x091, 0x891, 0x7891, 0x47FF]]
    signed = cells.view(np.int16)
    assert read(path, signed, BitsStored=12, HighBit=15).stored.tolist() == [[0x012, 0x112, -0x0EE, -0x701]]
    assert read(path, signed, BitsStored=8, HighBit=11).stored.tolist() == [[0x12, 0x12, 0x12, -1]]


@pytest.mark.parametrize("below", [1, 4])
@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_values_at_the_top_of_their_cells(path, picture, syntax, below):
    drawn = picture << below | np.uint16(1)
    image = read(path, drawn, syntax, BitsStored=16 - below, HighBit=15)
    np.testing.assert_array_equal(image.stored, picture)
    np.testing.assert_allclose(image.pixels, (picture - picture.min()) / np.ptp(picture), atol=1e-6)
    assert image.warnings == (), "the header explains the bits below"


def test_a_codec_gives_the_value_wherever_its_cell_had_it(path, picture):
    np.testing.assert_array_equal(read(path, picture, JPEG2000Lossless).stored, picture)
    dataset = pydicom.dcmread(path)
    dataset.HighBit = 15
    dataset.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).stored, picture)


@pytest.mark.parametrize("high", [3, 10, 16, 99])
def test_an_impossible_high_bit_counts_as_absent(path, picture, high):
    np.testing.assert_array_equal(read(path, picture, HighBit=high).stored, picture)


def test_undeclared_bits_are_left_out_with_a_warning(path, picture):
    drawn = picture.copy()
    drawn[20:30, 20:60] |= 1 << 14
    image = read(path, drawn)
    np.testing.assert_array_equal(image.stored, picture)
    assert image.warnings == (
        "has bits above BitsStored (12) where no overlay is declared; they are dropped",
    )


def test_declared_bits_are_no_values_though_the_picture_were_smoother_with_them(path, picture):
    """They are the upper bits of the picture here."""
    image = with_overlays(path, picture, (10, 11), BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(image.stored, picture & 0x3FF)
    assert image.warnings == ()


def test_a_bits_stored_that_is_too_small_is_a_warning(path, picture):
    image = read(path, picture, BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(image.stored, picture)
    assert image.warnings == ("has values that BitsStored (10) does not allow; they are kept",)
    signed = (picture >> 3).astype(np.int16)  # up to 511, beyond -256 … 255 by the sign alone
    image = read(path, signed, BitsStored=9, HighBit=8)
    np.testing.assert_array_equal(image.stored, signed)
    assert image.warnings == ("has values that BitsStored (9) does not allow; they are kept",)
    signed = picture.astype(np.int16) - 2047
    image = read(path, signed, BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(image.stored, signed)
    assert "BitsStored (10) does not allow" in image.warnings[0]


def test_a_sharp_edge_does_not_hide_that_bits_stored_is_too_small(path):
    """Every pixel of this breast is above 10 bits, so all that they and the background share is its edge."""
    y, x = np.mgrid[:200, :160]
    breast = np.clip(1 - (x / 140) ** 2 - ((y - 100) / 90) ** 2, 0, 1)
    cells = np.where(breast > 0, 1500 + 14000 * breast, 0).astype(np.uint16)
    image = read(path, cells, BitsStored=10, HighBit=9)
    np.testing.assert_array_equal(image.stored, cells)
    assert image.warnings == ("has values that BitsStored (10) does not allow; they are kept",)


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_a_sign_may_fill_the_value_alone(path, bits):
    y, x = np.mgrid[:64, :80]
    signed = (2 ** (bits - 1) * 0.99 * np.sin(x / 19) * np.cos(y / 23)).astype(np.int16)
    short = (signed.view(np.uint16) & (2**bits - 1)).view(np.int16)
    for cells in (signed, short):
        image = read(path, cells, BitsStored=bits, HighBit=bits - 1)
        np.testing.assert_array_equal(image.stored, signed)
        assert image.warnings == ()


@pytest.mark.parametrize("written", [("SS", -2000), ("US", 63536), ("US", 63536 & 0x0FFF)])
@pytest.mark.parametrize("limit", [None, ("US", 63436)])
def test_padding_of_signed_pixels_may_be_written_as_unsigned(path, written, limit):
    cells = np.array([[-2000, -2000, 100], [200, 300, 400]], dtype=np.int16)
    write(path, cells)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", *written)
    if limit:
        dataset.add_new("PixelPaddingRangeLimit", *limit)
    dataset.save_as(path)
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), [0, 0, 0, 1 / 3, 2 / 3, 1], atol=1e-6)


def test_padding_may_lie_beyond_the_values(path):
    cells = np.array([[65535, 65535, 100], [200, 300, 400]], dtype=np.uint16)
    image = read(path, cells, PixelPaddingValue=65535)
    np.testing.assert_allclose(image.pixels.ravel(), [0, 0, 0, 1 / 3, 2 / 3, 1], atol=1e-6)
    assert image.warnings == ()


def test_padding_beyond_the_values_leaves_the_brightest_as_it_is(path):
    """12 bits: 65535 cut to them were 4095, which is white here."""
    cells = np.array([[65535, 0], [1365, 4095]], dtype=np.uint16)
    image = read(path, cells, PixelPaddingValue=65535)
    np.testing.assert_allclose(image.pixels, [[0, 0], [1 / 3, 1]], atol=1e-6)


def test_overlays_beside_padding_beyond_the_values(path, picture):
    picture = picture.clip(0, 4000)
    drawn = picture.copy()
    drawn[20:30, 20:60] |= 1 << 14
    drawn[:, :9] = 65535
    image = with_overlays(path, drawn, (14,), PixelPaddingValue=65535)
    np.testing.assert_array_equal(image.stored[:, 9:], picture[:, 9:])
    assert not image.pixels[:, :9].any() and image.warnings == ()


def test_preparation_and_validation_name_the_image(tmp_path, picture):
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = ["exam_id,patient_id,label,cc"]
    for number in range(4):
        write(raw / f"DOE_{number}.dcm", picture, **({"BitsStored": 10, "HighBit": 9} if number == 2 else {}))
        rows.append(f"e{number},p{number},{'benign' if number % 2 else 'malignant'},DOE_{number}.dcm")
    (raw / "exams.csv").write_text("\n".join(rows) + "\n")
    what = "has values that BitsStored (10) does not allow; they are kept"
    prepared = gazekit("data", "prepare", "folder", raw, tmp_path / "out", "--crop", "none", "--jobs", 1)
    said = " ".join(prepared.stderr.split())
    assert f"warning: exam e2 cc {what}" in said and said.count("warning: exam") == 1 and "DOE" not in said
    found = json.loads(gazekit("data", "validate", "folder", raw, "--crop", "none", "--json").stdout)
    assert found["faults"]["odd"] == [["e2", "cc", what]]
    assert found["faults"]["doubtful"] == []
