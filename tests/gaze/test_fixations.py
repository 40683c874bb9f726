"""Fixation detection against definitions and closed forms."""

import runpy
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.blinks import beside_blinks, sampling_period
from gazekit.gaze.fixation_detection import (
    DispersionLimits,
    VelocityLimits,
    dispersion_runs,
    velocity_runs,
)
from gazekit.gaze.fixations import Fixations, FixationSettings, fixations_of
from gazekit.records.recording import Recording

SIMULATED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_gaze.py"))
HEIGHT = 800.0  # one degree is then 30 pixels
PERIOD = 1000 / 60
METHODS = ("ivt", "idt")

Runs = list[tuple[int, int]]


def recording(x, y, t_ms=None, **more) -> Recording:
    t_ms = None if t_ms is None else np.asarray(t_ms, float)
    return Recording(Path("gaze.csv"), np.asarray(x, float), np.asarray(y, float), t_ms, **more)


def scanpath(places, samples) -> Recording:
    """60 Hz; ``samples[k]`` samples at ``places[k]``, the eye jumping in between within one sample."""
    x, y = (np.repeat([place[axis] for place in places], samples) for axis in (0, 1))
    return recording(x, y, np.arange(len(x)) * PERIOD)


def slow_ivt(x, y, t, limits) -> Runs:
    """Salvucci & Goldberg's I-VT, sample by sample, on integers (no rounding); window and merging Olsen's."""
    gap, period, window = limits.maximum_gap_ms, limits.period_ms, limits.window_ms

    def whole(i, j):
        return all(t[k + 1] - t[k] - period <= gap for k in range(i, j))

    groups, group = [], [0]
    for i in range(1, len(x) + 1):
        if i < len(x):
            middle = (t[i - 1] + t[i]) / 2
            near = [j for j in range(len(x)) if abs(t[j] - middle) <= window / 2 or j in (i - 1, i)]
            near = [j for j in near if whole(min(j, i), max(j, i))] if whole(i - 1, i) else [i - 1, i]
            a, b = near[0], near[-1]
            if b - a == 1 and whole(a, b):
                wide = [
                    j for j in (i - 2, i - 1, i, i + 1) if 0 <= j < len(x) and whole(min(j, i), max(j, i))
                ]
                if len(wide) == 4 and t[wide[-1]] - t[wide[0]] <= 2 * window:
                    a, b = wide[0], wide[-1]
            moved = ((x[b] - x[a]) ** 2 + (y[b] - y[a]) ** 2) ** 0.5
            if moved * 1000 <= limits.threshold * (t[b] - t[a]) and whole(i - 1, i):
                group.append(i)
                continue
        groups.append(group)
        group = [i]
    if merge := limits.merge_distance:
        groups = slow_merge([group for group in groups if len(group) > 1], x, y, t, merge, gap + period)
    lasting = [group for group in groups if t[group[-1]] - t[group[0]] + period >= limits.minimum_ms]
    return [(group[0], group[-1] + 1) for group in lasting]


def slow_merge(groups, x, y, t, distance, interval):
    def centre(group, axis):
        return sum(axis[i] for i in group) / len(group)

    merged = []
    for group in groups:
        if merged:
            last = merged[-1]
            apart = (centre(last, x) - centre(group, x)) ** 2 + (centre(last, y) - centre(group, y)) ** 2
            if apart <= distance**2 and t[group[0]] - t[last[-1]] <= interval:
                merged[-1] = list(range(last[0], group[-1] + 1))
                continue
        merged.append(group)
    return merged


def slow_idt(x, y, t, limits) -> Runs:
    """Salvucci & Goldberg's I-DT with lists that shrink, as their pseudocode has it."""
    gap, period = limits.maximum_gap_ms, limits.period_ms

    def dispersion(window):
        xs, ys = [x[i] for i in window], [y[i] for i in window]
        return max(xs) - min(xs) + max(ys) - min(ys)

    def whole(window):
        return all(t[j] - t[i] - period <= gap for i, j in pairwise(window))

    def together(window):
        return whole(window) and dispersion(window) <= limits.threshold

    points, found = list(range(len(x))), []
    while points:
        lasting = [t[point] - t[points[0]] + period >= limits.minimum_ms for point in points]
        size = lasting.index(True) + 1 if any(lasting) else len(points) + 1
        if size > len(points) or not together(points[:size]):
            points.pop(0)
            continue
        while size < len(points) and together(points[: size + 1]):
            size += 1
        found.append((points[0], points[size - 1] + 1))
        points = points[size:]
    return found


