"""Format measured numbers for tables and figures."""

import math
from collections.abc import Mapping

from gazekit.measures.comparing.systems import Estimate
from gazekit.measures.statistics.intervals import Interval

NONE = "–"
"""Stands for a missing number."""


def three(value: float | None, *, signed: bool = False) -> str:
    """Format with three decimals and a true minus sign; a value that rounds to 0 has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    words = f"{value:{'+' if signed else ''}.3f}"
    return words.lstrip("+-") if float(words) == 0 else words.replace("-", "−")


def mean(estimate: Estimate | None) -> str:
    """Format as ``0.812 ± 0.031``, or the mean alone for a single run."""
    if estimate is None:
        return NONE
    words = three(estimate.mean)
    return words if estimate.sd is None else f"{words} ± {three(estimate.sd)}"


def interval(of: Interval | None, *, signed: bool = False) -> str:
    """Format as ``0.801 [0.722, 0.869]``; the value alone without an interval."""
    if of is None:
        return NONE
    value, low, high = (three(number, signed=signed) for number in (of.value, of.low, of.high))
    return value if low == NONE else f"{value} [{low}, {high}]"


def measured(of: Mapping[str, float | None]) -> str:
    """Format a measure of an evaluation's file as ``0.801 [0.722, 0.869]``; the value alone without an interval."""
    value, low, high = (three(of[key]) for key in ("value", "low", "high"))
    return value if low == NONE else f"{value} [{low}, {high}]"


def component(variance: float, total: float) -> str:
    """Format a variance component as its standard deviation and share, ``0.031 (62 %)``; a negative one as 0."""
    if variance < 0:
        return "0 (negative)"
    share = variance / total if total > 0 else 0.0
    return f"{three(math.sqrt(variance))} ({share:.0%})".replace("%)", " %)")


def probability(p: float | None) -> str:
    """Format a p-value; below a thousandth only as ``< 0.001``."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def parameters(count: int | None) -> str:
    """Format as ``12,345,678``, with all digits so that systems can be compared at a glance."""
    return NONE if count is None else f"{count:,}"
