"""Simulate a reader's gaze on a view as a 60 Hz eye tracker would record it.

Saccades join fixations (scanning first, then the lesion and, less, the look-alikes). Added to these are a
calibration offset, drift, measurement noise and blinks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.geometry import inside, project
from gazekit_datasets.mammography.phantom.scene import Scene, View

RATE_HZ = 60.0
SCATTER = 0.018
"""Standard deviation of a fixation around its target; lengths are fractions of the image height."""
OFFSET = 0.006
"""Standard deviation of the calibration error, drawn once per view."""
DRIFT = 0.004
"""Standard deviation of the drift over one second."""
NOISE = 0.0025
"""Standard deviation of the measurement noise."""
SHORTEST_MS = 120.0
BLINKS_PER_SECOND = 0.25


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw gaze: time in ms and position in image pixels ``[N]``; NaN where the sample was lost."""

    t_ms: Floats
    x: Floats
    y: Floats


def record_gaze(
    scene: Scene, view: View, shape: tuple[int, int], *, quality: float, rng: np.random.Generator
) -> Samples:
    """Record a reader on a view.

    Args:
        scene: the scene that is viewed.
        view: which projection.
        shape: (rows, columns) of the image.
        quality: share of the dwell time on the lesion, 0 to 1.
        rng: for the reader.
    """
    places, durations = _scanpath(scene, view, quality, rng)
    x, y, still = _trace(places, durations)
    t_ms = np.round(1000.0 * np.arange(len(x)) / RATE_HZ, 1)
    eye = np.stack([x, y], axis=1)
    drift = np.cumsum(rng.normal(0.0, DRIFT / np.sqrt(RATE_HZ), eye.shape), axis=0)
    eye += rng.normal(0.0, OFFSET, 2) + drift + rng.normal(0.0, NOISE, eye.shape)
    if scene.laterality == "R":
        eye[:, 0] = shape[1] / shape[0] - eye[:, 0]
    eye *= shape[0]
    lost = _blinks(still, rng) | (eye < 0).any(axis=1) | (eye > np.array(shape[::-1])).any(axis=1)
    eye[lost] = np.nan
    return Samples(t_ms, eye[:, 0], eye[:, 1])


def _scanpath(scene: Scene, view: View, quality: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw positions ``[N, 2]`` in a left breast and durations ``[N]`` in ms of the fixations, in order."""
    scanning = [_anywhere(scene, view, rng) for _ in range(int(rng.integers(1, 3)))]
    centres = [project(lesion.position, view, scene.outlines[view]) for lesion in scene.lesions]
    on_lesion = [centres[k % len(centres)] for k in range(int(rng.integers(3, 6)))]
    aside = [_aside(scene, view, rng) for _ in range(int(rng.integers(1, 4)))]
    looked = np.array([*scanning, *on_lesion, *aside])
    is_lesion = np.zeros(len(looked), dtype=bool)
    is_lesion[len(scanning) : len(scanning) + len(on_lesion)] = True
    durations = _durations(is_lesion, quality, rng)
    places = looked + rng.normal(0.0, SCATTER, looked.shape)
    later = len(scanning) + rng.permutation(len(looked) - len(scanning))
    order = np.array([k for k in (*range(len(scanning)), *later) if durations[k] > 0])
    return places[order], durations[order]


def _durations(lesion: NDArray[np.bool_], quality: float, rng: np.random.Generator) -> Floats:
    """Draw gamma-distributed durations ``[N]`` in ms; the lesion's share of them is ``quality``.

    Fixations that would be shorter than SHORTEST_MS are merged: a group keeps as many as fit.
    """
    total = rng.uniform(2600.0, 4200.0)
    durations = np.zeros(len(lesion))
    for group, share in ((lesion, quality), (~lesion, 1.0 - quality)):
        members = np.flatnonzero(group)[: int(share * total // (2 * SHORTEST_MS))]
        if len(members):
            part = rng.gamma(3.0, 1.0, len(members))
            spare = share * total - SHORTEST_MS * len(members)
            durations[members] = SHORTEST_MS + spare * part / part.sum()
    return durations


def _aside(scene: Scene, view: View, rng: np.random.Generator) -> Floats:
    """Choose another place that draws the eye, look-alikes first; anywhere if there is none."""
    others = [finding for finding in scene.findings if finding.role != "lesion" and view in finding.views]
    if not others:
        return _anywhere(scene, view, rng)
    weights = np.array([3.0 if finding.role == "look_alike" else 1.0 for finding in others])
    other = others[int(rng.choice(len(others), p=weights / weights.sum()))]
    return project(other.position, view, scene.outlines[view])


def _anywhere(scene: Scene, view: View, rng: np.random.Generator) -> Floats:
    """Choose a place well inside the breast."""
    outline = scene.outlines[view]
    while True:
        place = np.array([rng.uniform(0.05, 0.9) * outline.depth, rng.uniform(0.1, 0.9)])
        if inside(place[0], place[1], outline) > 0.15:
            return place


def _trace(places: Floats, durations: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Sample fixations joined by minimum-jerk saccades: x, y ``[N]`` and whether the eye is still."""
    pieces: list[Floats] = []
    still: list[NDArray[np.bool_]] = []
    for number, (place, duration) in enumerate(zip(places, durations, strict=True)):
        if number:
            before = places[number - 1]
            # Main sequence: 2.2 ms per degree plus 21 ms; the image is about 27 degrees high.
            lasting = 21.0 + 2.2 * 27.0 * float(np.linalg.norm(place - before))
            steps = max(1, round(lasting * RATE_HZ / 1000.0))
            s = (np.arange(steps) + 0.5)[:, None] / steps
            pieces.append(before + (place - before) * (10 * s**3 - 15 * s**4 + 6 * s**5))
            still.append(np.zeros(steps, dtype=bool))
        count = max(1, round(duration * RATE_HZ / 1000.0))
        pieces.append(np.repeat(place[None], count, axis=0))
        still.append(np.ones(count, dtype=bool))
    path = np.concatenate(pieces)
    return path[:, 0], path[:, 1], np.concatenate(still)


def _blinks(still: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark samples lost to blinks of 100 to 250 ms, ``[N]``."""
    number = len(still)
    lost = np.zeros(number, dtype=bool)
    for start in np.flatnonzero(rng.random(number) < BLINKS_PER_SECOND / RATE_HZ):
        lost[start : start + int(rng.integers(6, 16))] = True
    return lost