steps = st.sampled_from([-40, -4, -2, -1, 0, 0, 0, 1, 2, 4, 40])
intervals = st.sampled_from([10, 10, 10, 10, 20, 50, 90])
walks = st.lists(st.tuples(steps, steps, intervals), min_size=1, max_size=60)
oracle_settings = st.tuples(
    st.integers(1, 20), st.sampled_from([0, 10, 25, 40, 100]), st.sampled_from([0, 10, 40, 80])
)


@pytest.mark.parametrize(
    ("method", "window", "merge"),
    [
        ("ivt", 0, 0),
        ("ivt", 0, 2.3),
        ("ivt", 0, 20.7),
        ("ivt", 60, 0),
        ("ivt", 30, 20.7),
        ("ivt", 18, 2.3),
        ("idt", 0, 0),
    ],
    ids=str,
)
@hypothesis_settings(max_examples=100, deadline=None)
@given(walk=walks, chosen=oracle_settings)
def test_runs_equal_the_slow_definition(method, window, merge, walk, chosen):
    x, y, t = (np.cumsum(part).astype(float) for part in zip(*walk, strict=True))
    threshold, minimum, gap = chosen
    times = {"minimum_ms": minimum, "maximum_gap_ms": gap, "period_ms": 10}
    if method == "idt":
        limits = DispersionLimits(threshold=threshold, **times)
        runs, expected = dispersion_runs(x, y, t, limits), slow_idt(x, y, t, limits)
    else:
        limits = VelocityLimits(threshold=100 * threshold, window_ms=window, merge_distance=merge, **times)
        runs, expected = velocity_runs(x, y, t, limits), slow_ivt(x, y, t, limits)
    assert [tuple(run) for run in runs.tolist()] == expected


def test_no_window_of_velocity_crosses_a_gap_though_it_is_wider():
    """At 250 Hz five samples are lost, while the eye moves to another place."""
    t, x = 4.0 * np.r_[np.arange(20), np.arange(25, 45)], np.repeat([0.0, 500.0], 20)
    limits = VelocityLimits(
        threshold=100, window_ms=100, merge_distance=0, minimum_ms=0, maximum_gap_ms=8, period_ms=4
    )
    for places in (x, x[::-1]):
        assert velocity_runs(places, np.zeros(40), t, limits).tolist() == [[0, 20], [20, 40]]


def test_fixations_exactly_as_far_apart_as_may_be_are_merged():
    t, x = 10.0 * np.arange(20), np.repeat([0.0, 5.0], 10)
    limits = VelocityLimits(
        threshold=100, window_ms=0, merge_distance=5, minimum_ms=0, maximum_gap_ms=75, period_ms=10
    )
    assert velocity_runs(x, np.zeros(20), t, limits).tolist() == [[0, 20]]
    assert len(velocity_runs(1.01 * x, np.zeros(20), t, limits)) == 2


def test_long_recordings_without_gaps_take_time_in_proportion():
    """I-DT on four minutes at 2 kHz: going through all that follows, for every fixation, would take 10 s and more."""
    places = np.random.default_rng(0).uniform(0, 800, (1000, 2))
    x, y = np.repeat(places, 500, axis=0).T
    before = process_time()
    limits = DispersionLimits(threshold=1, minimum_ms=100, maximum_gap_ms=75, period_ms=0.5)
    runs = dispersion_runs(x, y, np.arange(len(x)) / 2, limits)
    assert runs.tolist() == [[500 * k, 500 * (k + 1)] for k in range(1000)]
    assert process_time() - before < 2


def test_merging_many_short_fixations_takes_time_in_proportion():
    """I-VT on jitter: each of 50,000 runs is merged with all before it, whose mean must not be taken anew each time."""
    x = np.repeat(np.tile([0.0, 10.0], 25_000), 2)
    before = process_time()
    limits = VelocityLimits(
        threshold=100, window_ms=0, merge_distance=20, minimum_ms=100, maximum_gap_ms=75, period_ms=10
    )
    runs = velocity_runs(x, np.zeros_like(x), np.arange(len(x)) * 10.0, limits)
    assert runs.tolist() == [[0, len(x)]]
    assert process_time() - before < 3


