"""Choose the next point of a tuning: random or by TPE, from the seed and the finished trials alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import floor, log10, prod
from typing import Any, Literal

import numpy as np

from gazekit.errors import ConfigurationError
from gazekit.presets.layers import override_layer
from gazekit.presets.preset import Preset
from gazekit.presets.tables import Space, ValueRange
from gazekit.registry.distribution import install_command

Sampler = Literal["random", "tpe"]
Point = dict[str, Any]
"""Key of a preset → value."""
_DIGITS = 3
"""Significant digits of a drawn number, so that names stay short; more where a range is narrow."""
_DRAWN_FIRST = 5
"""Trials that TPE draws at random before it learns from their values."""
_ATTEMPTS = 50
"""Draws of points that were tried before, after which any other point is taken."""


@dataclass(frozen=True, slots=True)
class TriedPoint:
    """A tried point and its mean validation AUC; None if one of its runs failed."""

    point: Point
    value: float | None


def check_installed(sampler: str) -> None:
    """Raise ConfigurationError if Optuna, which draws the points, is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            f"the sampler {sampler} needs Optuna; install it with: {install_command('tune')}"
        ) from None


def suggest(space: Space, trials: Sequence[TriedPoint], *, sampler: Sampler, seed: int) -> Point:
    """Suggest the point of the next trial, a function of the seed and the earlier trials.

    Args:
        space: key → values, or a range.
        trials: all earlier trials, in order.
        sampler: ``random``, or ``tpe``: the tree-structured Parzen estimator.
        seed: of the draws.

    Raises:
        ConfigurationError: Optuna is not installed.

    Source: Bergstra et al. 2011, https://papers.nips.cc/paper/4443; Akiba et al. 2019, doi:10.1145/3292500.3330701.
    """
    check_installed(sampler)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[Sampler, Any] = {
        "random": optuna.samplers.RandomSampler,
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=_DRAWN_FIRST),
    }
    axes: dict[str, optuna.distributions.BaseDistribution] = {
        key: optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
        if isinstance(axis, ValueRange)
        else optuna.distributions.CategoricalDistribution([json.dumps(value) for value in axis])
        for key, axis in space.items()
    }
    told = [
        optuna.trial.create_trial(
            params={
                key: value if isinstance(space[key], ValueRange) else json.dumps(value)
                for key, value in trial.point.items()
            },
            distributions=axes,
            value=trial.value,
            state=optuna.trial.TrialState.FAIL if trial.value is None else optuna.trial.TrialState.COMPLETE,
        )
        for trial in trials
    ]
    tried = [trial.point for trial in trials]
    point: Point = {}
    drawn_by = np.uint32(0)
    for attempt in range(_ATTEMPTS):
        (drawn_by,) = np.random.SeedSequence([seed, len(trials), attempt]).generate_state(1)
        study = optuna.create_study(direction="maximize", sampler=samplers[sampler](seed=int(drawn_by)))
        study.add_trials(told)
        drawn = study.ask(axes).params
        point = {
            key: _rounded(drawn[key], axis) if isinstance(axis, ValueRange) else json.loads(drawn[key])
            for key, axis in space.items()
        }
        if point not in tried:
            return point
    left = [each for each in _points(space) if each not in tried]
    return left[int(drawn_by) % len(left)] if left else point


def _points(space: Space) -> list[Point]:
    """List all points of a space; none if a range makes them endless."""
    if size(space) is None:
        return []
    return [dict(zip(space, values, strict=True)) for values in product(*map(tuple, space.values()))]


def own_point(preset: Preset, space: Space) -> Point | None:
    """Return the values that the preset has itself; None if one of them lies outside the space."""
    point = {}
    for key, axis in space.items():
        value = value_at(preset, key)
        if isinstance(axis, ValueRange):
            if not (isinstance(value, int | float) and axis.low <= value <= axis.high):
                return None
            point[key] = value
        elif value in axis:
            point[key] = axis[axis.index(value)]
        else:
            return None
    return point


def value_at(preset: Preset, key: str) -> Any:
    """Return the value of a resolved preset at ``key.path``, ``"none"`` where it is absent; of a component its name."""
    value: Any = preset.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    value = value.get("use") if isinstance(value, Mapping) else value
    return "none" if value is None else value


def values_to_check(axis: ValueRange | tuple[Any, ...]) -> tuple[Any, ...]:
    """Return all values of a list; of a range its ends, and a number between, whole only if all that are drawn are."""
    return (axis.low, axis.high, _rounded(axis.low + 0.5, axis)) if isinstance(axis, ValueRange) else axis


def changes(point: Point) -> tuple[str, ...]:
    """Return the ``key=value`` items of a point."""
    return tuple(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in point.items()
    )


def point_of(items: Sequence[str]) -> Point:
    """Read back the items of ``changes``."""
    return {".".join(key).removesuffix(".use"): leaf.value for key, leaf in override_layer(items).items()}


def size(space: Space) -> int | None:
    """Count the points of a space; None if a range makes them endless."""
    if any(isinstance(axis, ValueRange) for axis in space.values()):
        return None
    return prod(len(axis) for axis in space.values() if isinstance(axis, tuple))


def _rounded(value: float, axis: ValueRange) -> float:
    """Round to three significant digits, or to as many more as leave a range at least 20 numbers."""
    alike = log10(2 * max(abs(axis.low), abs(axis.high)) / (axis.high - axis.low))
    return min(max(float(f"{value:.{_DIGITS + max(floor(alike), 0)}g}"), axis.low), axis.high)
