"""Small files that claim, or unpack to, more than any image: refused before anything is decoded."""

import gzip
import io
import struct
import time
import zlib
from contextlib import contextmanager

import numpy as np
import pydicom
import pytest
from made_dicom import write
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from gazekit.errors import DataError
from gazekit.reading import content
from gazekit.reading import limits as image_limits
from gazekit.reading.dicom import file as dicom_file
from gazekit.reading.dicom.codestream import claimed_size
from gazekit.reading.image import read_image
from gazekit.reading.parallel import Limits, ordered_map

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


@contextmanager
def refused(path, message):
    start = time.perf_counter()
    with pytest.raises(DataError, match=message) as caught:
        yield
    assert time.perf_counter() - start < 3
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("tags", [{"Rows": 65535, "Columns": 65535}, {"Rows": 0}, {"Columns": 0}])
def test_dimensions_that_no_image_has(path, tags):
    write(path, RAMP, **tags)
    with refused(path, "claims .* pixels; expected one image of at most 150 million"):
        read_image(path)


def deflated(path, body):
    write(path, RAMP)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    meta = pydicom.filereader.read_file_meta_info(path)
    start = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(content[:start] + b"".join(packer.compress(part) for part in body) + packer.flush())
    return path


def test_a_deflated_file_that_inflates_without_end(path, monkeypatch):
    monkeypatch.setattr(image_limits, "MOST_BYTES", 2**24)
    monkeypatch.setattr(dicom_file, "MOST_BYTES", 2**24)
    deflated(path, (bytes(2**20) for _ in range(256)))
    assert path.stat().st_size < 2**20
    with refused(path, "larger than 16 MiB; expected one image"):
        read_image(path)


def test_a_gzip_file_that_inflates_without_end(tmp_path, monkeypatch):
    path = tmp_path / "image.dcm.gz"
    path.write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(2**25)))
    monkeypatch.setattr(image_limits, "MOST_BYTES", 2**24)
    monkeypatch.setattr(content, "MOST_BYTES", 2**24)
    with refused(path, "larger than 16 MiB; expected one image"):
        read_image(path)


def test_a_deflated_file_cut_off(path):
    deflated(path, [bytes(1000)])
    path.write_bytes(path.read_bytes()[:-3])
    with refused(path, "the deflated DICOM file is truncated"):
        read_image(path)


def nested(depth):
    """Sequences within sequences, of undefined length, written by hand."""
    head = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return (head + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth


def test_sequences_nested_without_end(path):
    content = write(path, RAMP).read_bytes()
    at = content.index(struct.pack("<HH", 0x0010, 0x0010))
    path.write_bytes(content[:at] + nested(100_000))
    with refused(path, "cannot be read as DICOM|no pixel data"):
        read_image(path)


def test_an_element_that_claims_gigabytes(path):
    content = bytearray(write(path, RAMP).read_bytes())
    at = content.index(b"OW") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    np.testing.assert_array_equal(
        read_image(path).stored, RAMP
    )  # what is there is taken, nothing is allocated


def jpeg(height, width):
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def encapsulated(path, codestream, syntax):
    write(path, RAMP.astype(np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def test_a_compressed_image_larger_than_its_tags(path):
    assert claimed_size(jpeg(70, 90), JPEGBaseline8Bit) == (70, 90, 1, 8)
    encapsulated(path, jpeg(512, 2048), JPEGBaseline8Bit)
    with refused(path, "the compressed image claims 512 x 2048 x 1 values, the tags 64 x 64 x 1"):
        read_image(path)
    encapsulated(path, jpeg(64, 64), JPEGBaseline8Bit)
    assert read_image(path).pixels.shape == (64, 64)


def test_a_jpeg_2000_header_that_claims_another_size(path):
    siz = b"\xff\x4f\xff\x51" + struct.pack(">HHIIIIIIIIH", 41, 0, 60000, 60000, 0, 0, 64, 64, 0, 0, 1)
    assert claimed_size(siz + b"\x07\x01\x01", JPEG2000Lossless) == (60000, 60000, 1, 8)
    assert claimed_size(b"\xff\x4f\xff\x51\0", JPEG2000Lossless) is None
    encapsulated(path, siz + b"\x07\x01\x01", JPEG2000Lossless)
    with refused(path, "claims 60000 x 60000 x 1 values"):
        read_image(path)


def png_header(width, height):
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(99)),
    )
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (13_000, 12_500), (2**31 - 1, 1)])
def test_pictures_of_absurd_size(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height) + bytes(100))
    with refused(path, "pixels"):
        read_image(path)


def test_a_picture_whose_text_unpacks_to_much(tmp_path):
    path = tmp_path / "text.png"
    about = PngImagePlugin.PngInfo()
    for number in range(70):
        about.add_text(f"t{number}", "a" * 2**20, zip=True)
    Image.new("L", (8, 8)).save(path, pnginfo=about)
    assert path.stat().st_size < 2**18
    with refused(path, "damaged or truncated|text"):
        read_image(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (100000, 100000)}", "damaged or holds objects"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}", "damaged or holds objects"),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': " + "(" * 3000, "damaged"),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (2, -2)}", "damaged|an array of|claims"),
        ("__import__('os')", "damaged"),
    ],
)
def test_arrays_that_claim_what_they_have_not(tmp_path, header, message):
    path = tmp_path / "array.npy"
    text = header.encode().ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
    with refused(path, message):
        read_image(path)


def greedy(_):
    return sum(len(bytes(2**27)) for _ in [bytes(2**27) for _ in range(40)])


def test_what_slips_through_is_stopped_by_the_memory_of_its_worker():
    """Whatever a decoder asks for, its process may not have more than the limit."""
    (lost,) = ordered_map(
        greedy, [0], jobs=1, limits=Limits(seconds=20, mebibytes=512), lost=lambda task, why: why
    )
    assert "512 MiB" in lost
