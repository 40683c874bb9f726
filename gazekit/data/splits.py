"""Training, validation and test parts: by patient, stratified by label."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazekit.data.index import read_table, write_table
from gazekit.data.prepared import PreparedDataset
from gazekit.errors import ConfigurationError, DataError

PARTS = ("train", "val", "test")
COLUMNS = ("exam_id", "patient_id", "label", "split")
Split = dict[str, str]
"""exam_id → ``"train"``, ``"val"`` or ``"test"``."""
Group = tuple[int, ...]
"""Exams that may not be parted, as indices: of one patient, or joined by an identical image."""


def make_split(dataset: PreparedDataset, *, seed: int = 0, test: float = 0.3, val: float = 0.2) -> Split:
    """Split a data set by patient, stratified by label; a split that the source gives is respected.

    A patient's label is the greatest over its exams; patients that share an identical image count as one.
    Where the source gives a split without a validation part, that is carved from its training part.

    Args:
        dataset: what to split.
        seed: of the random order of the patients.
        test: part of the patients of each class in the test part, in [0, 1).
        val: part of the other patients in the validation part, in [0, 1).

    Raises:
        ConfigurationError: a fraction outside [0, 1).
        DataError: a class has too few patients for the parts asked for.
    """
    for name, fraction in (("test", test), ("val", val)):
        if not 0 <= fraction < 1:
            raise ConfigurationError(f"split: {name} is {fraction}; expected a fraction from 0 to below 1")
    if dataset.split is not None:
        split = dict(zip(dataset.exam_ids, dataset.split, strict=True))
        if "val" not in dataset.split:
            training = [i for i, part in enumerate(dataset.split) if part == "train"]
            split |= _carve_validation(dataset, training, val, seed)
    else:
        rest: list[int] = []
        split = {}
        for groups in _strata(dataset, range(len(dataset)), seed, least=1 + (test > 0) + (val > 0)):
            number = _share(len(groups), test, kept=1 + (val > 0))
            split |= _assign(dataset, groups[:number], "test")
            rest += [exam for group in groups[number:] for exam in group]
        split |= _carve_validation(dataset, rest, val, seed)
    split = {exam_id: split[exam_id] for exam_id in dataset.exam_ids}
    check_split(dataset, split)
    return split


def k_folds(dataset: PreparedDataset, folds: int, seed: int = 0, *, val: float = 0.2) -> list[Split]:
    """Splits whose test parts are disjoint and cover the data set, each with validation carved from the rest.

    Args:
        dataset: what to split; a split that its source gives is not looked at.
        folds: how many, at least 2.
        seed: of the random order of the patients.
        val: part of the other patients in the validation part, in [0, 1).

    Raises:
        ConfigurationError: fewer than two folds.
        DataError: a class has fewer patients than there are folds.
    """
    if folds < 2:
        raise ConfigurationError(f"split: {folds} folds; expected at least 2")
    fold_of = np.zeros(len(dataset), dtype=np.int64)
    dealt = 0
    for groups in _strata(dataset, range(len(dataset)), seed, least=max(folds, 2 + (val > 0))):
        for group in groups:
            fold_of[list(group)] = dealt % folds
            dealt += 1  # goes on over the classes, so that no fold gets every remainder
    splits = []
    for fold in range(folds):
        rest = np.flatnonzero(fold_of != fold).tolist()
        split = dict.fromkeys(dataset.exam_ids, "test") | _carve_validation(dataset, rest, val, seed)
        check_split(dataset, split)
        splits.append(split)
    return splits


def check_split(dataset: PreparedDataset, split: Mapping[str, str]) -> None:
    """Raise a DataError if a split does not fit its data set, parts a patient, or has a part of one class."""
    missing = [exam_id for exam_id in dataset.exam_ids if exam_id not in split]
    unknown = sorted(set(split) - set(dataset.exam_ids))
    if missing or unknown:
        wrong = f"lacks exam {missing[0]}" if missing else f"names exam {unknown[0]}, which the data have not"
        number = len(missing) + len(unknown)
        raise DataError(
            f"the split {wrong} ({number} such); expected exactly the {len(dataset)} exams of the data"
        )
    first: dict[str, str] = {}
    classes: dict[str, set[int]] = defaultdict(set)
    for exam_id, patient, label in zip(dataset.exam_ids, dataset.patient_ids, dataset.labels, strict=True):
        part = split[exam_id]
        if part not in PARTS:
            raise DataError(f"the split puts exam {exam_id} in '{part}'; expected {', '.join(PARTS)}")
        other = first.setdefault(patient, exam_id)
        if split[other] != part:
            raise DataError(
                f"patient {patient} is on two sides of the split: exam {other} in {split[other]}, exam {exam_id} "
                f"in {part}; expected all exams of a patient in one part"
            )
        classes[part].add(int(label))
    for first_exam, *others in dataset.duplicates:
        for other in others:
            if split[other] != split[first_exam]:
                raise DataError(
                    f"exams {first_exam} and {other} hold an identical image but are in {split[first_exam]} and "
                    f"{split[other]}; expected them in one part"
                )
    if "train" not in classes:
        raise DataError("the split has no training part; expected exams in train")
    for part, labels in classes.items():
        if len(labels) < 2:
            name = dataset.classes[labels.pop()]
            raise DataError(
                f"one class only: every exam of the {part} part is '{name}'; expected at least two classes in it"
            )


def write_split(path: Path, dataset: PreparedDataset, split: Mapping[str, str]) -> None:
    """Write a split as CSV with the columns exam_id, patient_id, label, split. Raises: StorageError."""
    labels = [dataset.classes[label] for label in dataset.labels]
    exams = zip(dataset.exam_ids, dataset.patient_ids, labels, strict=True)
    write_table(path, COLUMNS, ((*exam, split[exam[0]]) for exam in exams))


def read_split(path: Path) -> Split:
    """Read what :func:`write_split` wrote. Raises: DataError when it is damaged or an exam comes twice."""
    split: Split = {}
    for number, row in enumerate(read_table(path, ("exam_id", "split")), start=2):
        if row["exam_id"] in split:
            raise DataError(f"{path}: row {number}: exam {row['exam_id']} comes again; expected it once")
        split[row["exam_id"]] = row["split"]
    return split


def indices_of(dataset: PreparedDataset, split: Mapping[str, str], part: str) -> NDArray[np.int64]:
    """Positions of a part's exams in the data set, in its order, ``[n]``."""
    return np.array([i for i, exam in enumerate(dataset.exam_ids) if split[exam] == part], dtype=np.int64)


