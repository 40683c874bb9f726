"""Group inseparable exams, and deal the groups from strata by label, and by data set within a label."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.labels import near_misses

Part = TypeVar("Part", str, int)
PatientGroup = tuple[int, ...]
"""Inseparable exams, as indices: of one patient, or joined by an identical image."""


def strata(
    dataset: PreparedDataset, exams: Sequence[int], seed: int, *, least: int, repeat: int = 0
) -> list[list[PatientGroup]]:
    """Return the groups of exams by stratum, each in random order.

    A group's label is the greatest of its exams. If a label has fewer than ``least`` groups, but other groups have its
    class besides a greater one, it joins the next greater label. Within a label there is a stratum per data set with
    at least ``least`` groups, and one for the rest. The order depends only on seed, repeat, stratum and exam
    ids.

    Raises:
        DataError: there is one class only, or fewer than ``least`` groups have a class.
    """
    labels: dict[int, list[PatientGroup]] = defaultdict(list)
    holders: Counter[int] = Counter()
    for group in groups(dataset, exams):
        labels[int(dataset.labels[list(group)].max())].append(group)
        holders.update({int(dataset.labels[exam]) for exam in group})
    if len(holders) < 2:
        name = dataset.classes[next(iter(holders))] if holders else "none"
        raise DataError(
            f"{dataset.root}: one class only among {len(exams)} exams to split: '{name}'; expected at least two"
        )
    for label in sorted(holders):
        if holders[label] < least:
            raise DataError(_too_few(dataset, exams, label, holders[label], least))
    ordered = []
    for label, members in _joined(labels, least).items():
        for position, stratum in enumerate(_by_dataset(dataset, members, least)):
            generator = np.random.default_rng([seed, label, position, repeat])
            order: NDArray[np.int64] = generator.permutation(len(stratum))
            ordered.append([stratum[i] for i in order])
    return ordered


def spread(
    labels: NDArray[np.int64],
    dealt: Sequence[Sequence[PatientGroup]],
    parts: MutableMapping[PatientGroup, Part],
    needs: Mapping[Part, int],
) -> None:
    """Exchange groups between parts until each part has the groups of every class that it needs, if possible.

    Two groups swap places, within a stratum if possible, so that sizes stay. Nothing changes if every
    part already has what it needs.

    Args:
        labels: of the data set, ``[N]``.
        dealt: the strata.
        parts: group → part; changed in place.
        needs: part → number of groups of each class it needs.
    """
    held = {group: frozenset(map(int, labels[list(group)])) for group in parts}
    lacking = [(label, part) for label in sorted(set().union(*held.values())) for part in needs]
    while any(_exchange(held, dealt, parts, needs, label, part) for label, part in lacking):
        pass  # an exchange may enable another


def _exchange(
    held: Mapping[PatientGroup, frozenset[int]],
    dealt: Sequence[Sequence[PatientGroup]],
    parts: MutableMapping[PatientGroup, Part],
    needs: Mapping[Part, int],
    label: int,
    part: Part,
) -> bool:
    """Give a part one more group with a label that it needs; return whether this was needed and possible."""
    if sum(label in held[group] for group in parts if parts[group] == part) >= needs[part]:
        return False
    pair = next(_exchanges(held, dealt, parts, needs, label, part), None)
    if pair is None:
        return False
    taken, given = pair
    parts[taken], parts[given] = parts[given], parts[taken]
    return True


def _exchanges(
    held: Mapping[PatientGroup, frozenset[int]],
    dealt: Sequence[Sequence[PatientGroup]],
    parts: Mapping[PatientGroup, Part],
    needs: Mapping[Part, int],
    label: int,
    part: Part,
) -> Iterator[tuple[PatientGroup, PatientGroup]]:
    """Pair groups with a label in other parts with groups without it in a part; pairs within a stratum come first."""
    counts = Counter((parts[group], each) for group in parts for each in held[group])

    def may_lose(place: Part, lost: frozenset[int]) -> bool:
        return all(counts[place, each] > needs[place] for each in lost)

    every = [group for stratum in dealt for group in stratum]
    for pool in (*dealt, every):
        takers = [group for group in pool if parts[group] != part and label in held[group]]
        givers = [group for group in pool if parts[group] == part and label not in held[group]]
        for taken in takers:
            for given in givers:
                if may_lose(parts[taken], held[taken] - held[given]) and may_lose(
                    part, held[given] - held[taken]
                ):
                    yield taken, given


def _joined(labels: Mapping[int, list[PatientGroup]], least: int) -> dict[int, list[PatientGroup]]:
    """Group by label; a label with fewer than ``least`` groups joins the next greater one. The greatest has as many."""
    joined: dict[int, list[PatientGroup]] = {}
    waiting: list[PatientGroup] = []
    for label, members in sorted(labels.items()):
        waiting += members
        if len(waiting) >= least:
            joined[label], waiting = waiting, []
    return joined


def _too_few(dataset: PreparedDataset, exams: Sequence[int], label: int, number: int, least: int) -> str:
    name = dataset.classes[label]
    near = near_misses(Counter(dataset.classes[dataset.labels[exam]] for exam in exams)).get(name)
    first = min(dataset.exam_ids[exam] for exam in exams if dataset.labels[exam] == label)
    advice = (
        f"did you mean '{near}' in exam {first}? Mend the label and prepare again"
        if near
        else "label more patients, or ask for fewer parts or folds"
    )
    joined = " (those that share an identical image count as one)" if dataset.duplicates else ""
    return (
        f"{dataset.root}: class '{name}' has {number} patient{'s' * (number != 1)} to split{joined}; expected at least "
        f"{least} for the requested parts; {advice}"
    )


def _by_dataset(
    dataset: PreparedDataset, members: Sequence[PatientGroup], least: int
) -> list[list[PatientGroup]]:
    """Group by the data set of their exams; data sets with too few groups share a stratum."""
    found: dict[str, list[PatientGroup]] = defaultdict(list)
    for group in members:
        found["+".join(sorted({dataset.datasets[exam] for exam in group}))].append(group)
    large = [found[name] for name in sorted(found) if len(found[name]) >= least]
    rest = [group for name in sorted(found) if len(found[name]) < least for group in found[name]]
    if len(rest) >= least:
        return [*large, rest]
    return [[*large[0], *rest], *large[1:]] if large else [rest]


def groups(dataset: PreparedDataset, exams: Sequence[int]) -> list[PatientGroup]:
    """Group exams by patient, joining patients with an identical image; ordered by exam id."""
    leader = {patient: patient for patient in dataset.patient_ids}
    patient_of = dict(zip(dataset.exam_ids, dataset.patient_ids, strict=True))

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    for first, *others in dataset.duplicates:
        for other in others:
            leader[find(patient_of[other])] = find(patient_of[first])
    members: dict[str, list[int]] = defaultdict(list)
    for exam in sorted(exams, key=lambda i: dataset.exam_ids[i]):
        members[find(dataset.patient_ids[exam])].append(exam)
    return [tuple(group) for group in members.values()]
