"""Screen → viewport → image, by hand and there and back again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.gaze.geometry import Placement, screen, shown_at_height, shown_image, window

scales, offsets = st.floats(0.05, 20), st.floats(-3000, 3000)
placements = st.builds(Placement, scales, scales, offsets, offsets)


def point(x, y):
    return np.array([x], dtype=float), np.array([y], dtype=float)


def test_a_point_on_the_screen_is_traced_to_its_image_pixel():
    """(0.5, 0.5) of 1920 × 1080 is (960, 540); the viewport starts at (160, 40): (800, 500); the image lies at
    (200, -100) in it at zoom 2: (300, 300)."""
    path = screen(1920, 1080).then(window(160, 40)).then(shown_image(200, -100, 2))
    assert [float(value[0]) for value in path.apply(*point(0.5, 0.5))] == [300, 300]
    back = path.inverse().apply(*point(300, 300))
    assert [float(value[0]) for value in back] == pytest.approx([0.5, 0.5])


def test_the_formula_of_the_viewer_log():
    """(sx - img_pos_x) / img_scale_x, with the view moving and zooming from sample to sample."""
    sx, sy = np.array([500.0, 500.0, 900.0]), np.array([300.0, 300.0, 100.0])
    left, top, zoom = np.array([100.0, -50.0, 0.0]), np.array([20.0, 20.0, 0.0]), np.array([0.5, 2.0, 1.0])
    x, y = shown_image(left, top, zoom).apply(sx, sy)
    np.testing.assert_allclose(x, [800, 275, 900])
    np.testing.assert_allclose(y, [560, 140, 100])


def test_miceyes_display_scaling():
    """x · H_original / display height, on both axes."""
    x, y = shown_at_height(800, 4084).apply(*point(206, 412))
    assert x[0] == pytest.approx(206 * 4084 / 800)
    assert y[0] == pytest.approx(412 * 4084 / 800)


@settings(max_examples=60, deadline=None)
@given(first=placements, second=placements, third=placements, x=offsets, y=offsets)
def test_steps_compose_and_turn_back(first, second, third, x, y):
    one_by_one = third.apply(*second.apply(*first.apply(*point(x, y))))
    for composed in (first.then(second).then(third), first.then(second.then(third))):
        np.testing.assert_allclose(composed.apply(*point(x, y)), one_by_one, rtol=1e-9, atol=1e-6)
    returned = first.then(first.inverse()).apply(*point(x, y))
    np.testing.assert_allclose(returned, point(x, y), rtol=1e-6, atol=1e-6)