@pytest.mark.parametrize("method", METHODS)
def test_known_fixations_are_found_exactly(method):
    """12, 4, 30 and 6 samples at 60 Hz: 200, 67 (too short), 500 and 100 ms (just long enough)."""
    path = scanpath([(100, 200), (300, 200), (500, 640), (40, 40)], [12, 4, 30, 6])
    found = fixations_of(path, image_height=HEIGHT, settings=FixationSettings(method=method))
    np.testing.assert_allclose(found.x, [100, 500, 40])
    np.testing.assert_allclose(found.y, [200, 640, 40])
    np.testing.assert_allclose(found.onset_ms, [0, 16 * PERIOD, 46 * PERIOD])
    np.testing.assert_allclose(found.duration_ms, [200, 500, 100])


def test_a_window_whose_dispersion_is_the_threshold_itself_is_a_fixation():
    x, y = np.array([0.0, 8.0, 0.0, 8.0, 40.0]), np.array([0.0, 0.0, 2.0, 2.0, 40.0])
    limits = DispersionLimits(threshold=10.0, minimum_ms=16.0, maximum_gap_ms=75.0, period_ms=4.0)
    assert dispersion_runs(x, y, 4.0 * np.arange(5), limits).tolist() == [[0, 4]]
    assert dispersion_runs(x, y, 4.0 * np.arange(5), replace(limits, threshold=9.9)).tolist() == []


def test_slow_drift_is_one_fixation_by_velocity_and_several_by_dispersion():
    """20 degrees per second for 500 ms covers 10 degrees."""
    t = np.arange(30) * PERIOD
    drift = recording(100 + 20 * 30 * t / 1000, np.full(30, 400.0), t)
    by_velocity = fixations_of(drift, image_height=HEIGHT, settings=FixationSettings(method="ivt"))
    by_dispersion = fixations_of(
        drift, image_height=HEIGHT, settings=FixationSettings(method="idt", dispersion=2.5)
    )
    np.testing.assert_allclose(by_velocity.x, [drift.x.mean()])
    assert len(by_dispersion) >= 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("lost", "fixations"), [(4, 1), (5, 2)])
def test_gaps_are_bridged_up_to_the_maximum(method, lost, fixations):
    """4 lost samples at 60 Hz are 67 ms, 5 are 83 ms; the maximum is 75 ms."""
    path = scanpath([(100, 100)], [30])
    path.x[10 : 10 + lost] = np.nan
    found = fixations_of(path, image_height=HEIGHT, settings=FixationSettings(method=method))
    assert len(found) == fixations
    total = 30 if fixations == 1 else 30 - lost
    assert found.duration_ms.sum() == pytest.approx(total * PERIOD)


@pytest.mark.parametrize("method", METHODS)
def test_rows_left_out_by_the_tracker_are_a_gap_like_lost_rows(method):
    path = scanpath([(100, 100)], [30])
    keep = np.r_[0:10, 18:30]
    missing = recording(path.x[keep], path.y[keep], path.t_ms[keep])
    found = fixations_of(missing, image_height=HEIGHT, settings=FixationSettings(method=method))
    np.testing.assert_allclose(found.duration_ms, [10 * PERIOD, 12 * PERIOD])


@pytest.mark.parametrize("method", METHODS)
@hypothesis_settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.25, 2.0, 8.0]))
def test_detection_does_not_depend_on_the_pixel_size(method, seed, scale):
    """The same gaze on an image of twice the pixels, one degree being 30/800 of its height."""
    random = np.random.default_rng(seed)
    places = np.repeat(random.integers(200, 600, (5, 2)), 12, axis=0) + random.normal(0, 3, (60, 2))
    t, chosen = np.arange(60) * PERIOD, FixationSettings(method=method, minimum_duration_ms=0)
    small = fixations_of(recording(*places.T, t), image_height=HEIGHT, settings=chosen)
    large = fixations_of(recording(*(scale * places.T), t), image_height=scale * HEIGHT, settings=chosen)
    np.testing.assert_allclose(large.x, scale * small.x)
    np.testing.assert_array_equal(large.onset_ms, small.onset_ms)


