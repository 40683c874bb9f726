import itertools
import math
from dataclasses import astuple
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import Fixations
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.measures.gaze.scanpath import (
    _alignment,
    dtw_distance,
    multimatch,
    predicted_scanpath,
    scanmatch,
    scanpath_similarity,
    untimed,
)

SHAPE = (60, 100)
DIAGONAL = math.hypot(*SHAPE)
seeds = st.integers(0, 10**6)
lengths = st.integers(3, 9)


def scanpath(seed, length=6):
    rng = np.random.default_rng([seed, length])
    x, y = rng.random((2, length)) * ((SHAPE[1],), (SHAPE[0],))
    durations = rng.uniform(100, 600, length)
    return Fixations(x, y, np.cumsum(durations), durations)


def of(points, durations=None):
    x, y = np.array(points, dtype=float).T
    durations = np.full(len(x), 200.0) if durations is None else np.array(durations, dtype=float)
    return Fixations(x, y, np.cumsum(durations), durations)


def moved(path, x=0.0, y=0.0, scale=1.0):
    return Fixations(scale * path.x + x, scale * path.y + y, path.onset_ms, path.duration_ms)


def warping_paths(rows, columns):
    """Every path from the first to the last entry of a matrix, right, down or both."""
    if (rows, columns) == (1, 1):
        return [[(0, 0)]]
    before = [(rows - 1, columns - 1), (rows - 1, columns), (rows, columns - 1)]
    here = (rows - 1, columns - 1)
    return [[*path, here] for r, c in before if r and c for path in warping_paths(r, c)]


def slow_multimatch(first, second):
    """Every alignment of the saccades, from the definition."""

    def saccades(p):
        return [complex(p.x[k + 1] - p.x[k], p.y[k + 1] - p.y[k]) for k in range(len(p) - 1)]

    u, v = saccades(first), saccades(second)
    pairs = min(warping_paths(len(u), len(v)), key=lambda path: sum(abs(u[i] - v[j]) for i, j in path))

    def angle(a, b):
        return math.acos(max(-1.0, min(1.0, (a * b.conjugate()).real / abs(a) / abs(b))))

    def start(i, j):
        return math.hypot(first.x[i] - second.x[j], first.y[i] - second.y[j])

    d, e = first.duration_ms, second.duration_ms
    return {
        "shape": 1 - np.median([abs(u[i] - v[j]) for i, j in pairs]) / (2 * DIAGONAL),
        "direction": 1 - np.median([angle(u[i], v[j]) for i, j in pairs]) / math.pi,
        "length": 1 - np.median([abs(abs(u[i]) - abs(v[j])) for i, j in pairs]) / DIAGONAL,
        "position": 1 - np.median([start(i, j) for i, j in pairs]) / DIAGONAL,
        "duration": 1 - np.median([abs(d[i] - e[j]) / max(d[i], e[j]) for i, j in pairs]),
    }


def slow_scanmatch(first, second, grid, reach, bin_ms):
    """Every alignment: which of the cells of one are matched, in order, with which of the other."""

    def string(p):
        cells = []
        for x, y, duration in zip(p.x, p.y, p.duration_ms, strict=True):
            cell = (int(x * grid[1] / SHAPE[1]), int(y * grid[0] / SHAPE[0]))
            cells += [cell] * max(1, round(duration / bin_ms))
        return cells

    a, b = string(first), string(second)
    best = 0.0
    for size in range(1, min(len(a), len(b)) + 1):
        for i, j in itertools.product(
            itertools.combinations(range(len(a)), size), itertools.combinations(range(len(b)), size)
        ):
            best = max(best, sum(reach - math.dist(a[k], b[m]) for k, m in zip(i, j, strict=True)))
    return best / (reach * max(len(a), len(b)))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(3, 6), st.integers(3, 6))
def test_multimatch_is_its_slow_definition(seed, n, m):
    first, second = scanpath(seed, n), scanpath(seed + 1, m)
    assert multimatch(first, second, SHAPE) == pytest.approx(slow_multimatch(first, second), abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(3, 20), st.integers(3, 20))
def test_multimatch_is_that_of_multimatch_gaze(seed, n, m):
    theirs = pytest.importorskip("multimatch_gaze")
    first, second = scanpath(seed, n), scanpath(seed + 1, m)
    vectors = [
        np.rec.fromarrays([p.x, p.y, p.duration_ms / 1000], names="start_x,start_y,duration")
        for p in (first, second)
    ]
    expected = theirs.docomparison(*vectors, screensize=[SHAPE[1], SHAPE[0]])
    assert list(multimatch(first, second, SHAPE).values()) == pytest.approx(np.ravel(expected), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 3), st.sampled_from([(8, 12), (2, 3)]))
