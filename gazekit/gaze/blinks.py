"""Find samples displaced by a closing or opening lid."""

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats

ROUNDING_MS = 1e-6
"""Rounding error of sums of times, in ms."""


def sampling_period(t_ms: Floats) -> float:
    """Return the time per sample in ms: the mean of the steps shorter than 1.5 times their median.

    Longer steps are gaps, and rows at one time are of one sample. The median itself would be wrong: clocks of whole ms
    write 120 Hz as steps of 8 and 9 ms.

    Args:
        t_ms: ``[N]`` ms, not descending, lost samples included; with fewer than two the result is 0.
    """
    steps = np.diff(t_ms)
    steps = steps[steps > 0]
    usual = steps[steps < 1.5 * np.median(steps)] if len(steps) else steps
    return float(usual.mean()) if len(usual) else 0.0


def gaps(t_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """Find neighbours with more time between them than the maximum gap, ``[N - 1]``.

    A step up to 1.5 periods is rounding of the clock, not a gap.

    Args:
        t_ms: ``[N]`` ms, not descending, of the samples that are not lost.
        maximum_gap_ms, period_ms: ms; a sample stands for ``period_ms``.
    """
    return too_far_apart(np.diff(t_ms), maximum_gap_ms, period_ms)


def too_far_apart(step_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """The same as :func:`gaps`, for given steps."""
    longest = max(maximum_gap_ms + period_ms, 1.5 * period_ms)
    return np.asarray(step_ms > longest + ROUNDING_MS)


def beside_blinks(
    t_ms: Floats, lost: NDArray[np.bool_], *, margin_ms: float, maximum_gap_ms: float, period_ms: float
) -> NDArray[np.bool_]:
    """Find samples that lie wholly within ``margin_ms`` of a gap too long to bridge, ``[N]``.

    The lid covers the pupil from above before the tracker loses it, so the pupil's centre seems to move down: the
    last samples before a blink and the first ones after it are not where the eye looked. Lost samples at the start or
    end of a recording count as a gap.

    Args:
        t_ms: ``[N]`` ms, not descending, N > 0.
        lost: ``[N]`` bool.
        margin_ms, maximum_gap_ms, period_ms: ms; a sample stands for ``period_ms``.
    """
    seen = np.concatenate(([t_ms[0] - period_ms], t_ms[~lost], [t_ms[-1] + period_ms]))
    blink = np.flatnonzero(gaps(seen, maximum_gap_ms, period_ms))
    closing = np.append(seen[blink] + period_ms, np.inf)  # starts of the gaps
    opening = np.append(-np.inf, seen[blink + 1])  # ends of the gaps
    until_closing = closing[np.searchsorted(closing, t_ms, side="right")] - t_ms
    since_opening = t_ms + period_ms - opening[np.searchsorted(opening, t_ms, side="right") - 1]
    return np.asarray(np.minimum(until_closing, since_opening) <= margin_ms + ROUNDING_MS)