@hypothesis_settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_velocity_fixations_are_the_same_backwards_in_time(seed):
    random = np.random.default_rng(seed)
    places = np.repeat(random.integers(200, 600, (5, 2)), 12, axis=0) + random.normal(0, 4, (60, 2))
    t, chosen = np.arange(60) * PERIOD, FixationSettings(minimum_duration_ms=40, merge_degrees=0)
    forward = fixations_of(recording(*places.T, t), image_height=HEIGHT, settings=chosen)
    backward = fixations_of(recording(*places[::-1].T, t), image_height=HEIGHT, settings=chosen)
    np.testing.assert_allclose(backward.x[::-1], forward.x)
    np.testing.assert_allclose(backward.duration_ms[::-1], forward.duration_ms)


def test_noise_of_a_fifth_of_a_degree_leaves_fixations_whole():
    """Eight places of 400 ms at 60 Hz; without merging, single samples that jump cut them to pieces."""
    random = np.random.default_rng(0)
    places = np.stack([100 + 80 * np.arange(8), 400 + 200 * (np.arange(8) % 2)], axis=1)
    x, y = (np.repeat(places, 24, axis=0) + random.normal(0, 0.2 * 30, (192, 2))).T
    noisy = recording(x, y, np.arange(192) * PERIOD)
    found = fixations_of(noisy, image_height=HEIGHT, settings=FixationSettings())
    np.testing.assert_allclose(np.stack([found.x, found.y], axis=1), places, atol=6)
    assert found.duration_ms.sum() > 0.95 * 3200
    unmerged = fixations_of(noisy, image_height=HEIGHT, settings=FixationSettings(merge_degrees=0))
    assert unmerged.duration_ms.sum() < 0.8 * 3200


def test_noise_at_a_thousand_hertz_is_lost_in_the_window():
    """0.03 degrees of noise move neighbours at 1 kHz by 50 degrees per second, points 19 ms apart by 2."""
    random = np.random.default_rng(0)
    places = np.stack([100 + 120 * np.arange(5), 400 + 200 * (np.arange(5) % 2)], axis=1)
    x, y = (np.repeat(places, 300, axis=0) + random.normal(0, 0.03 * 30, (1500, 2))).T
    noisy = recording(x, y, np.arange(1500.0))
    found = fixations_of(noisy, image_height=HEIGHT, settings=FixationSettings())
    np.testing.assert_allclose(np.stack([found.x, found.y], axis=1), places, atol=0.5)
    assert (found.duration_ms >= 300 - 20).all()  # half a window at each end belongs to the saccade
    plain = FixationSettings(velocity_window_ms=0, merge_degrees=0)
    with pytest.raises(DataError, match="no fixation"):
        fixations_of(noisy, image_height=HEIGHT, settings=plain)


@pytest.mark.parametrize("rate", [30, 50, 60])
@hypothesis_settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_window_changes_nothing_where_samples_are_rare(rate, seed):
    random = np.random.default_rng(seed)
    x, y = (np.repeat(random.integers(200, 600, (5, 2)), 12, axis=0) + random.normal(0, 4, (60, 2))).T
    t = np.round(np.arange(60) * 1000 / rate)  # whole ms, as Tobii Studio writes them
    plain = VelocityLimits(
        threshold=1000, minimum_ms=0, maximum_gap_ms=75, period_ms=1000 / rate, window_ms=0, merge_distance=0
    )
    windowed = velocity_runs(x, y, t, replace(plain, window_ms=20))
    np.testing.assert_array_equal(windowed, velocity_runs(x, y, t, plain))


def test_the_window_is_three_steps_where_twenty_milliseconds_are_one():
    """At 120 Hz a single sample that is 0.3 degrees off makes steps of 36 degrees a second, and three steps of 12."""
    x, t = np.full(36, 400.0), np.round(np.arange(36) * 1000 / 120)  # whole ms, 8 and 9 apart
    x[9::10] += 0.3 * 30
    shaky = recording(x, np.full(36, 300.0), t)
    plain = FixationSettings(merge_degrees=0)
    assert len(fixations_of(shaky, image_height=HEIGHT, settings=plain)) == 1
    with pytest.raises(DataError, match="no fixation"):
        fixations_of(shaky, image_height=HEIGHT, settings=replace(plain, velocity_window_ms=10))


def simulated(rate: float, noise: float, seconds: float = 40.0):
    """The benchmark's eye at one pixel per degree, and what was found of it."""
    known = SIMULATED["simulate"](7, rate=rate, noise=noise, seconds=seconds)
    found = fixations_of(
        recording(known.x + 15, known.y + 11, known.t_ms),
        image_height=22,
        settings=FixationSettings(pixels_per_degree=1),
    )
    mine = np.stack([found.onset_ms, found.onset_ms + found.duration_ms], axis=1)
    return SIMULATED["score"]([mine], [known.fixations])


