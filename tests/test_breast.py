"""Finding the breast: drawn breasts whose box is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.data.breast import MARGIN, breast_box


def mammogram(height, width, *, reach=0.6, half=0.35, background=0.0, noise=0.0, seed=0):
    """A half ellipse with its chest wall on the left; returns it and its box."""
    rows, columns = np.indices((height, width)) + 0.5
    inside = (columns / (reach * width)) ** 2 + ((rows - height / 2) / (half * height)) ** 2 <= 1
    rng = np.random.default_rng(seed)
    tissue = 0.35 + 0.3 * rng.random((height, width))
    image = np.where(inside, tissue, background) + noise * rng.standard_normal((height, width))
    ys, xs = np.nonzero(inside)
    return np.clip(image, 0, 1).astype(np.float32), (0, ys.min(), xs.max() + 1, ys.max() + 1)


def assert_close(found, expected, shape):
    """Nothing of the breast is lost beyond the skin line, and no more than twice the margin is added."""
    margin = MARGIN * max(shape) + 3
    for side, sign in enumerate((1, 1, -1, -1)):
        inward = sign * (found[side] - expected[side])
        assert -2 * margin <= inward <= 2, (found, expected)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(100, 900),
    st.integers(100, 700),
    st.floats(0.3, 0.8),
    st.floats(0.2, 0.45),
    st.booleans(),
)
def test_the_box_is_the_breast_with_a_margin(height, width, reach, half, film):
    noise = {"background": 0.06, "noise": 0.01} if film else {}
    image, expected = mammogram(height, width, reach=reach, half=half, **noise)
    assert_close(breast_box(image), expected, image.shape)


def test_labels_and_scratches_do_not_matter():
    image, expected = mammogram(800, 600)
    image[30:80, 450:580] = 1.0  # a bright label
    image[700, :] = 0.9  # a scratch of one pixel across the whole film
    assert_close(breast_box(image), expected, image.shape)


def test_the_mirror_image_has_the_mirror_box():
    image, _ = mammogram(640, 512)
    left, top, right, bottom = breast_box(image)
    mirrored = breast_box(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_allclose(mirrored, (512 - right, top, 512 - left, bottom), atol=4)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_an_image_without_a_breast_is_kept_whole(value):
    assert breast_box(np.full((90, 70), value, dtype=np.float32)) == (0, 0, 70, 90)


def test_a_speck_is_no_breast():
    image = np.zeros((200, 300), dtype=np.float32)
    image[50:60, 50:60] = 1
    assert breast_box(image) == (0, 0, 300, 200)
