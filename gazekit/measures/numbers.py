"""How the numbers of a study are written in tables and figures."""

import math

from gazekit.measures.intervals import Interval
from gazekit.measures.pooled import Estimate

NONE = "–"
"""In place of a number that there is not."""


def three(value: float | None, *, signed: bool = False) -> str:
    """Three decimals with a true minus sign; what rounds to 0 has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    words = f"{value:{'+' if signed else ''}.3f}"
    return words.lstrip("+-") if float(words) == 0 else words.replace("-", "−")


def mean(estimate: Estimate | None) -> str:
    """``0.812 ± 0.031``, or the mean alone of a single run."""
    if estimate is None:
        return NONE
    words = three(estimate.mean)
    return words if estimate.sd is None else f"{words} ± {three(estimate.sd)}"


def interval(of: Interval | None, *, signed: bool = False) -> str:
    """``0.801 [0.722, 0.869]``."""
    if of is None:
        return NONE
    value, low, high = (three(number, signed=signed) for number in (of.value, of.low, of.high))
    return f"{value} [{low}, {high}]"


def probability(p: float | None) -> str:
    """A p-value; below a thousandth only that."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def parameters(count: int | None) -> str:
    """``12,345,678``: all digits of every system, so that those of one table can be compared at a glance."""
    return NONE if count is None else f"{count:,}"