@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("rate", [30, 60, 90, 120, 150, 250, 500, 1000])
def test_nine_tenths_of_known_fixation_time_are_found_at_every_rate(rate, noise):
    found = simulated(rate, noise)
    assert found.time > 0.9
    assert found.matched > (0.85 if rate == 30 else 0.9)
    assert 0.85 < found.number < 1.1


def test_the_score_counts_pieces_and_lumps_as_lost():
    true = np.array([[0.0, 100.0], [150.0, 250.0]])
    torn = SIMULATED["score"]([np.array([[0.0, 60.0], [70.0, 100.0], [150.0, 250.0]])], [true])
    assert (torn.time, torn.matched, torn.number) == (0.95, 0.8, 1.5)
    lump = SIMULATED["score"]([np.array([[0.0, 250.0]])], [true])
    assert (lump.time, lump.matched, lump.number) == (1.0, 0.5, 0.5)


def test_clocks_of_whole_milliseconds_have_no_gaps():
    """120 Hz in whole ms are steps of 8 and 9 ms; with no gap allowed, the longer ones are none."""
    t = np.round(np.arange(48) * 1000 / 120)
    assert set(np.diff(t)) == {8, 9}
    still = recording(np.full(48, 300.0), np.full(48, 300.0), t)
    found = fixations_of(still, image_height=HEIGHT, settings=FixationSettings(maximum_gap_ms=0))
    assert found.duration_ms.tolist() == pytest.approx([392 + 1000 / 120], abs=0.1)
    assert sampling_period(t) == pytest.approx(1000 / 120, abs=0.05)
    missing = recording(np.delete(still.x, 20), np.delete(still.y, 20), np.delete(t, 20))
    found = fixations_of(missing, image_height=HEIGHT, settings=FixationSettings(maximum_gap_ms=0))
    assert len(found) == 2  # a sample that is not there is a gap
    assert sampling_period(np.array([5.0])) == 0
    assert sampling_period(np.array([0.0, 4, 8, 16, 20])) == 4  # a step of two periods is a gap, too


def slow_blinks(t, lost, *, margin, gap, period):
    """Samples whose every ms lies in the margin of one stretch of lost ms longer than the gap."""
    seen = {ms for time, gone in zip(t, lost, strict=True) if not gone for ms in range(time, time + period)}
    blinks, stretch = [], []
    for ms in [*range(t[0], t[-1] + period), None]:
        if ms is not None and ms not in seen:
            stretch.append(ms)
            continue
        if len(stretch) > gap:
            blinks.append(set(range(stretch[0] - margin, stretch[-1] + margin + 1)))
        stretch = []
    return [any(set(range(time, time + period)) <= blink for blink in blinks) for time in t]


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([4, 4, 4, 8, 40]), st.booleans()), min_size=2, max_size=40),
    margin=st.sampled_from([0, 3, 4, 11, 30]),
    gap=st.sampled_from([0, 8, 20]),
)
def test_samples_beside_blinks_equal_the_slow_definition(rows, margin, gap):
    steps, lost = zip(*rows, strict=True)
    t = np.cumsum(steps)
    found = beside_blinks(
        t.astype(float), np.array(lost), margin_ms=margin, maximum_gap_ms=gap, period_ms=4.0
    )
    expected = slow_blinks(t.tolist(), lost, margin=margin, gap=gap, period=4)
    usable = ~np.array(lost)
    assert found[usable].tolist() == [one for one, use in zip(expected, usable, strict=True) if use]


def test_samples_that_the_lid_moved_are_left_out():
    """At 500 Hz, 12 ms of a falling lid before a blink of 200 ms and 12 ms of a rising one after it."""
    x, y, t = np.full(400, 300.0), np.full(400, 400.0), np.arange(400) * 2.0
    x[150:250] = y[150:250] = np.nan
    y[144:150] += np.arange(6)
    y[250:256] += np.arange(6)[::-1]
    blinking = recording(x, y, t)
    found = fixations_of(blinking, image_height=HEIGHT, settings=FixationSettings())
    np.testing.assert_array_equal(found.y, [400, 400])
    np.testing.assert_allclose(found.duration_ms, [300 - 14, 300 - 14])  # 7 samples of 2 ms in 15 ms
    with_lid = fixations_of(blinking, image_height=HEIGHT, settings=FixationSettings(blink_margin_ms=0))
    assert (with_lid.y > 400).all()
    with pytest.raises(DataError, match="no fixation among 300 usable"):
        fixations_of(blinking, image_height=HEIGHT, settings=FixationSettings(blink_margin_ms=1000))


