"""Make and check training, validation and test parts, by patient and stratified by label."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazekit.disk.own_files import MIB, FileKind, opened
from gazekit.disk.plain_text import from_cell
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import write_table
from gazekit.prepared.leaks import Leak, find_leak
from gazekit.prepared.strata import PatientGroup, spread, strata
from gazekit.reading.tables.table import open_table

PARTS = ("train", "val", "test")
COLUMNS = ("exam_id", "patient_id", "label", "split")
_OTHER_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
KIND = FileKind(
    "a table of which exam is in which part", 16 * MIB, "write it again with gazekit data split", linked=True
)
Split = dict[str, str]
"""exam_id → ``"train"``, ``"val"`` or ``"test"``."""


def make_split(
    dataset: PreparedDataset,
    *,
    seed: int = 0,
    test: float = 0.3,
    val: float = 0.2,
    anew: bool = False,
    allow_leak: bool = False,
) -> Split:
    """Split a data set by patient, stratified by label and data set; use the source's split if there is one.

    A patient's label is the greatest over the patient's exams; patients who share an identical image count as one. If a
    part would lack a class that some patients have besides a greater one, patients are exchanged between parts.
    If the source's split has no validation part, one is taken from its training part.

    Args:
        dataset: what to split.
        seed: of the random order of the patients.
        test: share of the patients of each class in the test part, in [0, 1).
        val: part of the other patients in the validation part, in [0, 1).
        anew: ignore the source's split.
        allow_leak: use the source's split even if it puts a patient on two sides.

    Raises:
        ConfigurationError: a fraction outside [0, 1).
        DataError: a class has too few patients for the requested parts, or the source's split leaks.
    """
    for name, fraction in (("test", test), ("val", val)):
        if not 0 <= fraction < 1:
            raise ConfigurationError(f"split: {name} is {fraction}; expected a fraction from 0 to below 1")
    if dataset.parts is not None and not anew:
        split = dict(zip(dataset.exam_ids, dataset.parts, strict=True))
        if "val" not in dataset.parts:
            training = [i for i, part in enumerate(dataset.parts) if part == "train"]
            split |= _carve_val(dataset, training, val, seed)
    else:
        dealt = strata(dataset, range(len(dataset)), seed, least=1 + (test > 0) + (val > 0))
        needs = {"test": int(test > 0), "train": 1 + (val > 0)}
        parts = _divide(dealt, test, "test", kept=1 + (val > 0))
        spread(dataset.labels, dealt, parts, needs)
        split = _exams_of(dataset, parts)
        rest = [exam for group, part in parts.items() if part == "train" for exam in group]
        split |= _carve_val(dataset, rest, val, seed)
    split = {exam_id: split[exam_id] for exam_id in dataset.exam_ids}
    check_split(dataset, split, allow_leak=allow_leak and not anew)
    return split


def part_named(word: str) -> str | None:
    """Return the part named by a word in a table, ignoring case (``Training`` → ``train``); None for other words."""
    part = _OTHER_NAMES.get(word.strip().lower(), word.strip().lower())
    return part if part in PARTS else None


def k_folds(
    dataset: PreparedDataset, folds: int, seed: int = 0, *, val: float = 0.2, repeat: int = 0
) -> list[Split]:
    """Make splits whose test parts are disjoint and cover the data set, each with validation taken from the rest.

    Args:
        dataset: what to split; its source's split is ignored.
        folds: how many, at least 2.
        seed: of the random order of the patients.
        val: part of the other patients in the validation part, in [0, 1).
        repeat: number of the repetition, from 0; each shuffles the patients differently.

    Raises:
        ConfigurationError: fewer than two folds.
        DataError: a class has fewer patients than there are folds.
    """
    if folds < 2:
        raise ConfigurationError(f"split: {folds} folds; expected at least 2")
    each = 2 if folds == 2 and val > 0 else 1  # one fold must serve both training and validation
    fold_of = _deal(dataset, range(len(dataset)), folds, seed, each=each, repeat=repeat)
    splits = []
    for fold in range(folds):
        rest = np.flatnonzero(fold_of != fold).tolist()
        split = dict.fromkeys(dataset.exam_ids, "test") | _carve_val(dataset, rest, val, seed)
        check_split(dataset, split)
        splits.append(split)
    return splits


def inner_folds(dataset: PreparedDataset, outer: Mapping[str, str], folds: int) -> list[Split]:
    """Split the exams outside the test part of ``outer``; each fold is the validation part once.

    Choices based on them have not seen the test part, which is the same in all of them.

    Args:
        dataset: what ``outer`` splits.
        outer: exam → part.
        folds: how many, at least 2.

    Raises:
        ConfigurationError: fewer than two folds.
        DataError: the outer split does not fit, or a class has fewer patients in it than there are folds.
    """
    if folds < 2:
        raise ConfigurationError(f"split: {folds} folds; expected at least 2")
    check_split(dataset, outer)
    rest = [exam for exam, exam_id in enumerate(dataset.exam_ids) if outer[exam_id] != "test"]
    fold_of = _deal(dataset, rest, folds, seed=0)
    splits = []
    for fold in range(folds):
        split = dict.fromkeys(dataset.exam_ids, "test")
        split |= {dataset.exam_ids[exam]: "val" if fold_of[exam] == fold else "train" for exam in rest}
        splits.append(split)
    return splits


def leak_of(dataset: PreparedDataset, split: Mapping[str, str]) -> Leak | None:
    """Find the patients and identical images that a split puts on two sides, or None."""
    parts = [split[exam_id] for exam_id in dataset.exam_ids]
    return find_leak(zip(dataset.exam_ids, dataset.patient_ids, parts, strict=True), dataset.duplicates)


def check_split(dataset: PreparedDataset, split: Mapping[str, str], *, allow_leak: bool = False) -> None:
    """Raise a DataError if a split does not fit its data set, has a part of one class, or leaks without permission."""
    missing = [exam_id for exam_id in dataset.exam_ids if exam_id not in split]
    unknown = sorted(set(split) - set(dataset.exam_ids))
    if missing or unknown:
        lacks = [f"lacks exam {missing[0]} ({len(missing)} such)"] if missing else []
        names = (
            [f"names exam {unknown[0]}, which the data do not have ({len(unknown)} such)"] if unknown else []
        )
        raise DataError(
            f"the split {' and '.join(lacks + names)}; expected exactly the {len(dataset)} exams of {dataset.root}; "
            "make one with gazekit data split"
        )
    classes: dict[str, set[int]] = defaultdict(set)
    for exam_id, label in zip(dataset.exam_ids, dataset.labels, strict=True):
        part = split[exam_id]
        if part not in PARTS:
            raise DataError(f"the split puts exam {exam_id} in '{part}'; expected {', '.join(PARTS)}")
        classes[part].add(int(label))
    leak = leak_of(dataset, split)
    if leak is not None and not allow_leak:
        raise DataError(
            f"{leak}; expected all exams of a patient in one part; split again by patient (gazekit data split --anew), "
            "or use it all the same with --allow-leak, which every report will then say"
        )
    if "train" not in classes:
        raise DataError("the split has no training part; expected exams in train")
    for part, labels in classes.items():
        if len(labels) < 2:
            name = dataset.classes[labels.pop()]
            raise DataError(
                f"one class only: every exam of the {part} part is '{name}'; expected at least two classes in "
                "it; gazekit data split --anew makes parts that have them"
            )


def write_split(path: Path, dataset: PreparedDataset, split: Mapping[str, str]) -> None:
    """Write a split as CSV with the columns exam_id, patient_id, label, split. Raises: StorageError."""
    labels = [dataset.classes[label] for label in dataset.labels]
    exams = zip(dataset.exam_ids, dataset.patient_ids, labels, strict=True)
    write_table(path, COLUMNS, ((*exam, split[exam[0]]) for exam in exams))


def read_split(path: Path) -> Split:
    """Read a split by :func:`write_split`, or a handmade table. Raises: DataError if it is damaged or wrong."""
    if not path.exists() or path.is_dir():
        told = "is a folder" if path.is_dir() else "there is no such file"
        name = (
            f"; to choose the part to evaluate: gazekit evaluate RUN --part {path}"
            if str(path) in PARTS
            else ""
        )
        raise DataError(
            f"{path}: {told}; expected a table of exam_id, split, as gazekit data split writes it{name}"
        )
    split: Split = {}
    seen: dict[str, str] = {}
    with opened(path, KIND):  # checks that it is a file of plausible size
        table = open_table(path, ("exam_id", "split"), advice="gazekit data split writes such a table")
    for row in table.rows():
        exam_id, part = from_cell(row.word("exam_id")), part_named(row["split"])
        row.check_new("exam_id", exam_id, seen)
        if part is None:
            raise DataError(
                f"{row.where}: the split puts exam {exam_id} in {row['split'][:40]!r}; expected {', '.join(PARTS)}"
            )
        split[exam_id] = part
    return split


def fingerprint_of(split: Mapping[str, str]) -> str:
    """Identify a split by which exam is in which part, in any order."""
    return hashlib.sha256(json.dumps(sorted(split.items())).encode()).hexdigest()[:12]


def patients_in(path: Path, part: str) -> set[str]:
    """Read the patients of a part from a split by :func:`write_split`; none from a table that names no patients."""
    with opened(path, KIND):
        table = open_table(path, ("exam_id", "split"), advice="gazekit data split writes such a table")
    if "patient_id" not in table.columns:
        return set()
    return {from_cell(row["patient_id"]) for row in table.rows() if part_named(row["split"]) == part}


def indices_of(dataset: PreparedDataset, split: Mapping[str, str], part: str) -> NDArray[np.int64]:
    """Return the positions of a part's exams in the data set, in order, ``[n]``."""
    return np.array([i for i, exam in enumerate(dataset.exam_ids) if split[exam] == part], dtype=np.int64)


