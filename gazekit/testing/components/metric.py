"""The contract of metrics."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gazekit.records.arrays import Floats, Integers
from gazekit.registry.signature import options_of
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise

_EXAMS = 30


class MetricContract(Contract):
    """A metric of two classes or more, a number or NaN, the same for exams in any order."""

    kind = "metric"

    def test_no_options(self) -> None:
        """No options: a name is the same number in every run, page and study."""
        options = [option.name for option in options_of(self.component)]
        promise(self.component, "to have no options", not options, options)

    def test_values(self) -> None:
        """One number for two classes or more, inside its scale, or NaN; a number for one of them at least."""
        values = {name: self._value(self.make(), *given) for name, given in self._cases()}
        finite = {name: value for name, value in values.items() if not math.isnan(value)}
        promise(self.component, "a number for some of the predictions", bool(finite), values)
        low, high = getattr(self.component, "scale", None) or (-math.inf, math.inf)
        outside = {name: value for name, value in finite.items() if not low - 1e-9 <= value <= high + 1e-9}
        promise(self.component, f"values from {low} to {high}, its scale", not outside, outside)

    def test_direction(self) -> None:
        """No worse for predictions that are all right than for those that are all wrong, as its direction says."""
        metric, sign = self.make(), 1 if self.component.higher_is_better else -1
        for classes in (2, 3):
            truth = np.arange(_EXAMS) % classes
            right = self._value(metric, truth, np.eye(classes)[truth])
            wrong = self._value(metric, truth, np.eye(classes)[(truth + 1) % classes])
            promise(
                self.component,
                f"higher_is_better = {self.component.higher_is_better}",
                not sign * right < sign * wrong,
                f"{right} for predictions of {classes} classes that are all right, {wrong} for all wrong ones",
            )

    def test_one_class(self) -> None:
        """A number or NaN, and no error, where a resample holds exams of one class alone."""
        for name, (truth, given) in self._cases():
            kept = truth == truth[0]
            self._value(self.make(), truth[kept], given[kept], where=f"{name}, one class alone")

    def test_order(self) -> None:
        """The same for exams in another order, and when called again; arrays left as they are."""
        metric = self.make()
        for name, (truth, given) in self._cases():
            before = truth.copy(), given.copy()
            first = self._value(metric, truth, given)
            turned = self._value(metric, truth[::-1].copy(), given[::-1].copy())
            promise(
                self.component, "the same in another order", _equal(first, turned), f"{turned} for {name}"
            )
            again = self._value(metric, truth, given)
            promise(self.component, "the same when called again", _equal(first, again), f"{again} for {name}")
            kept = np.array_equal(truth, before[0]) and np.array_equal(given, before[1])
            promise(self.component, "to leave its arrays as they are", kept, name)

    def test_weights(self) -> None:
        """Where it has ``weighted``: the same as of the exams repeated by their weights, row by row; arrays left."""
        metric: Any = self.make()
        if not hasattr(metric, "weighted"):
            return  # it does not concern the others
        for name, (truth, given) in self._cases():
            weights = np.random.default_rng(1).integers(0, 4, (3, _EXAMS)).astype(np.float64)
            weights[1] *= truth != 1  # a resample may lack a class
            before = truth.copy(), given.copy(), weights.copy()
            found = np.asarray(metric.weighted(truth, given, weights))
            kept = all(map(np.array_equal, (truth, given, weights), before))
            promise(self.component, "weighted to leave its arrays as they are", kept, name)
            promise(self.component, "a number per row of weights", found.shape == (3,), found.shape)
            for row, value in zip(weights.astype(int), found, strict=True):
                expected = self._value(metric, np.repeat(truth, row), np.repeat(given, row, axis=0))
                promise(
                    self.component,
                    f"weighted as of repeated exams: {expected}",
                    _equal(expected, float(value)),
                    f"{value} for {name}",
                )
            metric.weighted(truth, given, (truth == truth[0])[None].astype(np.float64))

    def test_leaving_out(self) -> None:
        """Where it has ``leaving_out``: the same as of the exams of all patients but one, patient by patient."""
        metric: Any = self.make()
        if not hasattr(metric, "leaving_out"):
            return  # it does not concern the others
        for name, (truth, given) in self._cases():
            patient = np.random.default_rng(2).permutation(np.arange(_EXAMS) % (_EXAMS // 2))
            found = np.asarray(metric.leaving_out(truth, given, patient))
            promise(self.component, "a number per patient", found.shape == (_EXAMS // 2,), found.shape)
            for number, value in enumerate(found):
                kept = patient != number
                expected = self._value(metric, truth[kept], given[kept])
                promise(
                    self.component,
                    f"left out as without that patient: {expected}",
                    _equal(expected, float(value)),
                    f"{value} for {name}",
                )

    def _value(self, metric: Any, truth: Integers, given: Floats, *, where: str = "") -> float:
        try:
            with np.errstate(all="ignore"):
                value = metric(truth, given)
        except Exception as error:
            promise(self.component, "to raise nothing", False, f"{error!r}{where and f' for {where}'}")
            raise
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        promise(self.component, "a number", number, repr(value))
        promise(self.component, "a finite number or NaN", not math.isinf(value), repr(value))
        return float(value)

    def _cases(self) -> Iterator[tuple[str, tuple[Integers, Floats]]]:
        """Truth and predictions by name, fresh ones each time."""
        random = np.random.default_rng(0)
        for classes in (2, 3, 5):
            truth = np.arange(_EXAMS) % classes
            for name, lean in {"a good model": 2.0, "a guessing model": 0.0}.items():
                logits = random.normal(size=(_EXAMS, classes)) + lean * np.eye(classes)[truth]
                given = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                if getattr(self.component, "reads", "probabilities") == "calls":
                    given = np.eye(classes)[given.argmax(axis=1)]
                yield f"{name} of {classes} classes", (truth, given)
        yield "all alike", (np.arange(_EXAMS) % 2, np.tile([0.0, 1.0], (_EXAMS, 1)))


def _equal(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