def test_scanmatch_is_its_slow_definition(seed, n, m, grid):
    first, second = scanpath(seed, n), scanpath(seed + 1, m)
    options = {"grid": grid, "reach": 2.5, "bin_ms": 250.0}
    found = scanmatch(first, second, SHAPE, **options)
    assert found == pytest.approx(slow_scanmatch(first, second, **options), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 5))
def test_dtw_is_its_slow_definition(seed, n, m):
    first, second = scanpath(seed, n), scanpath(seed + 1, m)

    def distance(i, j):
        return math.hypot(first.x[i] - second.x[j], first.y[i] - second.y[j])

    best = min(sum(distance(i, j) for i, j in path) for path in warping_paths(n, m))
    assert dtw_distance(first, second, SHAPE) == pytest.approx(best / DIAGONAL / max(n, m), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seeds, lengths)
def test_a_scanpath_is_most_like_itself(seed, length):
    path = scanpath(seed, length)
    found = scanpath_similarity(path, path, SHAPE)
    assert found.pop("dtw_distance") == 0
    assert found == dict.fromkeys(found, 1.0) and len(found) == 6


@settings(max_examples=30, deadline=None)
@given(seeds, lengths, lengths)
def test_two_scanpaths_are_as_alike_either_way_round_and_within_bounds(seed, n, m):
    first, second = scanpath(seed, n), scanpath(seed + 1, m)
    found = scanpath_similarity(first, second, SHAPE)
    assert found == pytest.approx(scanpath_similarity(second, first, SHAPE), abs=1e-12)
    assert all(0 <= value <= 1 for value in found.values())


@settings(max_examples=30, deadline=None)
@given(seeds, lengths, lengths, st.floats(0.2, 5))
def test_the_size_of_the_image_does_not_count(seed, n, m, scale):
    first, second = scanpath(seed, n), scanpath(seed + 1, m)
    larger = (scale * SHAPE[0], scale * SHAPE[1])
    found = scanpath_similarity(moved(first, scale=scale), moved(second, scale=scale), larger)
    found.pop("scanmatch")  # a fixation at the border of a cell may fall to either side
    expected = scanpath_similarity(first, second, SHAPE)
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seeds, lengths, st.floats(0, 20), st.floats(0, 10))
def test_a_shift_changes_the_positions_alone(seed, length, x, y):
    path = moved(scanpath(seed, length), scale=0.5)
    found = multimatch(path, moved(path, x, y), SHAPE)
    assert found.pop("position") == pytest.approx(1 - math.hypot(x, y) / DIAGONAL)
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_the_opposite_way_has_the_opposite_direction_and_the_same_lengths():
    right, left = of([(10, 30), (40, 30), (70, 30)]), of([(70, 30), (40, 30), (10, 30)])
    found = multimatch(right, left, SHAPE)
    assert (found["direction"], found["length"]) == (0, 1)
    assert found["shape"] == pytest.approx(1 - 60 / (2 * DIAGONAL))


def test_twice_the_duration_halves_the_similarity_of_durations():
    points = [(10, 10), (50, 20), (90, 50)]
    found = multimatch(of(points, [100, 200, 300]), of(points, [200, 400, 600]), SHAPE)
    assert found["duration"] == 0.5
    assert multimatch(of(points, [0, 0, 0]), of(points, [0, 0, 0]), SHAPE)["duration"] == 1


def test_scanmatch_counts_time_and_order():
    here, there = (10, 30), (90, 30)
    quick, slow = of([here, there], [100, 100]), of([here, there], [100, 300])
    assert scanmatch(quick, slow, SHAPE) == pytest.approx(4 / 8)
    assert scanmatch(quick, of([there, here], [100, 100]), SHAPE) == pytest.approx(2 / 4)
    assert scanmatch(of([here]), of([there]), SHAPE) == 0


def test_one_fixation_held_long_is_near_its_parts_by_dtw():
    assert dtw_distance(of([(10, 30)]), of([(10, 30)] * 5), SHAPE) == 0
    assert dtw_distance(of([(10, 30)]), of([(10, 30), (40, 30)]), SHAPE) == pytest.approx(15 / DIAGONAL)


