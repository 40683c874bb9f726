"""Exams that may not be parted, and the strata from which they are dealt: by label, and by data set within it."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gazekit.data.prepared import PreparedDataset
from gazekit.errors import DataError

Group = tuple[int, ...]
"""Exams that may not be parted, as indices: of one patient, or joined by an identical image."""


def strata(
    dataset: PreparedDataset, exams: Sequence[int], seed: int, *, least: int, repeat: int = 0
) -> list[list[Group]]:
    """The groups of some exams by stratum, each in a random order.

    A group's label is the greatest of its exams. Within a label there is a stratum per data set, where that has
    ``least`` groups; the rest of the label is one more. The order depends on seed, repeat, stratum and exam ids only.

    Raises:
        DataError: one class only, or a class with fewer than ``least`` groups.
    """
    labels: dict[int, list[Group]] = defaultdict(list)
    for group in groups(dataset, exams):
        labels[int(dataset.labels[list(group)].max())].append(group)
    if len(labels) < 2:
        name = dataset.classes[next(iter(labels))] if labels else "none"
        raise DataError(
            f"{dataset.root}: one class only among {len(exams)} exams to split: '{name}'; expected at least two"
        )
    ordered = []
    for label, members in sorted(labels.items()):
        if len(members) < least:
            raise DataError(
                f"{dataset.root}: class '{dataset.classes[label]}' has {len(members)} patients to split; expected "
                f"at least {least}, one for each part"
            )
        for position, stratum in enumerate(_by_dataset(dataset, members, least)):
            generator = np.random.default_rng([seed, label, position, repeat])
            order: NDArray[np.int64] = generator.permutation(len(stratum))
            ordered.append([stratum[i] for i in order])
    return ordered


def _by_dataset(dataset: PreparedDataset, members: Sequence[Group], least: int) -> list[list[Group]]:
    """Groups by the data set of their exams; those too few for a stratum of their own are put together."""
    found: dict[str, list[Group]] = defaultdict(list)
    for group in members:
        found["+".join(sorted({dataset.datasets[exam] for exam in group}))].append(group)
    large = [found[name] for name in sorted(found) if len(found[name]) >= least]
    rest = [group for name in sorted(found) if len(found[name]) < least for group in found[name]]
    if len(rest) >= least:
        return [*large, rest]
    return [[*large[0], *rest], *large[1:]] if large else [rest]


def groups(dataset: PreparedDataset, exams: Sequence[int]) -> list[Group]:
    """Exams of one patient together, patients with an identical image too; ordered by exam id."""
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
