"""Which samples a closing or opening lid has moved."""

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats

ROUNDING_MS = 1e-6
"""By how much sums of times in ms may be off."""


def sampling_period(t_ms: Floats) -> float:
    """The time that one sample stands for, in ms: the mean of the steps shorter than 1.5 of their median.

    The others are gaps. The median itself is not taken, for clocks of whole ms write 120 Hz as steps of 8 and 9 ms.

    Args:
        t_ms: ``[N]`` ms, not descending, lost samples included; 0 is the period of fewer than two.
    """
    steps = np.diff(t_ms)
    usual = steps[steps < 1.5 * np.median(steps)] if len(steps) else steps
    return float(usual.mean()) if len(usual) else 0.0


def gaps(t_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """Where the time without samples between two neighbours is longer than the maximum, ``[N - 1]``.

    A step up to 1.5 periods is the clock's rounding and no gap: no sample is missing there.

    Args:
        t_ms: ``[N]`` ms, not descending, of the samples that are not lost.
        maximum_gap_ms, period_ms: ms; a sample stands for ``period_ms``.
    """
    return too_far_apart(np.diff(t_ms), maximum_gap_ms, period_ms)


def too_far_apart(step_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """The same, for the steps themselves."""
    longest = max(maximum_gap_ms + period_ms, 1.5 * period_ms)
    return np.asarray(step_ms > longest + ROUNDING_MS)


def beside_blinks(
    t_ms: Floats, lost: NDArray[np.bool_], *, margin_ms: float, maximum_gap_ms: float, period_ms: float
) -> NDArray[np.bool_]:
    """Samples that lie wholly within ``margin_ms`` of a gap too long to bridge, ``[N]``.

    The lid covers the pupil from above before the tracker loses it, and its centre seems to move down: the last
    samples before a blink and the first ones after it are not where the eye looked. A recording that begins or
    ends with lost samples begins or ends with a gap.

    Args:
        t_ms: ``[N]`` ms, not descending, N > 0.
        lost: ``[N]`` bool.
        margin_ms, maximum_gap_ms, period_ms: ms; a sample stands for ``period_ms``.
    """
    seen = np.concatenate(([t_ms[0] - period_ms], t_ms[~lost], [t_ms[-1] + period_ms]))
    blink = np.flatnonzero(gaps(seen, maximum_gap_ms, period_ms))
    closing = np.append(seen[blink] + period_ms, np.inf)  # when the gaps begin
    opening = np.append(-np.inf, seen[blink + 1])  # when they end
    until_closing = closing[np.searchsorted(closing, t_ms, side="right")] - t_ms
    since_opening = t_ms + period_ms - opening[np.searchsorted(opening, t_ms, side="right") - 1]
    return np.asarray(np.minimum(until_closing, since_opening) <= margin_ms + ROUNDING_MS)
