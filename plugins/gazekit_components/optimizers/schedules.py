"""Courses of the learning rate over a training."""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from gazekit.contracts.progress import Elapsed

Share = Annotated[float, Field(ge=0, le=1)]
Less = Annotated[float, Field(gt=0, lt=1)]


class ConstantRate:
    """``f = 1``: the rate stays."""

    def __call__(self, now: Elapsed) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0


class OneCycle:
    """A cosine rise over 30 % of the steps from a 25th of the rate, then a cosine fall to zero.

    Source: Smith & Topin 2019, doi:10.1117/12.2520589, in the cosine form of torch's OneCycleLR.
    """

    def __call__(self, now: Elapsed) -> float:
        """Return the factor of a step."""
        peak = max(1.0, 0.3 * now.steps - 1)
        low = 1 / 25
        if now.step <= peak:
            return low + (1 - low) * _rise(now.step / peak)
        return _rise((now.steps - 1 - now.step) / max(1.0, now.steps - 1 - peak))


class CosineDecay:
    """A linear rise from ``start`` over the first steps, then ``f = floor + (1 - floor) (1 + cos(pi t / T)) / 2``.

    Args:
        warm_up: share of the steps in the rise.
        start: factor of the first step of the rise.
        floor: factor that the fall approaches.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts; the warm-up as in timm.
    """

    def __init__(self, *, warm_up: Share = 0.05, start: Share = 0.01, floor: Share = 0.0) -> None:
        self.warm_up = warm_up
        self.start = start
        self.floor = floor

    def __call__(self, now: Elapsed) -> float:
        """Return the factor of a step."""
        rise = round(self.warm_up * now.steps)
        if now.step < rise:
            return self.start + (1 - self.start) * now.step / rise
        share = (now.step - rise) / max(1, now.steps - rise)
        return self.floor + (1 - self.floor) * _rise(1 - share)


class StepwiseDecay:
    """``f = factor ^ (epoch // every)``.

    Args:
        every: epochs between two falls.
        factor: of each fall.
    """

    def __init__(self, *, every: PositiveInt = 30, factor: Less = 0.1) -> None:
        self.every = every
        self.factor = factor

    def __call__(self, now: Elapsed) -> float:
        """Return the factor of an epoch."""
        return float(self.factor ** (now.epoch // self.every))


class PolynomialDecay:
    """``f = (1 - step / steps) ^ power``.

    Args:
        power: 1 falls in a straight line.
    """

    def __init__(self, *, power: PositiveFloat = 1.0) -> None:
        self.power = power

    def __call__(self, now: Elapsed) -> float:
        """Return the factor of a step."""
        return float((1 - now.step / now.steps) ** self.power)


class PlateauDecay:
    """Fall each time the validation has not improved more than ``patience`` times in a row.

    Args:
        watch: the validation loss or the validation AUC.
        factor: of each fall.
        patience: validations without improvement that are borne.
        threshold: relative improvement that counts.
        floor: factor below which it does not fall.

    Source: torch's ReduceLROnPlateau, as a function of the epochs validated so far.
    """

    def __init__(
        self,
        *,
        watch: Literal["loss", "auc"] = "loss",
        factor: Less = 0.1,
        patience: NonNegativeInt = 10,
        threshold: Share = 1e-4,
        floor: Share = 0.0,
    ) -> None:
        self.watch = watch
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.floor = floor

    def __call__(self, now: Elapsed) -> float:
        """Return the factor after the epochs validated so far."""
        found, best, borne = 1.0, math.inf, 0
        for each in now.validated:
            value = each.loss if self.watch == "loss" else each.auc
            cost = math.inf if value is None else value if self.watch == "loss" else -value
            if cost < best - self.threshold * abs(best) if math.isfinite(best) else cost < best:
                best, borne = cost, 0
            else:
                borne += 1
            if borne > self.patience:
                found, borne = max(found * self.factor, self.floor), 0
        return found


def _rise(share: float) -> float:
    return (1 - math.cos(math.pi * share)) / 2
