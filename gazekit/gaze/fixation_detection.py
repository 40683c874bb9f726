"""Group gaze samples into fixations: by velocity (I-VT) or by dispersion (I-DT).

Both take the samples that are not lost and return runs ``[n, 2]``: the index of a run's first sample and the
index after its last. ``period_ms`` is the time one sample stands for, so a run lasts
``t[last] - t[first] + period``, as trackers count it.

Source: Salvucci & Goldberg, Identifying fixations and saccades in eye-tracking protocols, ETRA 2000,
DOI 10.1145/355017.355028. Olsen, The Tobii I-VT fixation filter, Tobii Technology 2012.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.gaze.blinks import ROUNDING_MS, gaps, too_far_apart
from gazekit.records.arrays import Floats

Runs = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DispersionLimits:
    """Limits of a fixation in I-DT.

    Args:
        threshold: pixels of dispersion.
        minimum_ms, maximum_gap_ms, period_ms: ms.
    """

    threshold: float
    minimum_ms: float
    maximum_gap_ms: float
    period_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VelocityLimits:
    """Limits of a fixation in I-VT.

    Args:
        threshold: pixels per second.
        minimum_ms, maximum_gap_ms, period_ms, window_ms: ms.
        merge_distance: pixels between centroids; 0 merges nothing.
    """

    threshold: float
    minimum_ms: float
    maximum_gap_ms: float
    period_ms: float
    window_ms: float
    merge_distance: float


def velocity_runs(x: Floats, y: Floats, t_ms: Floats, limits: VelocityLimits) -> Runs:
    """Find runs of samples whose velocity stays at or below the threshold (I-VT).

    Two neighbours belong together if ``|p_b - p_a| / (t_b - t_a) <= threshold``, where a and b are the first
    and the last sample within half of ``window_ms`` of the midpoint between them. If that leaves only the two
    neighbours, the samples next to them are included if all four lie within twice the window: one step at 90 to
    150 Hz is so short that noise alone moves that fast. At lower rates, or with a window of 0, neighbours are
    compared directly. A gap of lost samples longer than ``maximum_gap_ms`` separates them whatever the velocity, and
    no window crosses it; a shorter gap is bridged by a straight line. One noisy sample splits a fixation, so runs of
    at least two samples are merged again if they are no further apart than ``merge_distance`` and
    ``maximum_gap_ms``. Window and merging are Olsen's (2012), not part of the original definition; the wider window
    is ours. Runs shorter than ``minimum_ms`` are dropped last.

    Args:
        x, y: ``[N]`` pixels.
        t_ms: ``[N]`` ms, not descending.
        limits: of a fixation.
    """
    parted = gaps(t_ms, limits.maximum_gap_ms, limits.period_ms)
    first, last = _windows(t_ms, parted, limits.window_ms)
    distance = np.hypot(x[last] - x[first], y[last] - y[first])  # [N - 1]
    slow = 1000 * distance <= limits.threshold * (t_ms[last] - t_ms[first])
    runs = _runs(slow & ~parted)
    if limits.merge_distance > 0:
        runs = _merged(runs, x, y, t_ms, limits)
    length = t_ms[runs[:, 1] - 1] - t_ms[runs[:, 0]] + limits.period_ms
    return runs[length >= limits.minimum_ms - ROUNDING_MS]


def _windows(
    t_ms: Floats, parted: NDArray[np.bool_], window_ms: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last sample of the window around each pair of neighbours, ``[N - 1]`` each."""
    before = np.arange(len(t_ms) - 1)
    middle = (t_ms[:-1] + t_ms[1:]) / 2
    reach = window_ms / 2 + ROUNDING_MS
    first = np.minimum(np.searchsorted(t_ms, middle - reach, side="left"), before)
    last = np.maximum(np.searchsorted(t_ms, middle + reach, side="right") - 1, before + 1)
    whole = _runs(~parted)
    # the stretch without a gap around them
    inside = whole[np.searchsorted(whole[:, 1], before, side="right")]
    first, last = (
        np.maximum(first, inside[:, 0]),
        np.maximum(np.minimum(last, inside[:, 1] - 1), before + 1),
    )
    left, right = np.maximum(before - 1, inside[:, 0]), np.minimum(before + 2, inside[:, 1] - 1)
    are_near = (right - left == 3) & (t_ms[right] - t_ms[left] <= 2 * window_ms + ROUNDING_MS)
    wider = (last - first == 1) & are_near
    return np.where(wider, left, first), np.where(wider, right, last)


