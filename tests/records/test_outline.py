"""The outline of a region: which prepared pixels, and which lesions, lie in it."""

import numpy as np
import pytest

from gazekit.records.geometry import Geometry
from gazekit.records.region import Region, block_means

FACTOR = 4
WHOLE = (0, 0, 64, 32)
"""An image of 32 x 64 pixels, the left half of which is the region."""


def left_half() -> Region:
    outline = np.zeros((8, 16), dtype=bool)
    outline[:, :8] = True
    return Region(WHOLE, WHOLE, outline, FACTOR)


def lesions(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Mark rectangles, each first and last row, first and last column, the last ones exclusive."""
    mask = np.zeros((32, 64), dtype=bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(32, 64), (16, 32), (64, 128)])
def test_a_prepared_pixel_lies_inside_by_its_centre(size: tuple[int, int], flip: bool) -> None:
    inside = left_half().inside(Geometry.fit(WHOLE, size, flip=flip))
    expected = np.arange(size[1]) < size[1] / 2
    np.testing.assert_array_equal(inside, np.tile(expected[::-1] if flip else expected, (size[0], 1)))


@pytest.mark.parametrize(
    ("marked", "holds"),
    [
        ([], True),
        ([(4, 8, 4, 8)], True),
        ([(4, 8, 28, 36)], True),  # half of it
        ([(4, 8, 28, 40)], False),  # a third
        ([(4, 8, 4, 8), (4, 8, 44, 48)], False),  # each for itself
        ([(0, 8, 24, 32), (8, 16, 32, 40)], True),  # they touch at a corner, and are one
        ([(4, 20, 31, 32), (4, 12, 32, 36)], False),  # a thin part in many blocks, a thick one in few
        ([(4, 5, 44, 45)], False),  # a sixteenth of a block is a lesion where it is all there is
        ([(0, 32, 0, 32), (4, 5, 44, 45)], True),  # and a speck beside a large one
        ([(0, 8, 0, 8), (4, 5, 44, 45)], False),  # more than one hundredth
    ],
)
def test_every_lesion_must_lie_in_the_outline_by_half_specks_aside(
    marked: list[tuple[int, int, int, int]], holds: bool
) -> None:
    assert left_half().holds(lesions(*marked)) is holds


def test_a_box_is_marked_by_its_columns_and_rows() -> None:
    mask = Region(WHOLE, (8, 4, 40, 20), np.ones((1, 1), dtype=bool)).boxed()
    np.testing.assert_array_equal(mask, lesions((4, 20, 8, 40)))


def test_blocks_at_the_last_edges_are_means_of_the_pixels_they_have() -> None:
    pixels = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    expected = [[pixels[row : row + 4, column : column + 4].mean() for column in (0, 4, 8)] for row in (0, 4)]
    np.testing.assert_allclose(block_means(pixels, 4), expected, rtol=1e-6)
