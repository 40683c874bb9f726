"""Calibration intercept and slope: a logistic regression of the truth on the logit of the stated probability.

Source: Cox 1958, doi:10.1093/biomet/45.3-4.562; Van Calster et al. 2016, doi:10.1016/j.jclinepi.2015.12.005.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from gazekit.measures.statistics.intervals import Interval, influence_interval
from gazekit.records.arrays import Booleans, Floats

_STEPS = 100
"""Newton steps at most; a dozen is usual."""
_REACH = 10.0
"""How far a step moves a logit at most: from where all are extreme it may lead to where all are so at the other end."""
_NEVER = Interval(math.nan, math.nan, math.nan, "t")


def recalibration(positive: Booleans, stated: Floats, patients: Sequence[str]) -> dict[str, Interval]:
    """Return ``calibration_intercept`` and ``calibration_slope`` with 95 % intervals over patients.

    With the logit l of the stated probability, the intercept is a of ``P(positive) = σ(a + l)``: 0 is right, below 0
    the probabilities are too high on the whole. The slope is b of ``P(positive) = σ(c + b l)``: 1 is right, below 1
    they are too extreme. NaN where a probability is 0, which has no logit; of the slope also where some logit
    separates the classes, since b is then infinite. No interval if a class has one patient.

    Args:
        positive: truth, ``[N]``; both cases occur.
        stated: probabilities ``[N, 2]`` of the negative and the positive class. The logit is the difference of their
            logarithms: of a confident network one is 1 in float32, and the other still says how confident it is.
        patients: patient of each exam, ``[N]``.
    """
    found = dict.fromkeys(("calibration_intercept", "calibration_slope"), _NEVER)
    if stated.min() <= 0:
        return found
    logits, ones = np.diff(np.log(stated), axis=1), np.ones((len(stated), 1))
    found["calibration_intercept"] = _last_of(ones, positive, logits[:, 0], patients)
    of_class = [logits[own, 0] for own in (~positive, positive)]
    if any(low.max() <= high.min() for low, high in (of_class, of_class[::-1])):
        return found
    centred = np.hstack([ones, logits - logits.mean()])
    found["calibration_slope"] = _last_of(centred, positive, np.zeros(len(stated)), patients)
    return found


def _last_of(design: Floats, positive: Booleans, offset: Floats, patients: Sequence[str]) -> Interval:
    """Fit ``P(positive) = σ(offset + X β)`` and return the last of β, with the interval of its influence by patient.

    The variance is no smaller than that of the model for single exams: where hardly an exam is on the wrong side, what
    is left of the exams is small, and with it their influence, though one exam more could change the fit by far.
    """
    beta = np.zeros(design.shape[1])
    loss = _loss(design @ beta + offset, positive)
    for _ in range(_STEPS):
        chance = special.expit(design @ beta + offset)
        information = design.T @ (design * (chance * (1 - chance))[:, None])
        step = np.linalg.lstsq(information, design.T @ (positive - chance), rcond=None)[0]
        step = step / max(1.0, np.abs(design @ step).max() / _REACH)
        while (nearer := _loss(design @ (beta + step) + offset, positive)) > loss and np.abs(
            step
        ).max() > 1e-12:
            step = step / 2
        beta, loss = beta + step, min(nearer, loss)
        if np.abs(step).max() < 1e-10:
            break
    chance = special.expit(design @ beta + offset)
    information = design.T @ (design * (chance * (1 - chance))[:, None])
    inverse = np.linalg.pinv(information)
    influence = inverse[-1] @ (design * (positive - chance)[:, None]).T
    return influence_interval(float(beta[-1]), influence, positive, patients, least=float(inverse[-1, -1]))


def _loss(logits: Floats, positive: Booleans) -> float:
    return float(np.logaddexp(0, np.where(positive, -logits, logits)).sum())
