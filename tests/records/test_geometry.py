"""Raw to prepared pixels: the map, its inverse, and the warp of an image."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.records.geometry import Geometry, common_scales
from gazekit.records.resampling import resampling_matrix


@st.composite
def geometries(draw):
    height, width = draw(st.integers(40, 300)), draw(st.integers(40, 300))
    left, top = draw(st.integers(0, width - 30)), draw(st.integers(0, height - 30))
    right, bottom = draw(st.integers(left + 30, width)), draw(st.integers(top + 30, height))
    size = draw(st.integers(24, 120)), draw(st.integers(24, 120))
    geometry = Geometry.fit(
        (left, top, right, bottom), size, flip=draw(st.booleans()), keep_left=draw(st.booleans())
    )
    return geometry, (height, width)


def blob(shape, x, y, sigma):
    rows, columns = np.indices(shape) + 0.5
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def centroid(image):
    rows, columns = np.indices(image.shape) + 0.5
    return (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()


@settings(max_examples=60, deadline=None)
@given(geometries(), st.floats(0.25, 0.75), st.floats(0.25, 0.75))
def test_a_blob_lands_where_the_map_says(drawn, across, down):
    """Draw, warp, find the centre of mass: within one prepared pixel of the mapped point."""
    geometry, shape = drawn
    width, height = geometry.right - geometry.left, geometry.bottom - geometry.top
    x, y = geometry.left + across * width, geometry.top + down * height
    sigma = 0.06 * min(width, height)
    found = centroid(geometry.warp(blob(shape, x, y, sigma)))
    np.testing.assert_allclose(found, geometry.apply(x, y), atol=0.25)


@settings(max_examples=60, deadline=None)
@given(geometries(), st.floats(-50, 400), st.floats(-50, 400))
def test_the_inverse_undoes_the_map(drawn, x, y):
    geometry, _ = drawn
    np.testing.assert_allclose(geometry.inverse(*geometry.apply(x, y)), (x, y), atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(geometries())
def test_the_crop_fills_one_side_and_the_rest_is_background(drawn):
    geometry, shape = drawn
    prepared = geometry.warp(np.ones(shape, dtype=np.float32))
    assert prepared.shape == (geometry.height, geometry.width)
    first = geometry.apply(geometry.right if geometry.flip else geometry.left, geometry.top)
    last = geometry.apply(geometry.left if geometry.flip else geometry.right, geometry.bottom)
    extent = last[0] - first[0], last[1] - first[1]
    assert np.isclose(extent[0], geometry.width) or np.isclose(extent[1], geometry.height)
    assert extent[0] <= geometry.width + 1e-6
    assert extent[1] <= geometry.height + 1e-6
    # the area of the image is the area of the crop at this scale, so nothing is lost and nothing invented
    assert prepared.sum() == pytest.approx(extent[0] * extent[1], rel=0.03)
    rows, columns = np.indices(prepared.shape) + 0.5
    outside = (columns < first[0] - 0.5) | (columns > last[0] + 0.5) | (rows < first[1] - 0.5)
    assert (prepared[outside | (rows > last[1] + 0.5)] == 0).all()


@settings(max_examples=30, deadline=None)
@given(geometries())
def test_numbers_survive_json_and_text(drawn):
    geometry, _ = drawn
    numbers = geometry.to_numbers()
    assert Geometry.from_numbers(json.loads(json.dumps(numbers))) == geometry
    assert Geometry.from_numbers({name: str(value) for name, value in numbers.items()}) == geometry


def test_the_same_size_leaves_every_pixel_as_it_is():
    image = np.random.default_rng(0).random((37, 53)).astype(np.float32)
    np.testing.assert_array_equal(Geometry.fit((0, 0, 53, 37), (37, 53)).warp(image), image)
    flipped = Geometry.fit((0, 0, 53, 37), (37, 53), flip=True)
    np.testing.assert_array_equal(flipped.warp(image), image[:, ::-1])


def test_a_pixel_goes_through_crop_flip_scale_and_padding_by_hand():
    geometry = Geometry.fit((10, 20, 50, 100), (40, 40), flip=True)
    assert (geometry.scale, geometry.offset_x, geometry.offset_y) == (0.5, 10, 0)
    assert geometry.apply(50.0, 20.0) == (10.0, 0.0)
    assert geometry.apply(10.0, 100.0) == (30.0, 40.0)
    kept = Geometry.fit((10, 20, 50, 100), (40, 40), keep_left=True)
    assert kept.apply(10.0, 20.0) == (0.0, 0.0)
    wide = Geometry.fit((20, 10, 100, 50), (40, 40))
    assert (wide.scale, wide.offset_x, wide.offset_y) == (0.5, 0, 10)
    assert wide.apply(100.0, 50.0) == (40.0, 30.0)


def test_shrinking_does_not_alias():
    """Stripes finer than a prepared pixel average out; sampling every fifth pixel would keep them."""
    stripes = np.tile((np.arange(200) % 2).astype(np.float32), (200, 1))
    prepared = Geometry.fit((0, 0, 200, 200), (40, 40)).warp(stripes)
    np.testing.assert_allclose(prepared[1:-1, 1:-1], 0.5, atol=0.05)


def test_integer_shrinking_is_the_triangle_filter():
    """Against the definition: weights 1 - |d|/factor over raw pixels around a prepared pixel's centre."""
    image = np.random.default_rng(1).random((60, 80)).astype(np.float32)
    prepared = Geometry.fit((0, 0, 80, 60), (15, 20)).warp(image)
    for i, j in [(0, 0), (7, 9), (14, 19), (3, 0)]:
        total = weights = 0.0
        for y in range(60):
            for x in range(80):
                weight_y = max(0.0, 1 - abs(y + 0.5 - 4 * (i + 0.5)) / 4)
                weight_x = max(0.0, 1 - abs(x + 0.5 - 4 * (j + 0.5)) / 4)
                total += weight_x * weight_y * float(image[y, x])
                weights += weight_x * weight_y
        assert prepared[i, j] == pytest.approx(total / weights, abs=1e-5)