def _carve_validation(dataset: PreparedDataset, training: Sequence[int], val: float, seed: int) -> Split:
    """Divide training exams into training and validation."""
    split: Split = {}
    for groups in _strata(dataset, training, seed, least=1 + (val > 0)):
        number = _share(len(groups), val, kept=1)
        split |= _assign(dataset, groups[:number], "val") | _assign(dataset, groups[number:], "train")
    return split


def _share(groups: int, fraction: float, *, kept: int) -> int:
    """A fraction of the groups: one at least, unless it is 0, and not the last ones that others need."""
    return min(max(round(fraction * groups), 1), groups - kept) if fraction > 0 else 0


def _assign(dataset: PreparedDataset, groups: Sequence[Group], part: str) -> Split:
    return {dataset.exam_ids[exam]: part for group in groups for exam in group}


def _strata(dataset: PreparedDataset, exams: Sequence[int], seed: int, *, least: int) -> list[list[Group]]:
    """Per class the groups of some exams, in a random order that depends on seed, class and exam ids only."""
    strata: dict[int, list[Group]] = defaultdict(list)
    for group in _groups(dataset, exams):
        strata[int(dataset.labels[list(group)].max())].append(group)
    if len(strata) < 2:
        name = dataset.classes[next(iter(strata))] if strata else "none"
        raise DataError(
            f"{dataset.root}: one class only among {len(exams)} exams to split: '{name}'; expected at least two"
        )
    ordered = []
    for label, groups in sorted(strata.items()):
        if len(groups) < least:
            raise DataError(
                f"{dataset.root}: class '{dataset.classes[label]}' has {len(groups)} patients to split; expected "
                f"at least {least}, one for each part"
            )
        order: NDArray[np.int64] = np.random.default_rng([seed, label]).permutation(len(groups))
        ordered.append([groups[i] for i in order])
    return ordered


def _groups(dataset: PreparedDataset, exams: Sequence[int]) -> list[Group]:
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
