"""Gaze heat maps against the sum written out, an independent filter, and closed forms."""

from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import FixationSettings
from gazekit.gaze.heat_map import heat_map, sigma_pixels
from gazekit.records.recording import Recording

points = st.lists(
    st.tuples(st.floats(-4, 20), st.floats(-4, 16), st.floats(0.1, 500)), min_size=1, max_size=8
)


def columns(rows):
    return tuple(np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))


@settings(max_examples=40, deadline=None)
@given(rows=points, sigma=st.floats(2.0, 6.0))
def test_it_equals_the_sum_written_out(rows, sigma):
    expected = np.zeros((12, 17))
    for i in range(12):
        for j in range(17):
            for x, y, weight in rows:
                expected[i, j] += weight * exp(-((j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2) / (2 * sigma**2))
    x, y, weight = columns(rows)
    found = heat_map(x, y, weight, shape=(12, 17), sigma=sigma)
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-5, atol=1e-7)


def test_many_points_are_summed_like_few():
    """More points than go into one matrix product: every point thrice is the same map."""
    random = np.random.default_rng(0)
    x, y, weight = random.uniform(0, 30, 3000), random.uniform(0, 20, 3000), random.uniform(1, 9, 3000)
    once = heat_map(x, y, weight, shape=(20, 30), sigma=2.0)
    thrice = heat_map(*(np.tile(part, 3) for part in (x, y, weight)), shape=(20, 30), sigma=2.0)
    np.testing.assert_allclose(thrice, once, atol=1e-6)


def test_it_equals_scipys_filter_of_points_at_pixel_centres():
    canvas = np.zeros((60, 80))
    canvas[20, 30], canvas[35, 50] = 300, 120
    filtered = gaussian_filter(canvas, 4.0, mode="constant", truncate=12)
    found = heat_map(
        np.array([30.5, 50.5]), np.array([20.5, 35.5]), np.array([300.0, 120.0]), shape=(60, 80), sigma=4.0
    )
    np.testing.assert_allclose(found, filtered / filtered.max(), atol=1e-6)


def test_one_fixation_is_one_gaussian_of_the_given_width():
    found = heat_map(np.array([10.5]), np.array([7.5]), np.array([250.0]), shape=(15, 21), sigma=3.0)
    assert found.dtype == np.float32
    assert found[7, 10] == 1
    assert found[7, 13] == found[10, 10] == pytest.approx(exp(-0.5))
    assert found[7, 16] == pytest.approx(exp(-2))


def test_weights_are_ratios_of_durations():
    """Far apart, two fixations of 100 and 400 ms have peaks of a quarter and one."""
    found = heat_map(
        np.array([20.5, 80.5]), np.array([20.5, 20.5]), np.array([100.0, 400.0]), shape=(40, 100), sigma=3.0
    )
    assert found[20, 20] == pytest.approx(0.25)
    assert found[20, 80] == 1


