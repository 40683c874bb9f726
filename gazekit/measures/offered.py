"""Compute the metrics that plugins offer: each like the core's own, and a failing one costs a warning alone."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gazekit.errors import GazekitError
from gazekit.measures.catalogue import MEASURES, Measure
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.comparing.systems import Difference
from gazekit.measures.statistics.intervals import (
    Interval,
    WeightedStatistic,
    paired_bootstrap,
    patient_bootstrap,
)
from gazekit.measures.statistics.leaving_out import LeavingOut, one_by_one
from gazekit.records.arrays import Floats, Integers
from gazekit.registry.component import Failure, Provenance, one_line
from gazekit.registry.isolation import foreign_code

if TYPE_CHECKING:  # it imports torch
    from gazekit.contracts.interfaces import Metric
    from gazekit.registry.registry import Registry

Obtained = TypeVar("Obtained")


@dataclass(frozen=True, slots=True)
class OfferedMetric:
    """A metric of a plugin, under its registered name."""

    name: str
    metric: "Metric"
    origin: Provenance

    @property
    def measure(self) -> Measure:
        """Its entry in the catalogue of measures."""
        metric: Any = self.metric
        meaning = getattr(metric, "meaning", (inspect.getdoc(type(metric)) or "").partition("\n")[0])
        if not metric.higher_is_better and "lower is better" not in meaning:
            meaning = f"{meaning.rstrip('.')}; lower is better"
        scale, chance = getattr(metric, "scale", None), getattr(metric, "chance", None)
        return Measure("classification", metric.title, meaning, scale, chance)

    def interval(self, exams: Pooled, called: Integers, *, resamples: int = 2000) -> Interval | None:
        """Measure predictions, with the 95 % interval over patients; None if the metric says nothing or fails.

        Args:
            exams: truth, patients and probabilities.
            called: the class that is called for each exam, ``[N]``.
            resamples: of the bootstrap.
        """

        def measure() -> Interval | None:
            # metrics sort the exams by their probabilities, in every resample: quick where they are sorted
            falling = np.argsort(-exams.probabilities[:, -1], kind="stable").tolist()
            sorted_exams, calls = exams.at(falling), called[falling]
            statistic = self._statistic(sorted_exams, calls)
            if math.isnan(float(statistic(np.ones((1, len(called))))[0])):
                return None
            return patient_bootstrap(
                statistic,
                sorted_exams.patient_ids,
                resamples=resamples,
                leaving_out=self._leaving_out(sorted_exams, calls),
            )

        return self._guarded(measure)

    def difference(
        self, system: Pooled, reference: Pooled, called: tuple[Integers, Integers], *, resamples: int = 2000
    ) -> Difference | None:
        """Compare two systems on the same exams; None if the metric says nothing or fails."""

        def compare() -> Difference | None:
            ours, theirs = (
                self._statistic(exams, calls)
                for exams, calls in zip((system, reference), called, strict=True)
            )
            everything = np.ones((1, len(called[0])))
            if math.isnan(float((ours(everything) - theirs(everything))[0])):
                return None
            return Difference(
                *paired_bootstrap(
                    lambda weights: ours(weights) - theirs(weights), system.patient_ids, resamples=resamples
                )
            )

        return self._guarded(compare)

    def _statistic(self, exams: Pooled, called: Integers) -> WeightedStatistic:
        """The metric as a function of how often each exam counts: ``[R, N]`` to ``[R]``."""
        metric: Any = self.metric
        truth, given = self._given(exams, called)
        if hasattr(metric, "weighted"):
            return lambda weights: np.asarray(metric.weighted(truth, given, weights), dtype=np.float64)

        def one(weights: Floats) -> float:
            counts = weights.astype(np.int64)
            return float(metric(np.repeat(truth, counts), np.repeat(given, counts, axis=0)))

        return lambda weights: np.array([one(row) for row in weights])

    def _leaving_out(self, exams: Pooled, called: Integers) -> LeavingOut:
        """The metric without each patient: as it computes that itself, else one by one."""
        metric: Any = self.metric
        truth, given = self._given(exams, called)
        if hasattr(metric, "leaving_out"):
            return lambda patient: np.asarray(metric.leaving_out(truth, given, patient), dtype=np.float64)
        kind = np.unique(np.column_stack([truth, given]), axis=0, return_inverse=True)[1]
        return partial(one_by_one, self._statistic(exams, called), kind=kind)

    def _given(self, exams: Pooled, called: Integers) -> tuple[Integers, Floats]:
        """Truth, and the probabilities or calls that the metric reads."""
        given: Floats = exams.probabilities.copy()  # a metric may change its arrays
        if getattr(self.metric, "reads", "probabilities") == "calls":
            given = np.eye(given.shape[1])[called]
        return np.array(exams.labels), given

    def _guarded(self, measure: Callable[[], Obtained | None]) -> Obtained | None:
        try:
            with foreign_code(self.origin, limited=False), np.errstate(all="ignore"):
                return measure()
        except (GazekitError, KeyboardInterrupt):
            raise
        except BaseException as error:  # even an exit
            warnings.warn(
                f"metric '{self.name}' of {self.origin} is left out: {one_line(error)}", stacklevel=2
            )
            return None


OfferedMetrics = Mapping[str, OfferedMetric]
"""Name → metric."""


def offered_metrics(registry: "Registry") -> dict[str, OfferedMetric]:
    """Make the metrics of all plugins; those that fail or take the name of a measure go to ``registry.failures``."""
    found = {}
    components = registry.components("metric")
    names = [component.name for component in components]
    for component in components:
        name, cause = component.name, ""
        if names.count(name) > 1:
            continue  # neither wins, as registry.contests() says
        if name in MEASURES:
            cause = "gazekit has a measure of this name; choose another"
        else:
            try:
                with foreign_code(component.provenance):
                    found[name] = OfferedMetric(name, component.value(), component.provenance)
            except Exception as error:
                cause = one_line(error)
        failure = Failure(component.provenance, f"metric '{name}'", cause, "metric")
        if cause and failure not in registry.failures:
            registry.failures.append(failure)
    return found


def measure_offered(
    metrics: OfferedMetrics, exams: Pooled, called: Integers, *, resamples: int = 2000
) -> dict[str, Interval]:
    """Measure predictions by every metric that has something to say; see ``OfferedMetric.interval``."""
    found = {name: metric.interval(exams, called, resamples=resamples) for name, metric in metrics.items()}
    return {name: interval for name, interval in found.items() if interval is not None}


def differences(
    metrics: OfferedMetrics,
    system: Pooled,
    reference: Pooled,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    resamples: int = 2000,
) -> dict[str, Difference]:
    """Compare two systems by every metric, on the exams that both predicted.

    Args:
        metrics: those that plugins offer.
        system, reference: predictions.
        thresholds: of both; the second of two classes is called above it.
        resamples: of the bootstrap.
    """
    ours, theirs = system.common(reference)
    if len(set(ours.patient_ids)) < 2:
        return {}
    called = (
        called_class(ours.probabilities, thresholds[0]),
        called_class(theirs.probabilities, thresholds[1]),
    )
    found = {
        name: metric.difference(ours, theirs, called, resamples=resamples) for name, metric in metrics.items()
    }
    return {name: difference for name, difference in found.items() if difference is not None}