def _merged(runs: Runs, x: Floats, y: Floats, t_ms: Floats, limits: VelocityLimits) -> Runs:
    """Merge neighbouring runs of two or more samples that are near in time and place."""
    merged: list[list[int]] = []
    sums = np.cumsum([[0.0, *(x - x[0])], [0.0, *(y - y[0])]], axis=1) if len(x) else np.zeros((2, 1))

    def centre(first: int, after: int) -> Floats:
        found: Floats = (sums[:, after] - sums[:, first]) / (after - first)
        return found

    for start, stop in runs[runs[:, 1] - runs[:, 0] > 1].tolist():
        if merged:
            first, after = merged[-1]
            apart = np.hypot(*(centre(first, after) - centre(start, stop)))
            gap = t_ms[start] - t_ms[after - 1]
            if apart <= limits.merge_distance and not too_far_apart(
                gap, limits.maximum_gap_ms, limits.period_ms
            ):
                merged[-1][1] = stop
                continue
        merged.append([start, stop])
    return np.array(merged, dtype=np.int64).reshape(-1, 2)


def dispersion_runs(x: Floats, y: Floats, t_ms: Floats, limits: DispersionLimits) -> Runs:
    """Find runs of samples that stay together long enough (I-DT).

    A window of ``minimum_ms`` slides until its dispersion ``(max x - min x) + (max y - min y)`` is at or
    below the threshold, then grows as long as that holds. No window spans a gap of lost samples longer than
    ``maximum_gap_ms``.

    Args:
        x, y: ``[N]`` pixels.
        t_ms: ``[N]`` ms, not descending.
        limits: of a fixation.
    """
    threshold = limits.threshold
    found: list[tuple[int, int]] = []
    for start, stop in _runs(~gaps(t_ms, limits.maximum_gap_ms, limits.period_ms)).tolist():
        first = start
        while first < stop:
            enough = t_ms[first] + limits.minimum_ms - limits.period_ms - ROUNDING_MS
            last = first + int(np.searchsorted(t_ms[first:stop], enough))
            if last >= stop:
                break
            if _spread(x[first : last + 1], y[first : last + 1])[-1] > threshold:
                first += 1
                continue
            after = first + _together(x[first:stop], y[first:stop], threshold, last + 1 - first)
            found.append((first, after))
            first = after
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _together(x: Floats, y: Floats, threshold: float, least: int) -> int:
    """Count the samples from the first that stay together, doubling the number looked at each time."""
    size = least
    while True:
        size = min(2 * size, len(x))
        together = int(np.searchsorted(_spread(x[:size], y[:size]), threshold, side="right"))
        if together < size or size == len(x):
            return together


def _spread(x: Floats, y: Floats) -> Floats:
    """Return the dispersion of the first 1, 2, … N samples; it never falls, so a threshold can be searched."""
    wide = np.maximum.accumulate(x) - np.minimum.accumulate(x)
    high = np.maximum.accumulate(y) - np.minimum.accumulate(y)
    return np.asarray(wide + high)


def _runs(together: NDArray[np.bool_]) -> Runs:
    """Return runs of linked neighbours; ``together`` is ``[N - 1]``."""
    starts = np.flatnonzero(np.concatenate(([True], ~together)))
    stops = np.append(starts[1:], len(together) + 1)
    return np.stack([starts, stops], axis=1)  # [n, 2]