BOXES = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(60, 3000), st.integers(60, 3000))
SPACING = st.one_of(st.none(), st.floats(0.01, 1).map(lambda side: (side, side)))


@given(
    crops=st.lists(st.tuples(BOXES, SPACING), min_size=1, max_size=4),
    size=st.tuples(st.integers(8, 300), st.integers(8, 300)),
)
def test_common_scales_give_every_prepared_pixel_one_size_and_fill_the_image_with_the_largest_crop(
    crops, size
):
    boxes, spacings = zip(*crops, strict=True)
    scales = common_scales(boxes, spacings, size)
    known = None not in spacings
    pixel = [(spacing[0] if known else 1) / scale for spacing, scale in zip(spacings, scales, strict=True)]
    np.testing.assert_allclose(
        pixel, pixel[0], rtol=1e-12
    )  # mm per prepared pixel, or raw pixels per prepared one
    heights = [(bottom - top) * scale for (_, top, _, bottom), scale in zip(boxes, scales, strict=True)]
    widths = [(right - left) * scale for (left, _, right, _), scale in zip(boxes, scales, strict=True)]
    filled = max(max(heights) / size[0], max(widths) / size[1])
    np.testing.assert_allclose(filled, 1, rtol=1e-12)


def test_rounding_of_the_scale_adds_no_pixel_after_the_crop():
    assert 100 * 0.55 > 55
    matrix = resampling_matrix(0, 100, 100, scale=0.55, offset=1, size=60)
    assert np.flatnonzero(matrix.sum(axis=1)).tolist() == list(range(1, 56))


def test_of_pixels_that_are_not_square_the_geometric_mean_counts():
    box = (0, 0, 100, 100)
    scales = common_scales([box, box], [(0.1, 0.4), (0.4, 0.4)], (50, 50))
    np.testing.assert_allclose(scales, [0.25, 0.5])


def test_a_crop_below_its_largest_scale_stays_at_the_left_edge_and_in_the_middle_of_the_height():
    geometry = Geometry.fit((10, 20, 50, 100), (40, 40), keep_left=True, scale=0.25)
    assert (geometry.scale, geometry.offset_x, geometry.offset_y) == (0.25, 0, 10)
    image = np.ones((120, 60), dtype=np.float32)
    prepared = geometry.warp(image)
    expected = np.pad(np.ones((20, 10)), ((10, 10), (0, 30)))
    np.testing.assert_allclose(prepared, expected, atol=1e-6)