def _deal(
    dataset: PreparedDataset, exams: Sequence[int], folds: int, seed: int, *, each: int = 1, repeat: int = 0
) -> NDArray[np.int64]:
    """Assign a fold to each exam of the data set, ``[N]``; 0 for exams not dealt.

    Every fold gets at least ``each`` patients of every class.
    """
    dealt = strata(dataset, exams, seed, least=each * folds, repeat=repeat)
    every = [group for groups in dealt for group in groups]
    # continues across classes, so that no fold gets every remainder
    parts = {group: number % folds for number, group in enumerate(every)}
    spread(dataset.labels, dealt, parts, dict.fromkeys(range(folds), each))
    fold_of = np.zeros(len(dataset), dtype=np.int64)
    for group, fold in parts.items():
        fold_of[list(group)] = fold
    return fold_of


def _carve_val(dataset: PreparedDataset, training: Sequence[int], val: float, seed: int) -> Split:
    """Divide training exams into training and validation."""
    dealt = strata(dataset, training, seed, least=1 + (val > 0))
    parts = _divide(dealt, val, "val", kept=1)
    spread(dataset.labels, dealt, parts, {"val": int(val > 0), "train": 1})
    return _exams_of(dataset, parts)


def _divide(
    dealt: Sequence[Sequence[PatientGroup]], fraction: float, part: str, *, kept: int
) -> dict[PatientGroup, str]:
    """Put a fraction of each stratum's groups (at least one, unless it is 0) in a part and the others in ``train``."""
    parts: dict[PatientGroup, str] = {}
    for groups in dealt:
        number = min(max(round(fraction * len(groups)), 1), len(groups) - kept) if fraction > 0 else 0
        parts |= {group: part if place < number else "train" for place, group in enumerate(groups)}
    return parts


def _exams_of(dataset: PreparedDataset, parts: Mapping[PatientGroup, str]) -> Split:
    return {dataset.exam_ids[exam]: part for group, part in parts.items() for exam in group}
