import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.former_names import by_current_name, with_former_names
from gazekit.measures.gaze.agreement import (
    auc_judd,
    correlation,
    fixation_measures,
    heat_map_measures,
    kl_divergence,
    nss,
    shuffled_auc,
    similarity,
)
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.measures.gaze.information_gain import centre_bias

SHAPE = (9, 12)
MEASURES = [
    "correlation",
    "kl_divergence",
    "similarity",
    "nss",
    "auc_judd",
    "shuffled_auc",
    "information_gain",
]


def case(seed, digits=8):
    rng = np.random.default_rng(seed)
    attention = np.round(rng.normal(size=(3, 4)), digits)
    attention[0, 0] = 5.0  # never constant
    gaze = rng.random(SHAPE) ** 3
    fixations, others = (rng.random((count, 2)) * (SHAPE[1], SHAPE[0]) for count in (6, 15))
    return attention, gaze / gaze.max(), fixations, others


def slow(attention, gaze, fixations, others):
    """Every measure pixel by pixel, from its definition."""
    values = resize_bilinear(attention, SHAPE)
    cells = [(r, c) for r in range(SHAPE[0]) for c in range(SHAPE[1])]
    mean = sum(values[i] for i in cells) / len(cells)
    sd = math.sqrt(sum((values[i] - mean) ** 2 for i in cells) / len(cells))
    at = [(int(y), int(x)) for x, y in fixations]

    def distribution(m):
        scaled = {i: (m[i] - m.min()) / (m.max() - m.min()) for i in cells}
        return {i: v / sum(scaled.values()) for i, v in scaled.items()}

    p, q = distribution(values), distribution(gaze)
    eps = 2.220446049250313e-16

    elsewhere = [values[i] for i in cells if i not in at]
    here = [values[i] for i in set(at)]
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(here), reverse=True):
        curve.append(
            (
                sum(v >= threshold for v in elsewhere) / len(elsewhere),
                sum(v >= threshold for v in here) / len(here),
            )
        )
    curve.append((1.0, 1.0))
    judd = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve))

    pairs = [(values[i], values[int(y), int(x)]) for i in at for x, y in others]
    bias = centre_bias(fixation_counts(others, SHAPE))  # test_information_gain.py has its definition
    return {
        "correlation": np.corrcoef(values.ravel(), gaze.ravel())[0, 1],
        "kl_divergence": sum(q[i] * math.log(eps + q[i] / (eps + p[i])) for i in cells),
        "similarity": sum(min(p[i], q[i]) for i in cells),
        "nss": sum((values[i] - mean) / sd for i in at) / len(at),
        "auc_judd": judd,
        "shuffled_auc": sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs),
        "information_gain": sum(math.log2(0.9 * p[i] + 0.1 / len(cells)) - math.log2(bias[i]) for i in at)
        / len(at),
    }


def agreement(attention, gaze, fixations, others):
    measures = fixation_measures(gaze.shape, fixation_counts(others, gaze.shape))
    compared = {name: measure(attention, fixations) for name, measure in measures.items()}
    return heat_map_measures(attention, gaze) | compared


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 8]))
def test_measures_are_their_slow_definitions(seed, digits):
    data = case(seed, digits)
    assert agreement(*data) == pytest.approx(slow(*data), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-10, 10))
def test_scale_and_offset_of_attention_are_not_judged(seed, scale, offset):
    attention, *rest = case(seed)
    before, after = agreement(attention, *rest), agreement(scale * attention + offset, *rest)
    assert after == pytest.approx(before, abs=1e-6)


def test_attention_that_is_the_gaze_is_perfect():
    _, gaze, _, _ = case(0)
    found = heat_map_measures(gaze, gaze)
    assert found == pytest.approx({"correlation": 1.0, "kl_divergence": 0.0, "similarity": 1.0}, abs=1e-9)
    assert correlation(-gaze, gaze) == pytest.approx(-1)


@pytest.mark.parametrize("value", [0.0, -2.5, 1 / 3])
def test_a_constant_map_scores_chance(value):
    _, gaze, fixations, others = case(1)
    found = agreement(np.full((3, 4), value), gaze, fixations, others)
    q = (gaze - gaze.min()) / (gaze - gaze.min()).sum()
    uniform = 1 / gaze.size
    kl = sum(v * math.log(v / uniform) for v in q.ravel() if v > 0)
    bias = centre_bias(fixation_counts(others, SHAPE))
    bits = np.mean([math.log2(uniform / bias[int(y), int(x)]) for x, y in fixations])
    expected = [0.0, kl, np.minimum(q, uniform).sum(), 0.0, 0.5, 0.5, bits]
    assert found == pytest.approx(dict(zip(MEASURES, expected, strict=True)), abs=1e-9)


