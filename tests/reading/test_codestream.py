"""The size that a compressed frame claims: never one that it does not, whatever its bytes are."""

import runpy
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from gazekit.errors import DataError
from gazekit.reading.dicom.codestream import claimed_size
from gazekit.reading.image import read_image

CASES = Path(__file__).parents[3] / "shared" / "cases"
SIZ = b"\xff\x4f\xff\x51\x00\x29"
SOF = b"\xff\xd8\xff\xc0\x00\x0b\x08"
REAL_SIZE = (4608, 2800)
SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
TYPE = b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "


def claiming(height, width):
    """The beginning of a JPEG 2000 codestream."""
    numbers = (width, height, 0, 0, width, height, 0, 0)
    return SIZ + b"\0\0" + b"".join(n.to_bytes(4) for n in numbers) + b"\0\x01\x0f\x01\x01"


def pixels(seed, shape, bits, planted):
    """Noise of so many bits below a dark part, with bytes of markers in the high and in the low bytes of a row."""
    noise = np.random.default_rng(seed).integers(0, 2**bits, shape, dtype=np.uint16)
    noise[: shape[0] * 2 // 3] = 0
    row = np.zeros(shape[1], dtype=np.uint16)
    length = min(len(planted), shape[1])
    row[:length] = np.frombuffer(planted[:length], np.uint8)
    noise[-1] = row << 8 | row
    return noise


def stored(path, values, syntax):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3"
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = values.tobytes()
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def check(path, values, syntax):
    dataset = stored(path, values, syntax)
    np.testing.assert_array_equal(read_image(path).stored, values)
    if syntax.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        expected = None if syntax == RLELossless else (*values.shape, 1, 16)
        assert claimed_size(frame, syntax) == expected


@pytest.mark.parametrize(
    "syntax",
    [
        *(RLELossless, JPEGLSLossless, JPEG2000Lossless),
        *(ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
    ],
    ids=lambda syntax: syntax.keyword,
)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 60)),
    bits=st.sampled_from([1, 8, 12, 16]),
    planted=st.sampled_from([b"", claiming(9, 9), SOF + b"\0\x09\0\x09\x01"]),
)
def test_small_images_of_every_kind_are_read_and_claim_their_own_size(
    tmp_path_factory, syntax, seed, shape, bits, planted
):
    if syntax in (JPEGLSLossless, JPEG2000Lossless):  # the encoders refuse very small images
        shape = (shape[0] + 40, shape[1] + 40)
    path = tmp_path_factory.getbasetemp() / f"{syntax.keyword}.dcm"
    check(path, pixels(seed, shape, bits, planted), syntax)


@pytest.mark.parametrize(
    "syntax",
    [RLELossless, JPEGLSLossless, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.keyword,
)
def test_an_image_of_real_size_is_read(tmp_path, syntax):
    """Ten megabytes of noise hold every marker somewhere."""
    check(tmp_path / "image.dcm", pixels(0, REAL_SIZE, 12, claiming(9, 9)), syntax)


def test_noise_of_real_size_claims_nothing():
    noise = np.random.default_rng(0).bytes(30_000_000)
    assert b"\xff\xd8\xff" in noise  # by chance
    marked = noise[:20_000_000] + claiming(9, 9) + noise[20_000_000:]
    for syntax in (RLELossless, JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless):
        assert claimed_size(marked, syntax) is None


@given(
    content=st.binary(max_size=200),
    syntax=st.sampled_from([JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, RLELossless]),
    start=st.sampled_from([b"", SOF, SIZ, SIGNATURE + TYPE, b"\xff\xd8"]),
)
@example(content=b"\0\0\0\x09\x01", syntax=JPEGLSLossless, start=SOF)
def test_damaged_heads_give_a_size_or_nothing(content, syntax, start):
    size = claimed_size(start + content, syntax)
    assert size is None or len(size) == 4
    assert size is None or syntax != RLELossless


@pytest.mark.parametrize(
    "boxes",
    [
        SIGNATURE + TYPE,
        SIGNATURE + TYPE + b"\0\0\0\x12uuid" + SIZ[:4] + b"12345" + b"6",  # its marker is no codestream's
        SIGNATURE + TYPE + b"\0\0\0\x01free\0\0\0\0\0\0\0\x14" + SIZ[:4],
    ],
)
@pytest.mark.parametrize("head", [b"\0\0\0\0jp2c", b"\0\0\0\x01jp2c\0\0\0\0\0\0\x01\0"])
def test_the_codestream_of_a_jp2_file_comes_after_its_boxes(boxes, head):
    assert claimed_size(boxes + head + claiming(70, 90), JPEG2000Lossless) == (70, 90, 1, 16)
    assert claimed_size(boxes + claiming(70, 90), JPEG2000Lossless) is None
    assert claimed_size(boxes + head + claiming(70, 90), RLELossless) is None


@pytest.mark.parametrize("boxes", [SIGNATURE + bytes(99), SIGNATURE + b"\0\0\0\x05free", SIGNATURE])
def test_boxes_that_lead_nowhere_claim_nothing(boxes):
    assert claimed_size(boxes + claiming(70, 90), JPEG2000Lossless) is None


def test_a_jp2_file_in_dicom_is_read_and_a_false_claim_in_it_refused(tmp_path):
    values = pixels(0, (64, 64), 12, b"")
    path = tmp_path / "image.dcm"
    dataset = stored(path, values, JPEG2000Lossless)
    codestream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    header = (64).to_bytes(4) + (64).to_bytes(4) + b"\0\x01\x0f\x07\0\0"
    colour = b"\x01\0\0\0\0\0\x11"
    boxes = b"\0\0\0\x16ihdr" + header + b"\0\0\0\x0fcolr" + colour
    head = SIGNATURE + TYPE + (8 + len(boxes)).to_bytes(4) + b"jp2h" + boxes + b"\0\0\0\0jp2c"
    dataset.PixelData = encapsulate([head + codestream])
    dataset.save_as(path)
    np.testing.assert_array_equal(read_image(path).stored, values)
    false = codestream.replace((64).to_bytes(4) * 2, (6400).to_bytes(4) * 2, 1)
    assert false != codestream
    dataset.PixelData = encapsulate([head + false])
    dataset.save_as(path)
    with pytest.raises(DataError, match="claims 6400 x 6400 x 1 values, the tags 64 x 64 x 1"):
        read_image(path)


def test_a_jpeg_whose_lines_are_counted_later_claims_nothing():
    assert claimed_size(SOF + b"\0\0\0\x40\x01\x01\x11\0", JPEGBaseline8Bit) is None
    assert claimed_size(SOF + b"\0\x20\0\x40\x01\x01\x11\0", JPEGBaseline8Bit) == (32, 64, 1, 8)


@pytest.mark.skipif(not CASES.exists(), reason="the case is not here")
def test_rle_that_holds_the_marker_by_chance_is_read(tmp_path):
    case = runpy.run_path(str(CASES / "rle_with_marker.py"))
    for marker in (True, False):
        path = tmp_path / f"{marker}.dcm"
        case["write"](path, "CC", "P1", marker)
        assert (SIZ[:4] in pydicom.dcmread(path).PixelData) == marker
        np.testing.assert_array_equal(read_image(path).stored, case["image"](marker))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda syntax: syntax.keyword)
