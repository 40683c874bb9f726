import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps

from gazekit.errors import DataError
from gazekit.reporting.drawing.colours import ATTENTION
from gazekit.reporting.drawing.overlay import overlay, rectified


def image(seed=0, shape=(12, 9)):
    return np.random.default_rng(seed).random(shape)


@pytest.mark.parametrize("attention", [np.zeros((3, 3)), -np.ones((2, 2)), np.array([[-3.0, 0.0]])])
def test_no_positive_attention_leaves_the_image_grey(attention):
    grey = np.round(255 * image()).astype(np.uint8)
    assert (overlay(image(), attention) == grey[..., None]).all()


def test_colour_covers_the_grey_with_the_root_of_the_attention():
    grey, attention = np.full((2, 2), 0.25), np.array([[0.0, 1.0], [0.25, -2.0]])
    for (row, column), heat in {(0, 0): 0.0, (0, 1): 1.0, (1, 0): 0.25, (1, 1): 0.0}.items():
        opacity = 0.8 * heat**0.5
        expected = 255 * ((1 - opacity) * 0.25 + opacity * np.array(colormaps[ATTENTION](heat)[:3]))
        assert overlay(grey, attention)[row, column] == pytest.approx(expected, abs=0.51)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_the_scale_of_attention_does_not_show(seed, scale):
    attention = np.random.default_rng(seed).normal(size=(4, 3))
    before, after = overlay(image(seed), attention), overlay(image(seed), scale * attention)
    assert np.abs(before.astype(int) - after).max() <= 1  # rounding to a grey level


def test_rectified_maps_reach_one_and_stay_in_range():
    found = rectified(np.array([[-5.0, 2.0], [8.0, 0.0]]), (2, 2))
    assert found.tolist() == [[0.0, 0.25], [1.0, 0.0]]


@pytest.mark.parametrize("wrong", [np.full((4, 4), 2.0), np.full((4, 4), np.nan), np.zeros((3, 4, 4))])
def test_an_image_outside_zero_to_one_is_refused(wrong):
    with pytest.raises(DataError, match=r"must be \[H, W\] with values in \[0, 1\]"):
        overlay(wrong, np.ones((2, 2)))
