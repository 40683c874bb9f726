"""Which samples a closing or opening lid has moved."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDING_MS = 1e-6
"""By how much sums of times in ms may be off."""


def gaps(t_ms: Floats, maximum_gap_ms: float, period_ms: float) -> NDArray[np.bool_]:
    """Where the time without samples between two neighbours is longer than the maximum, ``[N - 1]``.

    Args:
        t_ms: ``[N]`` ms, not descending, of the samples that are not lost.
        maximum_gap_ms, period_ms: ms; a sample stands for ``period_ms``.
    """
    return np.diff(t_ms) - period_ms > maximum_gap_ms + ROUNDING_MS


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