def test_peak_at_the_only_fixation_scores_as_high_as_can_be():
    attention = np.zeros((4, 5))
    attention[2, 3] = 1.0
    on_peak, off_peak = np.array([[3.5, 2.5]]), np.array([[0.5, 0.5]])
    assert auc_judd(attention, on_peak, (4, 5)) == pytest.approx(1.0)
    assert shuffled_auc(attention, on_peak, fixation_counts(off_peak, (4, 5))) == 1.0
    assert shuffled_auc(attention, off_peak, fixation_counts(on_peak, (4, 5))) == 0.0
    assert nss(attention, on_peak, (4, 5)) == pytest.approx(math.sqrt(19))  # (1 - 1/20) / sd


def test_x_is_the_column_and_pixel_i_reaches_from_i_to_i_plus_one():
    attention = np.arange(20.0).reshape(4, 5)
    z = (attention - attention.mean()) / attention.std()
    for x, y in [(4.0, 0.0), (4.999, 0.999), (0.2, 3.9)]:
        assert nss(attention, np.array([[x, y]]), (4, 5)) == pytest.approx(z[int(y), int(x)])


def test_fixations_outside_or_lost_are_left_out():
    attention, _, fixations, _ = case(2)
    extra = np.array([[-0.1, 2], [12.0, 2], [3, 9.0], [np.nan, 1]])
    both = np.concatenate([extra, fixations])
    assert nss(attention, both, SHAPE) == pytest.approx(nss(attention, fixations, SHAPE))
    with pytest.raises(DataError, match="none of 4 fixations lies inside the 9 × 12 grid"):
        nss(attention, extra, SHAPE)


def test_a_centre_bias_scores_above_chance_by_judd_and_at_chance_when_shuffled():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40]
    centre = np.exp(-((x - 19.5) ** 2 + (y - 19.5) ** 2) / 200)
    here, others = (rng.normal(20, 6, size=(n, 2)) for n in (400, 400))
    assert auc_judd(centre, here, (40, 40)) > 0.75
    assert shuffled_auc(centre, here, fixation_counts(others, (40, 40))) == pytest.approx(0.5, abs=0.05)


def test_without_fixations_of_other_images_there_is_no_centre_bias_to_compare_with():
    assert list(fixation_measures(SHAPE)) == MEASURES[3:5]


@pytest.mark.parametrize("gaze", [np.zeros((4, 4)), -np.ones((4, 4)), np.full((4, 4), np.nan)])
@pytest.mark.parametrize("measure", [correlation, kl_divergence, similarity])
def test_a_heat_map_without_gaze_is_refused(measure, gaze):
    with pytest.raises(DataError, match="leave out views without gaze"):
        measure(np.eye(4), gaze)


def test_judd_needs_a_pixel_that_was_not_fixated():
    with pytest.raises(DataError, match="every pixel of the 1 × 1 grid is fixated"):
        auc_judd(np.ones((2, 2)), np.array([[0.5, 0.5]]), (1, 1))


def test_the_former_name_is_written_beside_the_new_one_and_read_as_it():
    measures = {"nss": 1.0, "correlation": 0.5}
    written = with_former_names(measures)
    assert list(written.items()) == [("nss", 1.0), ("correlation", 0.5), ("cc", 0.5)]
    assert by_current_name(written) == measures == by_current_name({"nss": 1.0, "cc": 0.5})


@pytest.mark.parametrize("fixations", [1, 3, 10])
def test_guessing_scores_more_by_judd_the_fewer_pixels_are_fixated(fixations):
    random = np.random.default_rng(fixations)
    shape, scores = (30, 30), []
    for _ in range(600):
        places = random.choice(900, fixations, replace=False)
        points = np.stack([places % 30 + 0.5, places // 30 + 0.5], axis=1)
        scores.append(auc_judd(random.random(shape), points, shape))
    expected = 0.5 + 1 / (2 * (fixations + 1))
    assert np.mean(scores) == pytest.approx(expected, abs=4 * np.std(scores) / 600**0.5)
