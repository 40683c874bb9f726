"""Run the contracts of everything a package brings, one result per promise."""

import unittest
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gazekit.errors import ConfigurationError
from gazekit.registry.component import Component, in_words, one_line
from gazekit.registry.registry import HOOKS, Registry
from gazekit.registry.signature import validate
from gazekit.testing import CONTRACTS, contract
from gazekit.testing.contract import Contract
from gazekit.testing.plugin import check_preset


@dataclass(frozen=True, slots=True)
class Result:
    """The result of checking one promise.

    Args:
        what: the component, or the plugin.
        promise: text of the promise.
        status: ``ok``, ``failed`` or ``not checked``.
        cause: the actual result, or why it was not checked.
        case: the smallest failing case, if there are several.
    """

    what: str
    promise: str
    status: str = "ok"
    cause: str = ""
    case: str = ""


def check_package(
    registry: Registry,
    distribution: str,
    *,
    options: Mapping[str, Mapping[str, Any]],
    samples: Mapping[str, Path],
) -> Iterator[Result]:
    """Check a distribution: that it loads, and each of its components and presets.

    Args:
        registry: contains the distribution; all hooks have been called.
        distribution: name of the distribution to check.
        options: name of a component → options to build it with.
        samples: name of a data set or gaze reader → a folder or file that it reads.

    Raises:
        ConfigurationError: options or samples name an unknown component or option.
    """
    found = [
        component
        for kind in HOOKS
        for component in registry.components(kind)
        if component.provenance.distribution == distribution
    ]
    unknown = {*options, *samples} - {component.name for component in found}
    if unknown:
        raise ConfigurationError(
            f"'{min(unknown)}' is no component of {distribution}; there are {', '.join(each.name for each in found)}"
        )
    for failure in registry.failures:
        if failure.provenance.distribution == distribution:
            yield Result(
                failure.what, "Loads, and everything it offers can be used.", "failed", failure.cause
            )
    for component in found:
        what = f"{in_words(component.kind)} {component.name}"
        if component.kind in CONTRACTS:
            yield from _check(component, what, options.get(component.name, {}), samples.get(component.name))
        else:
            promise = "Resolves, is built, takes one training step."
            yield _attempt(what, promise, partial(_check_preset, component.name, registry))


def _check(
    component: Component, what: str, options: Mapping[str, Any], sample: Path | None
) -> Iterator[Result]:
    checked, problems = validate(component.value, options)
    if problems:
        lines = "; ".join(f"'{key}': {message}" for key, message in problems)
        raise ConfigurationError(f"--set {component.name}: {lines}")
    tests: type[Contract] = contract(
        component.kind, component.value, **{key: checked[key] for key in options}
    )
    if sample is not None:
        tests.sample = sample  # type: ignore[attr-defined]
    for name, promise in tests.promises().items():
        yield _attempt(what, promise, getattr(tests(), name))


def _check_preset(name: str, registry: Registry) -> None:
    check_preset(registry.preset(name), registry)


def _attempt(what: str, promise: str, test: Any) -> Result:
    try:
        test()
    except unittest.SkipTest as error:
        return Result(what, promise, "not checked", str(error))
    except Exception as error:
        cause = str(error) if isinstance(error, AssertionError) else one_line(error)
        return Result(what, promise, "failed", cause, "; ".join(getattr(error, "__notes__", ())))
    return Result(what, promise)
