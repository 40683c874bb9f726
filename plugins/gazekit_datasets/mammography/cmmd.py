"""Read the Chinese Mammography Database (CMMD): breasts with biopsy-proven labels.

Source: Cui et al. 2021, DOI 10.7937/tcia.eqde-4b16.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gazekit.disk.walk import files_below
from gazekit.errors import DataError
from gazekit.reading.tables.spreadsheet import read_rows
from gazekit.reading.tables.table import first_columns
from gazekit.records.exam import Exam, Finding
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit_datasets.exam_table import is_set_aside
from gazekit_datasets.mammography.breasts import (
    BreastGrouping,
    ExamUnit,
    Mammogram,
    OnRepeat,
    Unlabelled,
    group,
)
from gazekit_datasets.mammography.mammogram_header import identify_mammogram, read_header

COLUMNS = ("ID1", "LeftRight", "classification")
CLASSES = ("benign", "malignant")

_PATIENT = re.compile(r"D[12]-\d{4}")

PatientSide = tuple[str, str]
"""A patient's id, and the side of one of the breasts."""


class CMMD:
    """CMMD as downloaded from TCIA, with its clinical table (``.xlsx`` or ``.csv``) in the same folder.

    Patient, side and view come from the DICOM headers, labels from the table. A breast without a row has no label,
    even if the other breast has one.

    Args:
        unit: ``"breast"`` (views cc, mlo) or ``"visit"`` (views l_cc, l_mlo, r_cc, r_mlo).
        unlabelled: for a visit with an unlabelled breast: drop it, or use the other breast's label.
        repeated: for a view that comes twice: take the first or the last, or drop the exam.
        table: name of the clinical table; None finds it by its columns.
    """

    region = "breast"
    classes = CLASSES

    @staticmethod
    def identify(header: ImageHeader | None, path: Path) -> ImageIdentity | None:
        """Identify an image as any DICOM mammogram; CMMD's patient ids are public."""
        identity = identify_mammogram(header, path)
        if identity and header and _PATIENT.fullmatch(header.patient):
            return replace(identity, pseudonym=header.patient)
        return identity

    def __init__(
        self,
        *,
        unit: ExamUnit = "breast",
        unlabelled: Unlabelled = "drop",
        repeated: OnRepeat = "last",
        table: str | None = None,
    ) -> None:
        self.grouping = BreastGrouping(CLASSES.__getitem__, unit, repeated=repeated, unlabelled=unlabelled)
        self.table = table

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the exams below ``root``, and findings on missing or conflicting data. Raises: DataError."""
        yield from group(self._mammograms(root), self.grouping)

    def _mammograms(self, root: Path) -> Iterator[Mammogram | Finding]:
        grades: dict[PatientSide, int | None] = {}
        for breast, grade in _read_labels(root / self.table if self.table else _find_table(root)):
            if grades.setdefault(breast, grade) != grade:
                grades[breast] = None
                yield Finding(
                    "disagrees", " ".join(breast), "rows of a breast disagree on its class: it has none"
                )
        seen: set[PatientSide] = set()
        unlisted: dict[Path, str] = {}
        files = sorted(
            path for path in files_below(root, unlisted.__setitem__) if path.suffix.lower() == ".dcm"
        )
        yield from (Finding("missing", folder.name, reason) for folder, reason in unlisted.items())
        for order, path in enumerate(files):
            name = path.relative_to(root).as_posix()
            try:
                header = read_header(path)
            except DataError as error:
                yield Finding("dropped", name, f"image not used: {str(error).removeprefix(f'{path}: ')}")
                continue
            breast = (header.patient_id, header.side)
            seen.add(breast)
            yield Mammogram(
                patient_id=header.patient_id,
                side=header.side,
                view=header.view,
                path=path,
                grade=grades.get(breast),
                visit=header.study,
                order=order,
                dataset=_part(header.patient_id),
                name=name,
            )
        for breast in sorted(grades.keys() - seen):
            yield Finding("missing", " ".join(breast), "breast of the table without an image")


def _find_table(root: Path) -> Path:
    """Find the only workbook or text table with the required columns, directly in the folder. Raises: DataError."""
    files = sorted(path for path in root.iterdir() if path.is_file() and not is_set_aside(path))
    found = [path for path in files if path.suffix.lower() == ".xlsx"]
    found += [
        path for path in files if path.suffix.lower() == ".csv" and set(COLUMNS) <= set(first_columns(path))
    ]
    if len(found) != 1:
        there = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{root}: expected one clinical table (.xlsx, or .csv with {', '.join(COLUMNS)}), there is {there}; put it "
            "there or name it by the option table"
        )
    return found[0]


def _read_labels(table: Path) -> Iterator[tuple[PatientSide, int]]:
    for row in read_rows(table, COLUMNS):
        side, label = row["LeftRight"].upper(), row["classification"].lower()
        if side not in ("L", "R"):
            raise DataError(f"{row.where}: LeftRight is {row['LeftRight'][:40]!r}; expected L or R")
        if label not in CLASSES:
            raise DataError(
                f"{row.where}: classification is {row['classification'][:40]!r}; expected Benign or Malignant"
            )
        yield (row.word("ID1"), side), CLASSES.index(label)


def _part(patient: str) -> str:
    """Return the collection, ``D1`` or ``D2``; all of the second is malignant."""
    match = re.match(r"(D[12])-", patient)
    return match[1] if match else ""
