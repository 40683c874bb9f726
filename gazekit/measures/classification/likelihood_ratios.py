"""Likelihood ratios of a call at a threshold.

Source: Simel et al. 1991, doi:10.1016/0895-4356(91)90128-V, with the variance summed within patients.
"""

import math
from collections.abc import Sequence

import numpy as np

from gazekit.measures.statistics.intervals import Interval, influence_interval
from gazekit.records.arrays import Booleans


def likelihood_ratios(positive: Booleans, called: Booleans, patients: Sequence[str]) -> dict[str, Interval]:
    """Return the ratios of a positive and of a negative call with 95 % intervals over patients.

    LR+ is ``sensitivity / (1 - specificity)``, LR- ``(1 - sensitivity) / specificity``; the odds of being positive are
    multiplied by it. The interval is Student's t of the logarithm. There is none of a ratio of 0, or if a class
    has one patient; a ratio whose divisor is 0 is NaN.

    Args:
        positive: truth, ``[N]``; both cases occur.
        called: whether an exam is called positive, ``[N]``.
        patients: patient of each exam, ``[N]``.
    """
    return {
        f"{name}_likelihood_ratio": _ratio(positive, call, patients)
        for name, call in (("positive", called), ("negative", ~called))
    }


def _ratio(positive: Booleans, call: Booleans, patients: Sequence[str]) -> Interval:
    """Divide the share of the positive exams with a call by that of the negative ones."""
    shares = [float(call[own].mean()) for own in (positive, ~positive)]
    if min(shares) == 0:
        return Interval(math.nan if shares[1] == 0 else 0.0, math.nan, math.nan, "t")
    influence = np.where(
        positive, (call / shares[0] - 1) / positive.sum(), -(call / shares[1] - 1) / (~positive).sum()
    )
    found = influence_interval(math.log(shares[0] / shares[1]), influence, positive, patients)
    return Interval(math.exp(found.value), math.exp(found.low), math.exp(found.high), found.method)
