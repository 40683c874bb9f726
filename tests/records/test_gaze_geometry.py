"""Screen → viewport → image, by hand and there and back again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.records.placement import Placement, screen, shown_image, window

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


def test_a_viewer_that_stretches_has_two_zooms():
    x, y = shown_image(10.0, 20.0, 0.5, 2.0).apply(*point(110, 120))
    assert (x[0], y[0]) == (200, 50)


views = st.tuples(st.floats(0.5, 8), st.floats(-4000, 4000), st.floats(-4000, 4000))


@settings(max_examples=200, deadline=None)
@given(
    lesion=st.tuples(st.floats(0, 3328), st.floats(0, 4084)),
    box=st.tuples(st.floats(0, 1920), st.floats(0, 1080)),
    seen=st.lists(views, min_size=3, max_size=3),
)
def test_a_lesion_clicked_at_three_zooms_lands_within_one_pixel(lesion, box, seen):
    """A click is a whole pixel of the screen, so at half the size of the image it is right to one image pixel."""
    landed = []
    for zoom, left, top in seen:
        path = window(*box).then(shown_image(left - box[0], top - box[1], zoom))
        on_screen = path.inverse().apply(*point(*lesion))
        back = path.apply(*on_screen)
        np.testing.assert_allclose(np.ravel(back), lesion, atol=1e-6)
        landed.append(np.ravel(path.apply(*np.rint(on_screen))))
        assert np.abs(landed[-1] - lesion).max() <= 0.5 / zoom + 1e-6
    assert np.ptp(landed, axis=0).max() <= 2
    assert np.abs(np.array(landed) - lesion).max() <= 1 + 1e-6


@settings(max_examples=60, deadline=None)
@given(first=placements, second=placements, third=placements, x=offsets, y=offsets)
def test_steps_compose_and_turn_back(first, second, third, x, y):
    one_by_one = third.apply(*second.apply(*first.apply(*point(x, y))))
    for composed in (first.then(second).then(third), first.then(second.then(third))):
        np.testing.assert_allclose(composed.apply(*point(x, y)), one_by_one, rtol=1e-9, atol=1e-6)
    returned = first.then(first.inverse()).apply(*point(x, y))
    np.testing.assert_allclose(returned, point(x, y), rtol=1e-6, atol=1e-6)
