import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.measures.gaze.information_gain import centre_bias, information_gain, map_density

SHAPE = (9, 12)


def case(seed):
    rng = np.random.default_rng(seed)
    fixations, others = (rng.random((count, 2)) * (SHAPE[1], SHAPE[0]) for count in (6, 15))
    return rng.normal(size=(3, 4)), fixations, others


def slow_density(attention, uniform):
    values = resize_bilinear(attention, SHAPE)
    low, high = values.min(), values.max()
    total = sum((v - low) / (high - low) for v in values.ravel())
    return {
        (r, c): (1 - uniform) * (values[r, c] - low) / (high - low) / total + uniform / values.size
        for r in range(SHAPE[0])
        for c in range(SHAPE[1])
    }


def slow_bias(others, uniform):
    """A Gaussian at the middle of the pixel of each fixation, by Scott's rule as wide as n to the -1/6 says."""
    pixels = [(int(y), int(x)) for x, y in others]
    sigma = [max(1.0, len(pixels) ** (-1 / 6) * float(np.std([p[axis] for p in pixels]))) for axis in (0, 1)]
    kernel = {
        (r, c): sum(
            math.exp(-(((r - y) / sigma[0]) ** 2) / 2 - ((c - x) / sigma[1]) ** 2 / 2) for y, x in pixels
        )
        for r in range(SHAPE[0])
        for c in range(SHAPE[1])
    }
    total = sum(kernel.values())
    return {i: (1 - uniform) * value / total + uniform / len(kernel) for i, value in kernel.items()}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.001, 1))
def test_bits_are_their_slow_definition(seed, uniform):
    attention, fixations, others = case(seed)
    p, b = slow_density(attention, uniform), slow_bias(others, 0.01)
    expected = sum(math.log2(p[int(y), int(x)] / b[int(y), int(x)]) for x, y in fixations) / len(fixations)
    baseline = centre_bias(fixation_counts(others, SHAPE))
    assert information_gain(attention, fixations, baseline, uniform=uniform) == pytest.approx(
        expected, abs=1e-9
    )


def test_bits_are_those_of_pysaliency():
    """Its 0.2.22 found these, with our densities as its models."""
    height, width = 24, 30
    y, x = np.mgrid[:6, :5]
    maps = [(y * (i + 2) + 3 * x) % 7 for i in range(4)]
    k = np.arange(8)
    fixations = [
        np.stack([5 * k * (i + 1) % width + 0.5, (7 * k + i) % height + 0.5], axis=1) for i in range(4)
    ]
    counts = [fixation_counts(each, (height, width)) for each in fixations]
    found = [information_gain(maps[i], fixations[i], centre_bias(sum(counts) - counts[i])) for i in range(4)]
    assert found == pytest.approx(PYSALIENCY, abs=1e-12)


PYSALIENCY = [-0.941247909731584, -0.6046050431278867, -0.3205368024378541, -0.8928414622092588]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-10, 10))
def test_scale_and_offset_of_the_map_are_not_judged(seed, scale, offset):
    attention, fixations, others = case(seed)
    baseline = centre_bias(fixation_counts(others, SHAPE))
    before = information_gain(attention, fixations, baseline)
    assert information_gain(scale * attention + offset, fixations, baseline) == pytest.approx(
        before, abs=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_both_densities_sum_to_one_and_are_never_zero(seed):
    attention, _, others = case(seed)
    for density in (map_density(attention, SHAPE), centre_bias(fixation_counts(others, SHAPE))):
        assert density.sum() == pytest.approx(1)
        assert density.min() > 0


def test_knowing_the_quarter_is_worth_two_bits_over_knowing_nothing():
    quarter = np.zeros((8, 8))
    quarter[:4, :4] = 1
    uniform = np.full((8, 8), 1 / 64)
    inside, outside = np.array([[1.5, 2.5], [3.2, 0.1]]), np.array([[6.5, 6.5]])
    assert information_gain(quarter, inside, uniform, uniform=1e-9) == pytest.approx(2)
    assert information_gain(quarter, outside, uniform, uniform=0.1) == pytest.approx(math.log2(0.1))


def test_a_map_gains_nothing_over_itself_and_a_constant_map_is_uniform():
    attention, fixations, others = case(1)
    assert information_gain(attention, fixations, map_density(attention, SHAPE)) == pytest.approx(
        0, abs=1e-12
    )
    baseline = centre_bias(fixation_counts(others, SHAPE))
    at = baseline[fixations[:, 1].astype(int), fixations[:, 0].astype(int)]
    expected = np.mean(np.log2(1 / 108 / at))
    assert information_gain(np.full((3, 4), -2.0), fixations, baseline) == pytest.approx(expected)


def test_each_fixation_counts_also_where_two_share_a_pixel():
    attention, fixations, others = case(2)
    baseline = centre_bias(fixation_counts(others, SHAPE))
    single = [information_gain(attention, each[None], baseline) for each in fixations[:2]]
    both = np.concatenate([fixations[:2], fixations[:1]])
    expected = (2 * single[0] + single[1]) / 3
    assert information_gain(attention, both, baseline) == pytest.approx(expected)


def test_the_centre_bias_finds_the_density_that_fixations_were_drawn_from():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :60] + 0.5
    truth = np.exp(-(((x - 30) / 9) ** 2) / 2 - (((y - 20) / 6) ** 2) / 2)
    truth /= truth.sum()
    drawn, tested = (rng.normal((30, 20), (9, 6), size=(2000, 2)) for _ in range(2))
    found = centre_bias(fixation_counts(drawn, (40, 60)))
    assert information_gain(found, tested, truth, uniform=1e-6) == pytest.approx(0, abs=0.1)


def test_a_very_narrow_centre_bias_is_the_share_of_fixations_on_each_pixel():
    counts = fixation_counts(case(4)[2], SHAPE)
    expected = 0.8 * counts / counts.sum() + 0.2 / counts.size
    assert centre_bias(counts, sigma=(0.1, 0.1), uniform=0.2) == pytest.approx(expected)


def test_wrong_options_and_a_lack_of_fixations_are_refused():
    attention, fixations, others = case(3)
    counts = fixation_counts(others, SHAPE)
    with pytest.raises(DataError, match="no fixation of another image"):
        centre_bias(np.zeros(SHAPE, dtype=np.int64))
    with pytest.raises(ConfigurationError, match="sigma is 0, 1 pixels"):
        centre_bias(counts, sigma=(0, 1))
    with pytest.raises(ConfigurationError, match="uniform is 0; expected a share"):
        information_gain(attention, fixations, centre_bias(counts), uniform=0)
    with pytest.raises(DataError, match="none of 6 fixations lies inside"):
        information_gain(attention, fixations + 100, centre_bias(counts))
