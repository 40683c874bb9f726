"""Lesion masks: outlines against a slow even-odd test, files of several kinds, several lesions per view."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_dicom import write
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from gazekit.errors import DataError
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.records.lesions import MaskFile, Outline

SHAPE = (17, 23)


def slow(points, shape):
    """Even-odd rule at every pixel centre, a ray to the right."""
    mask = np.zeros(shape, dtype=bool)
    for i, j in np.ndindex(shape):
        x, y, inside = j + 0.5, i + 0.5, False
        for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                inside = not inside
        mask[i, j] = inside
    return mask


coordinate = st.floats(-30, 60).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9))
def test_an_outline_is_the_pixels_whose_centre_it_encloses(points):
    expected = slow(points, SHAPE)
    found = lesion_mask([Outline(tuple(points))], SHAPE)
    if expected.any():
        np.testing.assert_array_equal(found, expected)
    else:
        assert found.sum() <= 1


def test_a_rectangle_a_point_and_a_point_outside():
    box = Outline(((3, 2), (10, 2), (10, 6), (3, 6)))
    mask = lesion_mask([box], SHAPE)
    assert mask[2:6, 3:10].all() and mask.sum() == 28
    assert np.argwhere(lesion_mask([Outline(((7.9, 4.2),))], SHAPE)).tolist() == [[4, 7]]
    assert np.argwhere(lesion_mask([Outline(((7.1, 4.1), (7.2, 4.3), (7.3, 4.1)))], SHAPE)).tolist() == [
        [4, 7]
    ]
    for outside in ((-1.0, 3.0), (30.0, 3.0), (3.0, 17.0), (3.0, -0.1), (1e300, -1e300)):
        assert not lesion_mask([Outline((outside,))], SHAPE).any()


def test_several_lesions_make_one_mask_and_none_an_empty_one(tmp_path):
    drawn = np.zeros(SHAPE, dtype=np.uint8)
    drawn[10:12, 5:9] = 1  # labels, not white
    Image.fromarray(drawn).save(tmp_path / "m.png")
    mask = lesion_mask([MaskFile(tmp_path / "m.png"), Outline(((0, 0), (2, 0), (2, 2), (0, 2)))], SHAPE)
    assert mask.sum() == 12
    assert not lesion_mask([], SHAPE).any()


DRAWN = np.zeros(SHAPE, dtype=bool)
DRAWN[5:9, 3:11] = True
OF_A_MAMMOGRAM = {
    "a window above the mask": {"WindowCenter": 2000, "WindowWidth": 500},
    "a window around 0": {"WindowCenter": 100, "WindowWidth": 1000},
    "a sigmoid": {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "SIGMOID"},
    "an unknown function": {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "MAGIC"},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1"},
    "a falling slope": {"RescaleSlope": -1, "RescaleIntercept": 4095},
    "Hounsfield units": {
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": 40,
        "WindowWidth": 400,
    },
    "black padding": {"PixelPaddingValue": 0},
    "white padding": {"PixelPaddingValue": 1, "PixelPaddingRangeLimit": 4095},
}


@pytest.mark.parametrize("value", [1, 255, 4095])
@pytest.mark.parametrize("name", OF_A_MAMMOGRAM)
def test_a_dicom_mask_is_what_is_not_0_whatever_the_header_of_its_mammogram_says(tmp_path, name, value):
    path = write(tmp_path / "m.dcm", (DRAWN * value).astype(np.uint16), **OF_A_MAMMOGRAM[name])
    np.testing.assert_array_equal(lesion_mask([MaskFile(path)], SHAPE), DRAWN)


@pytest.mark.parametrize("kind", ["?", "u1", "u2", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("value", [1, -1])
def test_a_mask_of_any_type_is_what_is_not_0_also_where_nothing_else_is(tmp_path, kind, value):
    if value < 0 and kind in "?u1u2":
        pytest.skip("unsigned")
    for marked in (DRAWN, np.ones(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)):
        np.save(tmp_path / "m.npy", (marked * value).astype(kind))
        np.testing.assert_array_equal(lesion_mask([MaskFile(tmp_path / "m.npy")], SHAPE), marked)


def test_a_mask_in_colours_is_what_is_not_black(tmp_path):
    path = tmp_path / "m.png"
    labels = Image.fromarray(DRAWN.astype(np.uint8) * 2).convert("P")
    labels.putpalette([0, 0, 0, 0, 128, 0, 128, 0, 0])
    labels.save(path)
    np.testing.assert_array_equal(lesion_mask([MaskFile(path)], SHAPE), DRAWN)
    Image.fromarray(DRAWN[..., None] * np.array([0, 0, 200], dtype=np.uint8)).save(path)
    np.testing.assert_array_equal(lesion_mask([MaskFile(path)], SHAPE), DRAWN)


def test_a_mask_with_nan_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.where(DRAWN, 1.0, np.nan))
    with pytest.raises(DataError, match=r"m\.npy: NaN or infinite values in a mask; expected 0 outside"):
        lesion_mask([MaskFile(tmp_path / "m.npy")], SHAPE)


@pytest.mark.parametrize("file", ["m.jpg", "m.png", "m.dcm", "m.tif"])
def test_a_lossy_mask_is_cut_at_half_whatever_its_name(tmp_path, file):
    drawn = np.zeros((64, 64), dtype=np.uint8)
    drawn[20:43, 11:35] = 255
    path, jpeg = tmp_path / file, BytesIO()
    Image.fromarray(drawn).save(jpeg, "JPEG", quality=60)
    assert (np.asarray(Image.open(jpeg)) > 0).sum() > 23 * 24  # what a limit of 0 would take
    if file == "m.dcm":
        dataset = dcmread(write(path, drawn, BitsAllocated=8, BitsStored=8, HighBit=7))
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PixelData = encapsulate([jpeg.getvalue()])
        dataset.save_as(path, enforce_file_format=True)
    elif file == "m.tif":
        Image.fromarray(drawn).save(path, compression="jpeg", quality=60)
    else:
        path.write_bytes(jpeg.getvalue())
    found = lesion_mask([MaskFile(path)], (64, 64))
    assert (found != (drawn > 0)).mean() < 0.001


def test_a_mask_of_another_size_is_refused_or_stretched_on_request(tmp_path):
    drawn = np.zeros((10, 20), dtype=np.uint8)
    drawn[:5, 10:] = 255
    Image.fromarray(drawn).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png: the mask has 10 x 20 pixels, its image 20 x 40; expected"):
        lesion_mask([MaskFile(tmp_path / "m.png")], (20, 40))
    stretched = lesion_mask([MaskFile(tmp_path / "m.png", resize=True)], (20, 40))
    assert stretched[:10, 20:].all() and stretched.sum() == 200


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize(
    ("under", "lesion", "opacity"), [(255, 255, 255), (0, 0, 255), (200, 90, 1), (0, 255, 128)]
)
def test_what_is_transparent_in_a_mask_is_no_lesion(tmp_path, mode, under, lesion, opacity):
    """White on transparent white, black on transparent black, a faint overlay; the colour beneath says nothing."""
    expected = np.zeros(SHAPE, dtype=bool)
    expected[3:9, 4:12] = True
    grey, alpha = np.where(expected, lesion, under), np.where(expected, opacity, 0)
    pixels = np.stack([grey, grey, grey, alpha], axis=-1).astype(np.uint8)
    picture = Image.fromarray(pixels)
    if mode == "PA":  # a palette whose first entry is transparent
        picture = Image.fromarray(expected.astype(np.uint8), "P")
        picture.putpalette([under] * 3 + [lesion] * 3)
        picture.save(tmp_path / "mask.png", transparency=bytes([0, opacity]))
    else:
        picture.convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(lesion_mask([MaskFile(tmp_path / "mask.png")], SHAPE), expected)


def test_a_mask_with_an_alpha_channel_that_hides_nothing_is_read_by_its_values(tmp_path):
    pixels = np.full((*SHAPE, 4), 255, dtype=np.uint8)
    pixels[..., :3] = 0
    pixels[3:9, 4:12, 0] = 7
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    found = lesion_mask([MaskFile(tmp_path / "mask.png")], SHAPE)
    assert found.sum() == 48 and found[3:9, 4:12].all()
