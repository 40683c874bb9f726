"""Measure the classification within groups of exams: of a side, a data set, a class of a target, a range of numbers."""

from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gazekit.disk.suggestion import did_you_mean
from gazekit.errors import ConfigurationError
from gazekit.measures.catalogue import SUBGROUP
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.evaluate import measure_classes, pooled_of
from gazekit.measures.offered import OfferedMetrics
from gazekit.measures.statistics.intervals import Interval
from gazekit.measures.units import side_of
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Floats, Integers

_MOST_VALUES = 10
"""Different numbers of a covariate that are separate groups (ours)."""


@dataclass(frozen=True, slots=True, eq=False)
class ExamGroups:
    """A way to group exams.

    Args:
        by: what they are grouped by.
        names: of the groups.
        group: of each exam of the data set, ``[N]``, -1 where it is not known.
    """

    by: str
    names: Sequence[str]
    group: Integers


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The exams of a group that were predicted, and their measures; none if they are of one class or one patient."""

    by: str
    exams: Pooled
    measures: Mapping[str, Interval]


def groupings(dataset: PreparedDataset, by: Sequence[str]) -> list[ExamGroups]:
    """Group the exams of a data set in one or several ways.

    Args:
        dataset: to group.
        by: ``"side"``, ``"dataset"``, a further target, or a covariate, with the edges of its ranges if it has many
            values: ``"age:50,65"`` makes age < 50, 50 <= age < 65 and age >= 65.

    Raises:
        ConfigurationError: a name that the data do not know, that comes twice or that means two things, or edges that
            are missing or do not rise.
    """
    found = [_grouping(dataset, each) for each in by]
    for name, times in Counter(each.by for each in found).items():
        if times > 1:
            raise ConfigurationError(
                f"exams are grouped by {name} twice; give it once, with all of its edges"
            )
    return found


def measure_subgroups(
    dataset: PreparedDataset,
    predictions: Predictions,
    given: Sequence[ExamGroups],
    *,
    metrics: OfferedMetrics | None = None,
    resamples: int = 2000,
) -> dict[str, Subgroup]:
    """Measure each group that has predicted exams, as if there were no others; name → subgroup."""
    everyone, found = pooled_of(dataset, predictions), dict[str, Subgroup]()
    for grouping in given:
        names = [*grouping.names, f"{grouping.by} not known"]  # the last is number -1
        of_exams = [names[number] for number in grouping.group[predictions.indices]]
        for name in dict.fromkeys(names):
            exams = everyone.at([row for row, own in enumerate(of_exams) if own == name])
            if not exams.exam_ids:
                continue
            measures: Mapping[str, Interval] = {}
            if len(set(exams.labels.tolist())) > 1 and len(set(exams.patient_ids)) > 1:
                measures = measure_classes(
                    exams, threshold=predictions.threshold, metrics=metrics, resamples=resamples
                )
            found[name] = Subgroup(grouping.by, exams, measures)
    return found


def limits_of_subgroups(found: Collection[str], measured: Container[str]) -> Iterator[str]:
    """Say what the measures of subgroups cannot tell, a sentence each.

    Args:
        found: the groups of measures that subgroups have (``by_side L``).
        measured: those that hold measures, among others.
    """
    if left_out := [group.removeprefix(SUBGROUP) for group in found if group not in measured]:
        yield f"Subgroups of one class or one patient are not measured: {', '.join(left_out)}."
    if found:
        yield (
            "The more subgroups, and the fewer patients in them, the more often two differ by chance: their intervals "
            "are no tests of a difference."
        )


def _grouping(dataset: PreparedDataset, given: str) -> ExamGroups:
    known = _known(dataset)
    name, colon, edges = given.rpartition(":")
    if given in known or not colon:
        name, colon = given, ""
    if name not in known:
        ways = [f"{each}[:EDGE,…]" if each in dataset.covariates else each for each in dict.fromkeys(known)]
        raise ConfigurationError(
            f"exams cannot be grouped by '{name}'{did_you_mean(name, known)}; {dataset.root} can be grouped by "
            + (", ".join(ways) or "nothing: no exam says a side, data set, target or covariate")
        )
    if known.count(name) > 1:
        raise ConfigurationError(
            f"exams cannot be grouped by '{name}', which is {known.count(name)} things in {dataset.root}; prepare the "
            "data with another name of the target or covariate"
        )
    if name in dataset.covariates:
        numbers = dataset.covariates[name]
        return _by_range(name, numbers, edges) if colon else _by_value(name, numbers)
    if colon:
        raise ConfigurationError(f"{name} has no numbers to divide at {edges}; group by {name} alone")
    if name in dataset.targets:
        return ExamGroups(
            name, [f"{name} {each}" for each in dataset.target_classes[name]], dataset.targets[name]
        )
    return _by_word(name, _sides(dataset) if name == "side" else dataset.datasets)


def _known(dataset: PreparedDataset) -> list[str]:
    """List what exams can be grouped by."""
    words = {"side": any(_sides(dataset)), "dataset": any(dataset.datasets)}
    return [*(name for name, some in words.items() if some), *dataset.targets, *dataset.covariates]


def _sides(dataset: PreparedDataset) -> list[str]:
    return [side_of(dataset, exam) for exam in range(len(dataset))]


def _by_word(name: str, words: Sequence[str]) -> ExamGroups:
    different = sorted({*words} - {""})
    group = [different.index(word) if word else -1 for word in words]
    return ExamGroups(name, [f"{name} {word}" for word in different], np.array(group))


def _by_value(name: str, numbers: Floats) -> ExamGroups:
    known = ~np.isnan(numbers)
    different = np.unique(numbers[known])
    if len(different) > _MOST_VALUES:
        edges = np.unique(np.quantile(numbers[known], [1 / 3, 2 / 3], method="nearest"))
        raise ConfigurationError(
            f"{name} has {len(different)} different values, more than {_MOST_VALUES}; say where to divide them: "
            f"{name}:{','.join(map(_digits, edges))}"
        )
    group = np.where(known, np.searchsorted(different, numbers), -1)
    return ExamGroups(name, [f"{name} {_digits(number)}" for number in different], group)


def _by_range(name: str, numbers: Floats, words: str) -> ExamGroups:
    try:
        edges = [float(word) for word in words.split(",")]
    except ValueError:
        edges = []
    if not edges or not np.isfinite(edges).all() or any(low >= high for low, high in pairwise(edges)):
        raise ConfigurationError(
            f"{name}:{words}: expected numbers that rise, between commas, such as {name}:50,65"
        )
    between = [f"{_digits(low)} <= {name} < {_digits(high)}" for low, high in pairwise(edges)]
    names = [f"{name} < {_digits(edges[0])}", *between, f"{name} >= {_digits(edges[-1])}"]
    return ExamGroups(
        name, names, np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="right"))
    )


def _digits(number: float) -> str:
    """Write a number with as many digits as it needs: different numbers differ."""
    return np.format_float_positional(number, trim="-")
