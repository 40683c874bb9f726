"""From gaze samples to runs that are fixations: by velocity (I-VT) or by dispersion (I-DT).

Both take the samples that are not lost and return runs ``[n, 2]``: the index of a run's first sample and the
index after its last. ``period`` is the time one sample stands for, so a run lasts
``t[last] - t[first] + period``, as trackers count it.

Source: Salvucci & Goldberg, Identifying fixations and saccades in eye-tracking protocols, ETRA 2000,
DOI 10.1145/355017.355028. Olsen, The Tobii I-VT fixation filter, Tobii Technology 2012.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Runs = NDArray[np.int64]

_ROUNDING_MS = 1e-6


def velocity_runs(
    x: Floats,
    y: Floats,
    t_ms: Floats,
    *,
    threshold: float,
    minimum_ms: float,
    maximum_gap_ms: float,
    period_ms: float,
    merge_distance: float,
) -> Runs:
    """Runs of samples whose point-to-point velocity stays at or below the threshold (I-VT).

    Two neighbours belong together when ``|p_i+1 - p_i| / (t_i+1 - t_i) <= threshold``; a longer gap of lost
    samples than ``maximum_gap_ms`` parts them whatever the velocity, a shorter one is bridged by a straight
    line. One noisy sample parts a fixation in two, so runs of at least two samples are merged again where they
    are no further apart than ``merge_distance`` and ``maximum_gap_ms`` (Olsen 2012; not in the definition).
    Runs shorter than ``minimum_ms`` are dropped last.

    Args:
        x, y: ``[N]`` pixels.
        t_ms: ``[N]`` ms, not descending.
        threshold: pixels per second.
        minimum_ms, maximum_gap_ms, period_ms: ms.
        merge_distance: pixels between centroids; 0 merges nothing.
    """
    distance = np.hypot(np.diff(x), np.diff(y))  # [N - 1]
    slow = 1000 * distance <= threshold * np.diff(t_ms)
    together = slow & ~_gaps(t_ms, maximum_gap_ms, period_ms)
    runs = _runs(together)
    if merge_distance > 0:
        runs = _merged(
            runs,
            x,
            y,
            t_ms,
            maximum_gap_ms=maximum_gap_ms,
            period_ms=period_ms,
            distance=merge_distance,
        )
    length = t_ms[runs[:, 1] - 1] - t_ms[runs[:, 0]] + period_ms
    return runs[length >= minimum_ms - _ROUNDING_MS]


def _merged(
    runs: Runs,
    x: Floats,
    y: Floats,
    t_ms: Floats,
    *,
    maximum_gap_ms: float,
    period_ms: float,
    distance: float,
) -> Runs:
    """Runs of two or more samples, neighbours that are near in time and place made one with what lies between."""
    merged: list[list[int]] = []
    for start, stop in runs[runs[:, 1] - runs[:, 0] > 1].tolist():
        if merged:
            first, after = merged[-1]
            apart = np.hypot(
                x[first:after].mean() - x[start:stop].mean(), y[first:after].mean() - y[start:stop].mean()
            )
            if (
                apart <= distance
                and t_ms[start] - t_ms[after - 1] - period_ms <= maximum_gap_ms + _ROUNDING_MS
            ):
                merged[-1][1] = stop
                continue
        merged.append([start, stop])
    return np.array(merged, dtype=np.int64).reshape(-1, 2)


def dispersion_runs(
    x: Floats,
    y: Floats,
    t_ms: Floats,
    *,
    threshold: float,
    minimum_ms: float,
    maximum_gap_ms: float,
    period_ms: float,
) -> Runs:
    """Runs of samples that stay together for long enough (I-DT).

    A window of ``minimum_ms`` slides until its dispersion ``(max x - min x) + (max y - min y)`` is at or
    below the threshold, then grows as long as that holds. No window spans a gap of lost samples longer than
    ``maximum_gap_ms``.

    Args:
        x, y: ``[N]`` pixels.
        t_ms: ``[N]`` ms, not descending.
        threshold: pixels.
        minimum_ms, maximum_gap_ms, period_ms: ms.
    """
    found: list[tuple[int, int]] = []
    for start, stop in _runs(~_gaps(t_ms, maximum_gap_ms, period_ms)).tolist():
        first = start
        while first < stop:
            enough = t_ms[first] + minimum_ms - period_ms - _ROUNDING_MS
            last = first + int(np.searchsorted(t_ms[first:stop], enough))
            if last >= stop:
                break
            if _spread(x[first : last + 1], y[first : last + 1])[-1] > threshold:
                first += 1
                continue
            spread = _spread(x[first:stop], y[first:stop])
            after = first + int(np.searchsorted(spread, threshold, side="right"))
            found.append((first, after))
            first = after
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _spread(x: Floats, y: Floats) -> Floats:
    """Dispersion of the first 1, 2, … N samples; it never falls, so a threshold can be searched in it."""
    wide = np.maximum.accumulate(x) - np.minimum.accumulate(x)
    high = np.maximum.accumulate(y) - np.minimum.accumulate(y)
    return np.asarray(wide + high)


def _gaps(t_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """Where the time without samples between two neighbours is too long to bridge, ``[N - 1]``."""
    return np.diff(t_ms) - period_ms > maximum_gap_ms + _ROUNDING_MS


def _runs(together: NDArray[np.bool_]) -> Runs:
    """Runs of samples that are linked to their neighbour; ``together`` is ``[N - 1]``."""
    starts = np.flatnonzero(np.concatenate(([True], ~together)))
    stops = np.append(starts[1:], len(together) + 1)
    return np.stack([starts, stops], axis=1)  # [n, 2]