def test_values_that_bits_allocated_has_no_room_for_are_refused_instead_of_cut_off(tmp_path, syntax):
    path = tmp_path / "image.dcm"
    dataset = stored(path, pixels(0, (64, 64), 12, b""), syntax)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.save_as(path)
    with pytest.raises(DataError, match="has values of 16 bits, BitsAllocated is 8"):
        read_image(path)


@pytest.mark.parametrize("tags", [{"Rows": 20}, {"Rows": 38}, {"Columns": 31}], ids=str)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda syntax: syntax.keyword)
def test_pixel_data_of_more_rows_or_columns_is_not_read_in_silence(tmp_path, syntax, tags):
    path = tmp_path / "image.dcm"
    dataset = stored(path, pixels(0, (39, 32), 12, b""), syntax)
    assert not read_image(path).warnings
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    dataset.save_as(path)
    if syntax == RLELossless:
        with pytest.raises(DataError) as refused:
            read_image(path)
        assert f"{path}: the compressed image has 1248 values, more than Rows x Columns" in str(refused.value)
    else:
        (said,) = read_image(path).warnings
        assert "bytes of pixel data more than Rows x Columns" in said


@pytest.mark.parametrize("tags", [{"NumberOfFrames": 0}, {"Rows": 1, "Columns": 7}], ids=str)
def test_a_tag_that_counts_no_frames_or_a_byte_that_makes_the_length_even_is_not_warned_of(tmp_path, tags):
    path = tmp_path / "image.dcm"
    rows, columns = tags.get("Rows", 32), tags.get("Columns", 31)
    dataset = stored(path, np.ones((rows, columns), dtype=np.uint16), ExplicitVRLittleEndian)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    length = rows * columns
    dataset.PixelData = b"\1" * length + b"\0" * (length % 2)
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what it writes
        dataset.save_as(path)
    assert not read_image(path).warnings


@pytest.mark.parametrize("number_of_frames", [None, 1])
@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_several_frames_are_refused_whatever_number_of_frames_says(tmp_path, syntax, table, number_of_frames):
    """The first was read in silence; one frame in two fragments is one."""
    path = tmp_path / "image.dcm"
    values = pixels(0, (48, 40), 12, b"")
    dataset = stored(path, values, syntax)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    if number_of_frames is not None:
        dataset.NumberOfFrames = number_of_frames
    if syntax != RLELossless:  # whose frames are one fragment each
        dataset.PixelData = encapsulate([frame], fragments_per_frame=2, has_bot=table == "basic")
        dataset.save_as(path)
        np.testing.assert_array_equal(read_image(path).stored, values)
    if table == "extended":
        made = encapsulate_extended([frame] * 3)
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = made
    else:
        dataset.PixelData = encapsulate([frame] * 3, has_bot=table == "basic")
    dataset.save_as(path)
    with pytest.raises(
        DataError, match="holds 3 frames, more than NumberOfFrames says; expected one; export"
    ):
        read_image(path)


def test_uncompressed_frames_are_counted_too(tmp_path):
    values = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)
    path = tmp_path / "image.dcm"
    dataset = stored(path, values, ExplicitVRLittleEndian)
    dataset.PixelData = dataset.PixelData * 2
    dataset.save_as(path)
    with pytest.raises(DataError, match="holds 2 frames, more than NumberOfFrames says"):
        read_image(path)
