"""Fixation detection against definitions, closed forms, and a real tracker's own events."""

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.detection import dispersion_runs, velocity_runs
from gazekit.gaze.fixations import Fixations, FixationSettings, fixations_of
from gazekit.gaze.recording import Recording

HEIGHT = 800.0  # one degree is then 30 pixels
PERIOD = 1000 / 60
METHODS = ("ivt", "idt")
SHARED = Path(__file__).parents[2] / "shared" / "data" / "gaze" / "eyelink"

Runs = list[tuple[int, int]]


def recording(x, y, t_ms=None, **more) -> Recording:
    t_ms = None if t_ms is None else np.asarray(t_ms, float)
    return Recording(Path("gaze.csv"), np.asarray(x, float), np.asarray(y, float), t_ms, **more)


def scanpath(places, samples) -> Recording:
    """60 Hz; ``samples[k]`` samples at ``places[k]``, the eye jumping in between within one sample."""
    x, y = (np.repeat([place[axis] for place in places], samples) for axis in (0, 1))
    return recording(x, y, np.arange(len(x)) * PERIOD)


def slow_ivt(x, y, t, *, threshold, minimum, gap, period, merge=0) -> Runs:
    """Salvucci & Goldberg's I-VT, sample by sample, on integers (no rounding); merging as Olsen has it."""
    groups, group = [], [0]
    for i in range(1, len(x) + 1):
        if i < len(x):
            moved = ((x[i] - x[i - 1]) ** 2 + (y[i] - y[i - 1]) ** 2) ** 0.5
            slow = moved * 1000 <= threshold * (t[i] - t[i - 1])
            if slow and t[i] - t[i - 1] - period <= gap:
                group.append(i)
                continue
        groups.append(group)
        group = [i]
    if merge:
        groups = slow_merge([group for group in groups if len(group) > 1], x, y, t, merge, gap + period)
    lasting = [group for group in groups if t[group[-1]] - t[group[0]] + period >= minimum]
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


def slow_idt(x, y, t, *, threshold, minimum, gap, period) -> Runs:
    """Salvucci & Goldberg's I-DT with lists that shrink, as their pseudocode has it."""

    def dispersion(window):
        xs, ys = [x[i] for i in window], [y[i] for i in window]
        return max(xs) - min(xs) + max(ys) - min(ys)

    def whole(window):
        return all(t[j] - t[i] - period <= gap for i, j in pairwise(window))

    def together(window):
        return whole(window) and dispersion(window) <= threshold

    points, found = list(range(len(x))), []
    while points:
        lasting = [t[point] - t[points[0]] + period >= minimum for point in points]
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


@pytest.mark.parametrize(("method", "merge"), [("ivt", 0), ("ivt", 2.3), ("ivt", 20.7), ("idt", 0)], ids=str)
@hypothesis_settings(max_examples=150, deadline=None)
@given(walk=walks, chosen=oracle_settings)
def test_runs_equal_the_slow_definition(method, merge, walk, chosen):
    x, y, t = (np.cumsum(part).astype(float) for part in zip(*walk, strict=True))
    threshold, minimum, gap = chosen
    fast = {"threshold": threshold, "minimum_ms": minimum, "maximum_gap_ms": gap, "period_ms": 10}
    slow = {"threshold": threshold, "minimum": minimum, "gap": gap, "period": 10}
    if method == "idt":
        runs, expected = dispersion_runs(x, y, t, **fast), slow_idt(x, y, t, **slow)
    else:
        runs = velocity_runs(x, y, t, **(fast | {"threshold": 100 * threshold}), merge_distance=merge)
        expected = slow_ivt(x, y, t, **(slow | {"threshold": 100 * threshold}), merge=merge)
    assert [tuple(run) for run in runs.tolist()] == expected


@pytest.mark.parametrize("method", METHODS)
def test_known_fixations_are_found_exactly(method):
    """12, 4, 30 and 6 samples at 60 Hz: 200, 67 (too short), 500 and 100 ms (just long enough)."""
    path = scanpath([(100, 200), (300, 200), (500, 640), (40, 40)], [12, 4, 30, 6])
    found = fixations_of(path, image_height=HEIGHT, settings=FixationSettings(method=method))
    np.testing.assert_allclose(found.x, [100, 500, 40])
    np.testing.assert_allclose(found.y, [200, 640, 40])
    np.testing.assert_allclose(found.onset_ms, [0, 16 * PERIOD, 46 * PERIOD])
    np.testing.assert_allclose(found.duration_ms, [200, 500, 100])


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


@pytest.mark.parametrize(
    ("x", "y", "width", "message"),
    [
        ([np.nan] * 3, [np.nan] * 3, None, "all 3 samples are lost"),
        ([5, 6, 7], [900, 901, 902], None, "outside the image, which is 800 pixels high"),
        ([-5, -6, -7], [10, 10, 10], None, "outside the image"),
        ([500, 600, 700], [10, 10, 10], 400, "outside the image, which is 400 x 800 pixels"),
        ([0.1, 0.5, 0.9], [0.2, 0.3, 0.4], None, "fractions"),
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
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        FixationSettings(**wrong)


def test_settings_survive_a_round_trip_as_plain_values():
    chosen = FixationSettings(method="idt", dispersion=0.5)
    assert FixationSettings(**asdict(chosen)) == chosen
    assert {type(value) for value in asdict(chosen).values()} == {str, float, bool}


def eyelink(name: str, columns: tuple[int, int], degree: float) -> tuple[Recording, Fixations]:
    """One eye of an EyeLink file, and the fixations that the tracker itself found for the left eye."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real data absent: {name}")
    samples, events = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = line.split()
        if line[:1].isdigit():
            place = [np.nan if cells[c] == "." else float(cells[c]) for c in columns]
            samples.append([float(cells[0]), *place])
        elif cells[:2] == ["EFIX", "L"]:
            events.append([float(cell) for cell in cells[2:7]])
    t, x, y = np.array(samples).T
    onset, _, duration, fx, fy = np.array(events).T
    return recording(x, y, t, pixels_per_degree=degree), Fixations(fx, fy, onset, duration)


@pytest.mark.parametrize(
    ("method", "name", "degree"),
    [
        ("ivt", "eyelink_monocular_no_dummy_example.asc", 59.5),
        ("ivt", "eyelink_binocular_example.asc", 46.8),
        (
            "idt",
            "eyelink_binocular_example.asc",
            46.8,
        ),  # the other file's eye drifts 2°
    ],
)
def test_fixations_of_a_real_tracker_are_found(method, name, degree):
    """EyeLink's parser also uses acceleration; it and ours agree to a quarter of a degree and 16 ms."""
    samples, events = eyelink(name, (1, 2), degree)
    chosen = FixationSettings(method, velocity_threshold=100, minimum_duration_ms=60, maximum_gap_ms=20)
    found = fixations_of(samples, image_height=1080, settings=chosen)
    assert len(found) == len(events) == 2
    assert (np.hypot(found.x - events.x, found.y - events.y) < degree / 4).all()
    np.testing.assert_allclose(found.onset_ms, events.onset_ms, atol=16)
    np.testing.assert_allclose(found.duration_ms, events.duration_ms, atol=16)