@settings(max_examples=30, deadline=None)
@given(rows=points, factor=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_order_and_unit_of_the_weights_do_not_matter(rows, factor, seed):
    x, y, weight = columns(rows)
    order = np.random.default_rng(seed).permutation(len(x))
    found = heat_map(x, y, weight, shape=(12, 16), sigma=2.0)
    again = heat_map(x[order], y[order], factor * weight[order], shape=(12, 16), sigma=2.0)
    np.testing.assert_allclose(again, found, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(rows=points)
def test_a_mirrored_image_has_the_mirrored_map(rows):
    x, y, weight = columns(rows)
    found = heat_map(x, y, weight, shape=(12, 16), sigma=2.0)
    mirrored = heat_map(16 - x, y, weight, shape=(12, 16), sigma=2.0)
    np.testing.assert_allclose(mirrored, found[:, ::-1], atol=1e-6)


def test_a_point_beside_the_map_contributes_its_tail():
    found = heat_map(np.array([-4.0]), np.array([5.5]), np.array([1.0]), shape=(11, 20), sigma=2.0)
    assert np.unravel_index(found.argmax(), found.shape) == (5, 0)
    ratio = exp(-(5.5**2) / 8) / exp(-(4.5**2) / 8)
    assert found[5, 1] == pytest.approx(ratio)


@pytest.mark.parametrize(("x", "weight"), [([], []), ([-6.1, 26.2], [1.0, 1.0]), ([5.0, -7.0], [0.0, 1.0])])
def test_nothing_within_reach_is_an_error(x, weight):
    """On 20 pixels with sigma 2 a point counts from -6 to 26, if it has a weight."""
    with pytest.raises(DataError, match=f"20 x 11 pixels: none of the {len(x)} fixations"):
        heat_map(np.array(x), np.full(len(x), 5.5), np.array(weight), shape=(11, 20), sigma=2.0)
    inside = heat_map(np.array([-5.9]), np.array([5.5]), np.array([1.0]), shape=(11, 20), sigma=2.0)
    assert inside.max() == 1


def test_fixations_that_last_no_time_are_said_to_and_not_to_lie_elsewhere():
    inside, no_time = np.array([5.0, 6.0]), np.zeros(2)
    with pytest.raises(DataError, match="all 2 fixations last 0 ms"):
        heat_map(inside, inside, no_time, shape=(11, 20), sigma=2.0)


def test_reach_is_counted_in_the_sigma_of_its_axis():
    """With sigma 4 across and 1 down, 10 px beside the map are 2.5 sigma and 10 px above it are ten."""
    one, sigma = np.array([1.0]), (4.0, 1.0)
    assert heat_map(np.array([-10.0]), np.array([5.5]), one, shape=(11, 20), sigma=sigma).max() == 1
    with pytest.raises(DataError, match="none of the 1 fixations"):
        heat_map(np.array([5.5]), np.array([-10.0]), one, shape=(11, 20), sigma=sigma)


def test_a_sigma_that_misses_every_pixel_is_refused():
    with pytest.raises(ConfigurationError, match=r"at least 0\.05"):
        heat_map(np.array([1.0]), np.array([1.0]), np.array([1.0]), shape=(4, 4), sigma=0.01)
    narrow = heat_map(np.array([1.0]), np.array([1.0]), np.array([1.0]), shape=(4, 4), sigma=0.05)
    assert np.isfinite(narrow).all()


def test_sigma_is_a_degree_where_the_geometry_is_known_else_a_fraction_of_the_height():
    unknown = Recording(Path("gaze.csv"), np.zeros(1), np.zeros(1))
    chosen = FixationSettings()
    assert sigma_pixels(unknown, 800, 600, chosen) == pytest.approx((30, 30))
    double = replace(chosen, sigma_degrees=2)
    assert sigma_pixels(unknown, 4084, 600, double) == pytest.approx([2 * 4084 * 30 / 800] * 2)
    known = replace(unknown, pixels_per_degree=45.0)
    assert sigma_pixels(known, 800, 600, chosen) == (45, 45)
    assert sigma_pixels(replace(known, display_height=400.0), 800, 600, chosen) == (90, 90)


def test_sigma_across_follows_an_image_that_was_shown_stretched():
    """An image of 1000 x 500 px on 1920 x 1080 at 40 px a degree: 40 · 1000/1920 across, 40 · 500/1080 down."""
    shown = Recording(Path("a.asc"), np.zeros(1), np.zeros(1), pixels_per_degree=40.0)
    shown = shown.where_shown(0, 0, 1920, 1080)
    across, down = sigma_pixels(shown, 500, 1000, FixationSettings())
    assert (across, down) == pytest.approx((40 * 1000 / 1920, 40 * 500 / 1080))
    assert shown.in_image_pixels(500, 1000).stretch == pytest.approx(2 * 1080 / 1920)
    assert shown.in_image_pixels(540, 960).stretch == 1
    heat = heat_map(np.array([50.5]), np.array([40.5]), np.ones(1), shape=(80, 100), sigma=(20.0, 10.0))
    assert heat[40, 70] == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert heat[50, 50] == pytest.approx(np.exp(-0.5), rel=1e-5)


def test_every_point_may_have_a_width_of_its_own() -> None:
    x, y, weight = np.array([3.0, 9.0]), np.array([4.0, 8.0]), np.array([1.0, 2.0])
    wide, narrow = (
        heat_map(x[[i]], y[[i]], weight[[i]], shape=(12, 12), sigma=s) for i, s in enumerate((2.0, 0.7))
    )
    rows, columns = np.indices((12, 12)) + 0.5
    peaks = [
        weight[i] * np.exp(-((columns - x[i]) ** 2 + (rows - y[i]) ** 2) / (2 * s**2)).max()
        for i, s in enumerate((2.0, 0.7))
    ]
    both = heat_map(x, y, weight, shape=(12, 12), sigma=(np.array([2.0, 0.7]), np.array([2.0, 0.7])))
    expected = peaks[0] * wide + peaks[1] * narrow
    np.testing.assert_allclose(both, expected / expected.max(), atol=1e-6)
