"""Lesion masks: outlines against a slow even-odd test, files of several kinds, several lesions per view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

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


def test_a_jpeg_mask_is_cut_at_half(tmp_path):
    drawn = np.zeros((64, 64), dtype=np.uint8)
    drawn[20:43, 11:35] = 255
    Image.fromarray(drawn).save(tmp_path / "m.jpg", quality=60)
    assert (np.asarray(Image.open(tmp_path / "m.jpg")) > 0).sum() > 23 * 24  # what a limit of 0 would take
    found = lesion_mask([MaskFile(tmp_path / "m.jpg")], (64, 64))
    assert (found != (drawn > 0)).mean() < 0.001


def test_a_mask_of_another_size_is_refused_or_stretched_on_request(tmp_path):
    drawn = np.zeros((10, 20), dtype=np.uint8)
    drawn[:5, 10:] = 255
    Image.fromarray(drawn).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png: the mask has 10 x 20 pixels, its image 20 x 40; expected"):
        lesion_mask([MaskFile(tmp_path / "m.png")], (20, 40))
    stretched = lesion_mask([MaskFile(tmp_path / "m.png", resize=True)], (20, 40))
    assert stretched[:10, 20:].all() and stretched.sum() == 200
