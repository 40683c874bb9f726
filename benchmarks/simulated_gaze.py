"""Simulate gaze with known fixations: saccades on the main sequence, drift, tremor, and a tracker's white noise.

Saccades last ``2.2 ms/° · A + 21 ms`` (Carpenter, Movements of the Eyes, 1988) and move as ``10u³ - 15u⁴ + 6u⁵``, the
smoothest path (Flash & Hogan 1985), so the peak velocity is 1.875 A / duration, 436 °/s at 10°. Drift is a
random walk of 20 arcmin²/s on each axis, tremor 0.004° at 85 Hz: typical magnitudes, chosen, not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIXATION = (260.0, 0.45, 120.0, 1200.0)
"""Log-normal durations: median in ms, spread, shortest and longest."""
AMPLITUDE = (2.0, 2.2, 1.0, 18.0)
"""Gamma-distributed saccades in degrees: shape, scale, smallest and largest."""
FIELD = (14.0, 10.0)
"""Half width and half height of the visual field, in degrees."""
DRIFT, TREMOR = 20.0, (0.004, 85.0)
"""arcmin²/s; degrees and Hz."""
GRID_MS = 0.5
"""Time step of the true path; samples are interpolated from it."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One recording: ``[N]`` times in ms, x and y in degrees; onset and end of its true fixations, ``[n, 2]`` ms."""

    t_ms: Floats
    x: Floats
    y: Floats
    fixations: Floats


def simulate(seed: int, *, rate: float, noise: float, seconds: float = 60.0) -> Simulated:
    """Simulate a recording; the same seed gives the same eye movements at every rate and noise.

    Args:
        seed: for the eye's path, and, together with rate, for the noise.
        rate: samples per second.
        noise: standard deviation of each sample's error on each axis, degrees.
        seconds: approximate duration.
    """
    eye = np.random.default_rng(seed)
    true, path, time = _path(eye, 1000 * seconds)
    t_ms = np.arange(0, time[-1], 1000 / rate)
    x, y = (np.interp(t_ms, time, axis) for axis in path.T)
    errors = np.random.default_rng([seed, round(rate)]).normal(0, noise, (2, len(t_ms)))
    return Simulated(t_ms, x + errors[0], y + errors[1], true)


def _path(eye: np.random.Generator, length_ms: float) -> tuple[Floats, Floats, Floats]:
    """Draw fixations ``[n, 2]``, the path ``[T, 2]`` and its times ``[T]``, on the fine grid."""
    median, spread, *range_ms = FIXATION
    true, places, saccades = [], [np.zeros(2)], []
    now = 0.0
    while now < length_ms:
        end = now + float(np.clip(eye.lognormal(np.log(median), spread), *range_ms))
        true.append((now, end))
        amplitude, goal = _goal(eye, places[-1])
        now = end + 2.2 * amplitude + 21
        saccades.append((end, now))
        places.append(goal)
    time = np.arange(0, true[-1][1], GRID_MS)
    path = np.zeros((len(time), 2))
    step = np.sqrt(2 * DRIFT / 60**2 * GRID_MS / 1000)  # degrees
    for (begin, end), place in zip(true, places, strict=False):
        there = slice(*np.searchsorted(time, (begin, end)))
        walk = np.cumsum(eye.normal(0, step, path[there].shape), axis=0)
        path[there] = place + walk - walk.mean(axis=0)
    for begin, end in saccades[:-1]:
        first, after = np.searchsorted(time, (begin, end))
        u = ((time[first:after] - begin) / (end - begin))[:, None]
        path[first:after] = path[first - 1] + (path[after] - path[first - 1]) * (
            10 * u**3 - 15 * u**4 + 6 * u**5
        )
    size, frequency = TREMOR
    phase = 2 * np.pi * (frequency * time[:, None] / 1000 + eye.uniform(0, 1, 2))
    return np.array(true), path + size * np.sin(phase), time


def _goal(eye: np.random.Generator, place: Floats) -> tuple[float, Floats]:
    """Draw amplitude and end of the next saccade, inside the field."""
    shape, scale, *limits = AMPLITUDE
    while True:
        amplitude = float(np.clip(eye.gamma(shape, scale), *limits))
        angle = eye.uniform(0, 2 * np.pi)
        goal = place + amplitude * np.array([np.cos(angle), np.sin(angle)])
        if (np.abs(goal) <= FIELD).all():
            return amplitude, goal


@dataclass(frozen=True, slots=True)
class Found:
    """The share of true fixations that a method found.

    Args:
        time: share of the true fixation time covered by fixations found.
        matched: the same, one to one: of a split fixation only the longest piece counts, of merged fixations
            only the one with the largest overlap.
        number: fixations found per true one.
    """

    time: float
    matched: float
    number: float


def score(found: Sequence[Floats], true: Sequence[Floats]) -> Found:
    """Compare fixations found ``[m, 2]`` with the true ones ``[n, 2]``, over several recordings."""
    total = covered = matched = 0.0
    for mine, truth in zip(found, true, strict=True):
        begin, end = truth.T
        overlaps = np.clip(np.minimum(mine[:, 1:], end) - np.maximum(mine[:, :1], begin), 0, None)  # [m, n]
        total += float((end - begin).sum())
        covered += float(overlaps.sum())
        if len(mine):
            best, most = overlaps.argmax(axis=1), overlaps.max(axis=1)
            longest = np.zeros(len(truth))
            np.maximum.at(longest, best, most)
            matched += float(longest.sum())
    return Found(covered / total, matched / total, sum(map(len, found)) / sum(map(len, true)))