def test_with_one_pixel_per_degree_the_thresholds_are_pixels():
    """200 and 2000 px/s at 60 Hz."""
    t = np.arange(30) * PERIOD
    slow, fast = (recording(9 + np.arange(30) * v / 60, np.full(30, 9.0), t) for v in (200, 2000))
    chosen = FixationSettings(velocity_threshold=500, pixels_per_degree=1)
    assert len(fixations_of(slow, image_height=HEIGHT, settings=chosen)) == 1
    with pytest.raises(DataError, match="no fixation"):
        fixations_of(fast, image_height=HEIGHT, settings=chosen)
    known = replace(fast, pixels_per_degree=10.0)  # what was recorded goes first
    assert len(fixations_of(known, image_height=HEIGHT, settings=chosen)) == 1


def test_known_geometry_sets_the_scale_of_the_thresholds():
    """20 px between samples at 60 Hz: 40 deg/s at 30 px/deg, 24 deg/s at 50 px/deg."""
    t = np.arange(30) * PERIOD
    moving = recording(np.arange(30) * 20.0, np.full(30, 9.0), t)
    chosen = FixationSettings()
    with pytest.raises(DataError, match="no fixation"):
        fixations_of(moving, image_height=HEIGHT, settings=chosen)
    assert (
        len(fixations_of(replace(moving, pixels_per_degree=50.0), image_height=HEIGHT, settings=chosen)) == 1
    )


def test_samples_without_time_weigh_alike():
    found = fixations_of(
        recording([10, np.nan, 30], [1, 2, 3]), image_height=100, settings=FixationSettings()
    )
    np.testing.assert_array_equal(found.x, [10, 30])
    np.testing.assert_array_equal(found.duration_ms, [1, 1])
    assert np.isnan(found.onset_ms).all()


def test_rows_that_are_fixations_pass_through():
    rows = recording([10, np.nan, 30], [1, 2, 3], [0, 300, 350], duration_ms=np.array([250.0, 40.0, 20.0]))
    found = fixations_of(rows, image_height=100, settings=FixationSettings())
    np.testing.assert_array_equal(found.x, [10, 30])
    np.testing.assert_array_equal(found.onset_ms, [0, 350])
    np.testing.assert_array_equal(found.duration_ms, [250, 20])


def test_clamped_samples_are_lost_unless_kept():
    clamped = recording([10, 0, 30], [1, 2, 3], suspect=np.array([False, True, False]))
    chosen = FixationSettings()
    assert fixations_of(clamped, image_height=100, settings=chosen).x.tolist() == [10, 30]
    kept = replace(chosen, keep_suspect=True)
    assert fixations_of(clamped, image_height=100, settings=kept).x.tolist() == [10, 0, 30]


def test_displayed_pixels_become_image_pixels():
    """A 4000 × 3201 image shown 800 high is 640 wide (640.2 cut off); the borders are suspect."""
    shown = recording(
        [320, 640, 100, 639],
        [400, 300, 800, 799],
        suspect=np.zeros(4, bool),
        display_height=800.0,
        pixels_per_degree=30.0,
    )
    scaled = shown.in_image_pixels(4000, 3201)
    np.testing.assert_allclose(scaled.x, [1600, 3200, 500, 3195])
    np.testing.assert_allclose(scaled.y, [2000, 1500, 4000, 3995])
    assert scaled.suspect.tolist() == [False, True, True, False]
    assert scaled.pixels_per_degree == shown.degree(4000) == 150
    assert scaled.degree(4000) == 150
    chosen = FixationSettings()
    assert fixations_of(shown, image_height=4000, settings=chosen).x.tolist() == [1600, 3200, 3195]
    found = fixations_of(shown, image_height=4000, image_width=3201, settings=chosen)
    assert found.x.tolist() == [1600, 3195]


