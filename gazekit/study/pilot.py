"""Read the predictions of a pilot: two rows of a study, two runs, or a table of readers' scores."""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.comparing.planning import Pilot
from gazekit.measures.comparing.reader_study import ReaderScores
from gazekit.prepared.index import rows_of
from gazekit.reading.tables.table import open_table
from gazekit.records.arrays import Floats
from gazekit.records.labels import in_order
from gazekit.runs.files import PREDICTIONS, columns_of_label
from gazekit.study.grid import RunName

_NEAREST = 1e-12
"""Distance to 0 and 1 at which the logit of a probability ends."""
_READER = ("reader", "exam_id", "label")
_Exams = dict[tuple[str, str], tuple[str, int, list[float]]]
"""Data set and exam → patient, label, probability of the positive class by each run."""


def pilot_of_study(folder: Path, system: str, reference: str) -> Pilot:
    """Read two rows of a study; the probabilities of an exam are averaged over runs, as in its tables.

    Raises:
        ConfigurationError: there is no such row.
        DataError: predictions are damaged, or the rows have too few exams in common.
    """
    rows = sorted(path.name for path in (folder / "runs").glob("*/") if any(path.glob("*/predictions.csv")))
    for name in (system, reference):
        if name not in rows:
            told = f"no row '{name}' with predictions" if name else "two of its rows are to be compared"
            raise ConfigurationError(
                f"{folder}: {told}; there are {', '.join(rows) or 'none'}: choose with --system and --reference"
            )
    ours, theirs = (
        _read(sorted((folder / "runs" / name).glob("*/predictions.csv"))) for name in (system, reference)
    )
    return _paired(ours, theirs, f"rows {system} and {reference} of {folder}")


def pilot_of_runs(system: Path, reference: Path) -> Pilot:
    """Read two runs, or their predictions.csv. Raises DataError: see ``pilot_of_study``."""
    ours, theirs = (
        _read([path / "predictions.csv" if path.is_dir() else path], named=False)
        for path in (system, reference)
    )
    return _paired(ours, theirs, f"{system} and {reference}")


def scores_of_readers(path: Path) -> ReaderScores:
    """Read a table with the columns reader, exam_id, label, patient_id if known, and a column for each way.

    The labels are 0 and 1, or the names of two classes, the last by letters the positive one.

    Raises:
        DataError: a column is missing, a score is no number, there are not two classes, or a reader lacks an exam that
            others have.
    """
    table = open_table(path, _READER)
    known = {*_READER, "patient_id"}
    ways = [column for column in table.columns if column and column not in known]  # without row names
    if len(ways) != 2:
        raise DataError(
            f"{path}: expected two columns of scores beside {', '.join(sorted(known))}, found {len(ways)}: "
            f"{visible(', '.join(ways)[:300]) or 'none'}; give each reader's scores of an exam in both ways in one row"
        )
    scores: dict[tuple[str, str], tuple[float, float]] = {}
    truth: dict[str, tuple[str, str]] = {}
    for row in table.rows():
        reader, exam = row.word("reader"), row.word("exam_id")
        told = row.word("label"), row.word("patient_id") if "patient_id" in table.columns else exam
        if truth.setdefault(exam, told) != told or (reader, exam) in scores:
            raise DataError(
                f"{row.where}: exam {visible(exam)} comes twice for a reader, or with two labels or patients"
            )
        scores[reader, exam] = (row.number(ways[0]), row.number(ways[1]))
    classes = in_order(label for label, _ in truth.values())
    if len(classes) != 2:
        raise DataError(
            f"{path}: label: expected two classes, 0 and 1 or their names; there are {len(classes)}: "
            f"{visible(', '.join(classes[:5]))}"
        )
    readers = list(dict.fromkeys(reader for reader, _ in scores))
    for pair in product(readers, truth):
        if pair not in scores:
            raise DataError(
                f"{path}: reader {visible(pair[0])} lacks exam {visible(pair[1])}; expected all of them"
            )
    return ReaderScores(
        labels=np.array([classes.index(label) for label, _ in truth.values()]),
        scores=np.array([[[scores[r, exam][way] for exam in truth] for r in readers] for way in (0, 1)]),
        patients=[patient for _, patient in truth.values()],
        readers=readers,
        ways=(ways[0], ways[1]),
    )


def _read(paths: Iterable[Path], *, named: bool = True) -> _Exams:
    found: _Exams = {}
    for path in paths:
        data = RunName.parse(path.parent.name).data if named else ""
        here: set[str] = set()
        for number, row in enumerate(rows_of(path, ("exam_id", "patient_id", "label"), PREDICTIONS), 2):
            columns = columns_of_label(list(row))
            classes = [name.removeprefix("p_") for name in columns]
            if len(classes) != 2 or row["label"] not in classes:
                raise DataError(
                    f"{path}: row {number}: label {visible(row['label'][:40])!r}, and the columns of probabilities are "
                    f"{visible(', '.join(columns)[:300]) or 'none'}; expected those of two classes, one of them the "
                    "label: a study is planned for two"
                )
            try:
                chance = float(row[columns[1]])
            except ValueError:
                chance = math.nan
            if not 0 <= chance <= 1:
                raise DataError(
                    f"{path}: row {number}: {columns[1]} is {visible(row[columns[1]][:40])!r}; expected a probability "
                    "from 0 to 1; write the predictions again with gazekit evaluate"
                )
            if not (row["exam_id"] and row["patient_id"]) or row["exam_id"] in here:
                raise DataError(
                    f"{path}: row {number}: expected exam_id and patient_id, and each exam once; there are "
                    f"{visible(row['exam_id'])!r} and {visible(row['patient_id'])!r}; write the predictions again with "
                    "gazekit evaluate"
                )
            here.add(row["exam_id"])
            whose = (row["patient_id"], classes.index(row["label"]))
            patient, label, chances = found.setdefault((data, row["exam_id"]), (*whose, []))
            if (patient, label) != whose:
                raise DataError(
                    f"{path}: row {number}: exam {visible(row['exam_id'])} has another label elsewhere"
                )
            chances.append(chance)
    return found


def _paired(ours: _Exams, theirs: _Exams, who: str) -> Pilot:
    shared = [exam for exam in ours if exam in theirs]
    labels = np.array([ours[exam][1] for exam in shared], dtype=np.int64)
    if [ours[exam][:2] for exam in shared] != [theirs[exam][:2] for exam in shared]:
        raise DataError(
            f"{who}: the same exam has two labels or patients; expected predictions on the same data"
        )
    if len(set(labels.tolist())) < 2:
        raise DataError(f"{who}: {len(shared)} exams in common; expected exams of both classes")
    system, reference = (_logits([each[exam][2] for exam in shared]) for each in (ours, theirs))
    if np.array_equal(system, reference):
        raise DataError(
            f"{who}: the predictions are the same, and two systems that err on the same exams alone would need far "
            "fewer exams than others; expected those of two systems"
        )
    return Pilot(
        labels=labels,
        reference=reference,
        system=system,
        patients=[f"{exam[0]}/{ours[exam][0]}" for exam in shared],
    )


def _logits(chances: Sequence[Sequence[float]]) -> Floats:
    means = np.clip([np.mean(each) for each in chances], _NEAREST, 1 - _NEAREST)
    found: Floats = np.log(means) - np.log1p(-means)
    return found
