"""Fit calibrations and thresholds on exams of known truth."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from gazekit.errors import DataError
from gazekit.records.arrays import Booleans, Floats, Integers

MOST = 20.0
"""Largest temperature, and the inverse of the smallest: exams that are perfectly ordered would ask for 0 (ours)."""
FEW = 200
"""Fewer exams than this let an isotonic regression follow their noise (ours)."""


def log_loss(logits: Floats, labels: Integers, temperature: float = 1.0) -> float:
    """Compute ``-mean log softmax(z / T)_y`` in nats; one logit is that of the second of two classes against 0."""
    scaled = _classes(logits) / temperature
    highest = scaled.max(axis=1, keepdims=True)
    total = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]
    return float((total - scaled[np.arange(len(labels)), labels]).mean())


def fit_temperature(logits: NDArray[np.floating], labels: Integers) -> float:
    """Find the temperature of the smallest log loss, between 1 / `MOST` and `MOST`.

    The loss is convex in ``1 / T``, so that there is one.

    Args:
        logits: ``[N, K]``, uncalibrated.
        labels: ``[N]``.

    Source: Guo et al. 2017, arXiv:1706.04599, 4.2.
    """
    values = np.asarray(logits, dtype=np.float64)
    reach = math.log(MOST)
    found = optimize.minimize_scalar(
        lambda log: log_loss(values, labels, math.exp(log)),
        bounds=(-reach, reach),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(float(found.x))


def fit_platt(logits: NDArray[np.floating], positive: Booleans) -> tuple[float, float]:
    """Find T, between 1 / `MOST` and `MOST`, and shift b of the smallest log loss of ``sigmoid(z / T + b)``.

    At the best b the mean probability is the share that came true. The loss is convex in ``1 / T`` and b, so that there
    is one pair.

    Args:
        logits: of the second of two classes, ``[N]``, uncalibrated.
        positive: whether it came true, ``[N]``; both cases occur.

    Source: Platt 1999, Probabilistic outputs for support vector machines, without its change of the targets.
    """
    values = np.asarray(logits, dtype=np.float64)
    share, labels = float(positive.mean()), positive.astype(np.int64)

    def shift(scaled: Floats) -> float:
        reach = float(np.abs(scaled).max()) + abs(math.log(share / (1 - share))) + 1
        return float(
            optimize.brentq(
                lambda by: float(special.expit(scaled + by).mean()) - share, -reach, reach, xtol=1e-12
            )
        )

    def loss(log: float) -> float:
        scaled = values / math.exp(log)
        return log_loss((scaled + shift(scaled))[:, None], labels)

    reach = math.log(MOST)
    found = optimize.minimize_scalar(loss, bounds=(-reach, reach), method="bounded", options={"xatol": 1e-8})
    temperature = math.exp(float(found.x))
    return temperature, shift(values / temperature)


def fit_isotonic(stated: NDArray[np.floating], positive: Booleans) -> tuple[tuple[float, float], ...]:
    """Fit a rising function of the stated probability to what came true, by least squares.

    Args:
        stated: uncalibrated probability of the second of two classes, ``[N]``.
        positive: whether it came true, ``[N]``.

    Returns:
        Its knots, between which it is straight: the ends of each level, at least two, with rising places.

    Source: Zadrozny & Elkan 2002, doi:10.1145/775047.775151; pool adjacent violators, Ayer et al. 1955.
    """
    places, of_exam, counts = np.unique(
        np.asarray(stated, dtype=np.float64), return_inverse=True, return_counts=True
    )
    shares = np.bincount(of_exam, weights=positive) / counts
    levels = np.clip(optimize.isotonic_regression(shares, weights=counts).x, 0, 1)
    ends = np.flatnonzero(np.r_[True, np.diff(levels) != 0] | np.r_[np.diff(levels) != 0, True])
    if len(ends) == 1:
        return ((float(places[0]), float(levels[0])), (float(places[0]) + 1.0, float(levels[0])))
    return tuple((float(places[i]), float(levels[i])) for i in ends)


def threshold_at_specificity(scores: NDArray[np.floating], positive: Booleans, specificity: float) -> float:
    """Find the lowest threshold of at least this specificity, halfway between adjacent scores.

    Args:
        scores: probability of the second of two classes, ``[N]``; it is called above the threshold.
        positive: whether it came true, ``[N]``.
        specificity: share of negative exams that must not be called.

    Raises:
        DataError: no threshold below 1 leaves that many alone, because too many negative exams have a score of 1.
    """
    values = np.unique(np.asarray(scores, dtype=np.float64))
    cuts = np.r_[values[0] / 2, (values[1:] + values[:-1]) / 2, (values[-1] + 1) / 2]
    left_alone = np.searchsorted(np.sort(scores[~positive]), cuts, side="right") / (~positive).sum()
    enough = cuts[(left_alone >= specificity - 1e-12) & (cuts > 0) & (cuts < 1)]
    if len(enough) == 0:
        raise DataError(
            f"no threshold has a specificity of {specificity:g}: too many negative exams have a probability of 1; "
            "choose a smaller one"
        )
    return float(enough[0])


def _classes(logits: Floats) -> Floats:
    """Logits of every class ``[N, classes]``."""
    return logits if logits.shape[1] > 1 else np.pad(logits, ((0, 0), (1, 0)))
