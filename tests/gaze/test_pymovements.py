"""Plain I-VT and I-DT against pymovements, an independent implementation, where the two definitions agree.

I-VT: pymovements labels samples by the velocity it is given, one per sample; ours is between neighbours. So it gets the
velocity of each sample to the next, and a run of n slow steps is n + 1 samples of ours. I-DT: its fixations end where
the sample after their last one begins, as ours do, but one that follows another at once begins a sample later, and the
last sample of all belongs to none. Window, merging and gaps are ours alone and off here.
"""

import warnings

import numpy as np
import pytest

from gazekit.gaze.fixation_detection import (
    DispersionLimits,
    VelocityLimits,
    dispersion_runs,
    velocity_runs,
)

PERIOD = 4.0
FAR = 1e9


@pytest.fixture(scope="module")
def events():
    """pymovements, imported here: with pandas and polars, that takes seconds of every process that collects tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pymovements.events")


def scanpath(seed, samples=1500):
    """Fixations with noise and drift, and saccades of a few samples between them; pixels at 250 Hz."""
    rng = np.random.default_rng(seed)
    places, at = [], rng.uniform(200, 800, 2)
    while len(places) < samples:
        places += list(
            at + np.cumsum(rng.normal(0, 0.2, (rng.integers(20, 120), 2)), axis=0) + rng.normal(0, 1, 2)
        )
        goal = rng.uniform(100, 900, 2)
        places += [at + (goal - at) * share for share in np.linspace(0.1, 0.9, rng.integers(3, 9))]
        at = goal
    x, y = np.array(places[:samples]).T
    return x, y, np.arange(samples) * PERIOD


def slow_steps(events, x, y, threshold):
    """pymovements' fixations as (first, last) step, of any length of at least two steps."""
    velocity = np.stack([np.diff(x), np.diff(y)], axis=1) / (PERIOD / 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = events.ivt(velocity.tolist(), minimum_duration=1, velocity_threshold=threshold)
    frame = found.frame
    return list(zip(frame["onset"].to_list(), frame["offset"].to_list(), strict=True))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [150.0, 600.0, 3000.0])
def test_plain_ivt_finds_the_same_runs(events, seed, threshold):
    x, y, t_ms = scanpath(seed)
    limits = VelocityLimits(
        threshold=threshold,
        minimum_ms=3 * PERIOD,
        maximum_gap_ms=FAR,
        period_ms=PERIOD,
        window_ms=0,
        merge_distance=0,
    )
    runs = velocity_runs(x, y, t_ms, limits)
    theirs = [(first, last) for first, last in slow_steps(events, x, y, threshold) if last - first >= 1]
    assert [(first, after - 2) for first, after in runs.tolist()] == theirs
    assert len(theirs) > 5


@pytest.mark.parametrize("seed", range(4))
def test_plain_idt_finds_the_same_runs(events, seed):
    x, y, t_ms = scanpath(seed)
    threshold, minimum = 30.0, 100.0
    limits = DispersionLimits(threshold=threshold, minimum_ms=minimum, maximum_gap_ms=FAR, period_ms=PERIOD)
    runs = dispersion_runs(x, y, t_ms, limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = events.idt(
            np.stack([x, y], axis=1).tolist(),
            timesteps=t_ms.astype(int).tolist(),
            minimum_duration=int(minimum),
            dispersion_threshold=threshold,
        )
    theirs = list(zip(found.frame["onset"].to_list(), found.frame["offset"].to_list(), strict=True))
    ours = [(int(t_ms[first]), int(t_ms[after - 1] + PERIOD)) for first, after in runs.tolist()]
    assert len(ours) > 5

    def same(one, other):
        return bool(np.abs(np.subtract(one, other)).max() <= PERIOD)

    assert all(any(same(one, other) for one in ours) for other in theirs)
    long = [one for one in ours if one[1] - one[0] > minimum + 2 * PERIOD]
    assert all(any(same(one, other) for other in theirs) for one in long)
    assert sum(one in ours for one in theirs) >= 0.8 * len(theirs)
