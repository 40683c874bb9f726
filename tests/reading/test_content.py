"""A file is known by its content: gzip, DICOM without its preamble, the index of a medium."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_dicom import write
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
)
from test_image_mutations import dicom, picture

from gazekit.errors import DataError
from gazekit.prediction.file_grouping import group_images
from gazekit.reading.content import has_image_suffix, is_dicom
from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.image import read_image
from gazekit.reading.image_size import image_size

SYNTAXES = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless),
)


def meta_ends_at(content):
    return 144 + int.from_bytes(content[140:144], "little")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.dcm", lambda: dicom(RLELossless)),
        ("a.dcm", lambda: dicom(DeflatedExplicitVRLittleEndian)),
        ("a.png", lambda: picture("PNG", np.uint16)),
        ("a.tif", lambda: picture("TIFF", np.uint8)),
        ("a.jpg", lambda: picture("JPEG", np.uint8)),
        ("a.npy", lambda: picture("NPY", np.float32)),
    ],
)
def test_every_format_may_be_packed_by_gzip(tmp_path, name, content):
    plain, packed = tmp_path / name, tmp_path / f"{name}.gz"
    plain.write_bytes(content())
    half = len(content()) // 2
    packed.write_bytes(
        gzip.compress(content()[:half]) + gzip.compress(content()[half:])
    )  # of several members, too
    np.testing.assert_array_equal(read_image(packed).pixels, read_image(plain).pixels)
    assert read_image(packed).digest() == read_image(plain).digest()
    assert image_size(packed) == (64, 48)
    if name == "a.dcm":
        assert read_image_header(packed) == read_image_header(plain)
    assert is_dicom(packed) == (name == "a.dcm")
    whole = gzip.compress(content())
    for cut in (5, 30, len(whole) - 9):
        packed.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="the gzip file is damaged or truncated"):
            read_image(packed)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("name", ["a.dcm", "a"])
def test_dicom_without_a_preamble(tmp_path, syntax, name):
    whole, path = tmp_path / "whole.dcm", tmp_path / name
    whole.write_bytes(dicom(syntax))
    path.write_bytes(dicom(syntax)[132:])
    assert is_dicom(path)
    np.testing.assert_array_equal(read_image(path).pixels, read_image(whole).pixels)
    assert read_image_header(path) == read_image_header(whole)
    assert image_size(path) == (64, 48)


@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("before", [b"", b"\0", b" "])
def test_dicom_without_its_file_meta(tmp_path, syntax, before):
    content = dicom(syntax)
    whole, path = tmp_path / "whole.dcm", tmp_path / "a"
    whole.write_bytes(content)
    path.write_bytes(before + content[meta_ends_at(content) :])
    np.testing.assert_array_equal(read_image(path).pixels, read_image(whole).pixels)
    assert read_image_header(path) == read_image_header(whole)


def test_compressed_dicom_without_its_file_meta_is_refused_for_that(tmp_path):
    content = dicom(RLELossless)
    (tmp_path / "a.dcm").write_bytes(content[meta_ends_at(content) :])
    with pytest.raises(DataError, match="compressed, and no file meta names the transfer syntax"):
        read_image(tmp_path / "a.dcm")


@given(content=st.binary(min_size=12, max_size=300))
def test_noise_is_not_taken_for_a_data_set(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(content)
    begins = content.lstrip(b"\0 ")[:1]
    if (
        content[:2] != b"\x1f\x8b"
        and begins not in (b"\x02", b"\x08")
        and content[:2] not in (b"\0\2", b"\0\x08")
    ):
        assert not is_dicom(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "NPY"])
def test_other_images_are_not_dicom(tmp_path, kind):
    path = tmp_path / "image"
    path.write_bytes(picture(kind, np.uint8))
    assert not is_dicom(path)
    assert read_image(path).pixels.shape == (64, 48)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.dcm", True),
        ("A.DCM.GZ", True),
        ("a.pgm", True),
        ("a.png.gz", True),
        ("a.csv.gz", False),
        ("a.gz", False),
    ],
)
def test_names_of_images(name, is_one):
    assert has_image_suffix(name) == is_one


@pytest.fixture
def medium(tmp_path):
    """A folder with a DICOMDIR and two images."""
    folder = tmp_path / "medium"
    folder.mkdir()
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for name, view in (("IM0", "CC"), ("IM1", "MLO")):
        whose = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "StudyDate": "20200101"}
        write(folder / name, ramp, ViewPosition=view, ImageLaterality="L", Modality="MG", **whose)
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    index.FileSetID, index.DirectoryRecordSequence = "DISC", []
    index.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder


def test_the_index_of_a_medium_is_skipped_in_a_folder_and_refused_by_its_name(medium):
    grouping = group_images([medium], ("cc", "mlo"))
    assert [set(exam.images) for exam in grouping.exams] == [{"cc", "mlo"}] and not grouping.left_out
    for read in (read_image, image_size, read_image_header):
        with pytest.raises(
            DataError,
            match="a DICOMDIR, which only indexes other files; give those files, or the folder that",
        ):
            read(medium / "DICOMDIR")


def test_packed_images_of_a_folder_are_found(tmp_path):
    for view in ("cc", "mlo"):
        (tmp_path / f"1_{view}.png.gz").write_bytes(gzip.compress(picture("PNG", np.uint8)))
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"notes"))
    (exam,) = group_images([tmp_path], ("cc", "mlo")).exams
    assert {view: path.name for view, path in exam.images.items()} == {
        "cc": "1_cc.png.gz",
        "mlo": "1_mlo.png.gz",
    }
    assert exam.refused == ""


def test_a_pgm_says_itself_what_is_white(tmp_path):
    values = np.array([[0, 1000], [2047, 4095]], dtype=np.uint16)
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n# comment\n2 2\n4095\n" + values.astype(">u2").tobytes())
    image = read_image(path, depth=12)
    np.testing.assert_allclose(image.pixels, values / 4095, atol=1e-5)
    assert image.guessed_depth is None and image_size(path) == (2, 2)
    path.write_bytes(b"P2\n2 2\n255\n0 51 102 255\n")
    np.testing.assert_allclose(read_image(path).pixels, [[0, 0.2], [0.4, 1]], atol=1e-6)
    path.write_bytes(b"P5\n2 2\n65535\n" + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(path).stored, values)
    Image.fromarray(np.full((2, 2, 3), 7, dtype=np.uint8)).save(tmp_path / "a.ppm")
    np.testing.assert_allclose(read_image(tmp_path / "a.ppm").pixels, 7 / 255, atol=1e-6)