def test_fixations_outside_the_image_are_left_out():
    path = of([(10, 10), (50, 20), (90, 50)])
    strayed = of([(10, 10), (-1, 5), (50, 20), (100, 3), (np.nan, 1), (90, 50), (4, 60)])
    assert scanpath_similarity(path, strayed, SHAPE) == scanpath_similarity(path, path, SHAPE)


def test_what_a_pair_does_not_allow_is_absent():
    path, short = scanpath(1), scanpath(2, 2)
    assert list(scanpath_similarity(path, short, SHAPE)) == ["scanmatch", "dtw_distance"]
    assert scanpath_similarity(path, of([(-5, -5)]), SHAPE) == {}
    timeless = Fixations(path.x, path.y, np.full(6, np.nan), np.ones(6))
    found = scanpath_similarity(path, timeless, SHAPE)
    assert "multimatch_duration" not in found and found["multimatch_shape"] == 1
    assert scanmatch(timeless, timeless, SHAPE) == 1


def test_too_short_scanpaths_and_wrong_options_are_refused():
    path = scanpath(1)
    with pytest.raises(
        DataError, match="2 of 2 fixations lie inside the 60 × 100 image; expected at least 3"
    ):
        multimatch(path, scanpath(2, 2), SHAPE)
    with pytest.raises(DataError, match="0 of 1 fixations"):
        dtw_distance(path, of([(500, 1)]), SHAPE)
    for options in ({"reach": 0}, {"bin_ms": -1}, {"grid": (0, 3)}):
        with pytest.raises(ConfigurationError, match="scanmatch"):
            scanmatch(path, path, SHAPE, **options)


def test_a_second_recording_is_left_out() -> None:
    once = Fixations(*np.array([[1.0, 8, 4, 9], [2.0, 3, 9, 1], [0.0, 200, 500, 900], [150.0, 200, 300, 90]]))
    twice = Fixations(*(np.concatenate([column, column[:2] + 1]) for column in astuple(once)[:4]))
    other = Fixations(*np.array([[2.0, 6, 7], [1.0, 5, 8], [0.0, 300, 700], [250.0, 300, 100]]))
    assert scanpath_similarity(twice, other, (12, 12)) == scanpath_similarity(once, other, (12, 12))
    assert untimed(twice).x.tolist() == once.x.tolist()


def test_a_second_recording_is_told_by_fixations_beside_the_image() -> None:
    """It begins beside the image, and inside only later than the first one ended."""
    x, onsets = np.array([1.0, 8, 4, -5, 9]), np.array([0.0, 200, 500, 0, 900])
    looked_twice = Fixations(x, np.full(5, 3.0), onsets, np.full(5, 90.0))
    dataset = SimpleNamespace(
        size=(12, 12), readers=lambda *_: ("Ann",), fixations=lambda *_: (looked_twice,)
    )
    looked = LookedAt.of(dataset, [0], ["front"])
    found = looked.scanpaths[0, "front"]["Ann"]
    once = Fixations(x[:3], np.full(3, 3.0), onsets[:3], np.full(3, 90.0))
    assert scanpath_similarity(found, once, (12, 12))["scanmatch"] == 1
    assert (
        looked.points(0, "front")["Ann"][:, 0].tolist() == [1, 8, 4, 9] and looked.counts["front"].sum() == 4
    )


def test_of_equal_paths_the_one_that_steps_diagonally_from_the_end_is_taken():
    assert _alignment(np.zeros((3, 3))).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert _alignment(np.zeros((2, 4))).tolist() == [[0, 0], [0, 1], [0, 2], [1, 3]]


def test_predicted_places_are_shares_of_width_and_height():
    found = predicted_scanpath(np.array([[0.25, 0.5], [1.0, 0.1]]), (100, 200))
    assert (found.x.tolist(), found.y.tolist()) == ([50, 200], [50, 10])
    assert np.isnan(found.onset_ms).all() and found.duration_ms.tolist() == [1, 1]


def test_fixations_of_one_onset_are_of_one_recording_and_those_after_a_fall_of_another():
    x, y, lasting = np.array([10.0, 40, 70, 90]), np.array([10.0, 60, 20, 80]), np.full(4, 200.0)
    path, shape = Fixations(x, y, np.array([0.0, 300, 300, 600]), lasting), (100, 100)
    assert scanpath_similarity(path, path, shape)["scanmatch"] == 1
    assert scanpath_similarity(path, Fixations(x, y, np.arange(4) * 300.0, lasting), shape)["scanmatch"] == 1
    again = Fixations(*(np.r_[column, column[::-1]] for column in astuple(path)[:4]))
    assert scanpath_similarity(path, again, shape)["dtw_distance"] == 0