@pytest.mark.parametrize("method", METHODS)
def test_a_degree_reaches_as_far_across_as_down_on_an_image_that_was_shown_stretched(method):
    """Shown on 1000 x 800 pixels, an image of 200 x 100 has the fixations of one of 1000 x 800."""
    random = np.random.default_rng(0)
    places = np.repeat(random.uniform(200, 600, (2, 20)), 12, axis=1) + random.normal(0, 6, (2, 240))
    on_screen = recording(*places, np.arange(240) * PERIOD, on_screen=True, pixels_per_degree=40.0)
    shown = on_screen.where_shown(0, 0, 1000, 800)
    settings = FixationSettings(method=method)
    alike = fixations_of(shown, image_height=800, image_width=1000, settings=settings)
    stretched = fixations_of(shown, image_height=100, image_width=200, settings=settings)
    assert len(alike) > 10
    np.testing.assert_allclose(stretched.onset_ms, alike.onset_ms)
    np.testing.assert_allclose(stretched.duration_ms, alike.duration_ms)
    np.testing.assert_allclose([5 * stretched.x, 8 * stretched.y], [alike.x, alike.y])


def test_the_period_is_that_of_all_samples_though_every_second_one_is_lost():
    x = np.where(np.arange(60) % 2, np.nan, 300.0)
    found = fixations_of(
        recording(x, x, np.arange(60) * 4.0), image_height=HEIGHT, settings=FixationSettings()
    )
    assert found.duration_ms.tolist() == [58 * 4 + 4]


def test_a_fixation_on_the_right_or_lower_edge_lies_outside():
    x, y = np.array([0, 20, 19.9, 5, np.nan, -0.1]), np.array([0, 5, 9.9, 10, 5, 5])
    found = Fixations(x, y, np.arange(6.0), np.ones(6)).inside((10, 20))
    assert found.onset_ms.tolist() == [0, 2]


def test_screen_pixels_become_those_of_an_image_stretched_on_it():
    """A 200 x 100 image shown 1000 x 800 from (460, 140) on."""
    on_screen = recording([460, 960, 1460], [140, 540, 940], on_screen=True, pixels_per_degree=40.0)
    with pytest.raises(DataError, match="set the reader's option shown"):
        on_screen.in_image_pixels(100, 200)
    known = on_screen.where_shown(460, 140, 1000, 800).in_image_pixels(100, 200)
    np.testing.assert_allclose([known.x, known.y], [[0, 100, 200], [0, 50, 100]])
    assert known.degree(100) == 5  # the image is 1/8 as high as it was shown
    alike = on_screen.where_shown(460, 140, 1000, 800).in_image_pixels(100)  # width unknown: the aspect kept
    np.testing.assert_allclose(alike.x, [0, 62.5, 125])


@pytest.mark.parametrize(
    ("x", "y", "width", "message"),
    [
        ([np.nan] * 3, [np.nan] * 3, None, "all 3 samples are lost"),
        ([5, 6, 7], [900, 901, 902], None, "outside the image, which is 800 pixels high"),
        ([-5, -6, -7], [10, 10, 10], None, "outside the image"),
        ([500, 600, 700], [10, 10, 10], 400, "outside the image, which is 400 x 800 pixels"),
        ([0.1, 0.5, 0.9], [0.2, 0.3, 0.4], None, "fractions"),
        ([0.1, 0.5, 1.0], [0.2, 0.3, 1.0], None, "fractions"),
    ],
)
def test_gaze_that_says_nothing_of_the_image_is_an_error(x, y, width, message):
    lost = recording(x, y, np.arange(3) * PERIOD, exam_id="A7", view="cc")
    with pytest.raises(DataError, match=message) as caught:
        fixations_of(lost, image_height=HEIGHT, image_width=width, settings=FixationSettings())
    assert "gaze.csv (exam A7, view cc)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_sample_has_no_duration():
    with pytest.raises(DataError, match="no fixation among 1 usable"):
        fixations_of(recording([5], [5], [0]), image_height=HEIGHT, settings=FixationSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "hmm"},
        {"velocity_threshold": 0},
        {"dispersion": -1.0},
        {"sigma_degrees": float("nan")},
        {"minimum_duration_ms": -1},
        {"maximum_gap_ms": "long"},
        {"velocity_window_ms": -20},
        {"blink_margin_ms": float("inf")},
        {"pixels_per_degree": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        FixationSettings(**wrong)


def test_settings_survive_a_round_trip_as_plain_values():
    chosen = FixationSettings(method="idt", dispersion=0.5)
    assert FixationSettings(**asdict(chosen)) == chosen
    assert {type(value) for value in asdict(chosen).values()} == {str, float, bool, type(None)}
