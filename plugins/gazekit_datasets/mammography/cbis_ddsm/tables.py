"""Read the four case descriptions of CBIS-DDSM: a row per annotated abnormality."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, open_table

Kind = Literal["mass", "calc"]
Part = Literal["train", "test"]

ROWS: dict[tuple[Kind, Part], int] = {
    ("mass", "train"): 1318,
    ("mass", "test"): 378,
    ("calc", "train"): 1546,
    ("calc", "test"): 326,
}
"""Number of rows of the published tables."""

_IMAGE, _CROP, _MASK = "image file path", "cropped image file path", "ROI mask file path"
_NEEDED = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality id",
    "pathology",
    _IMAGE,
    _CROP,
    _MASK,
)
_SIDES = {"LEFT": "L", "RIGHT": "R"}
_VIEWS = {"CC": "cc", "MLO": "mlo"}
_IS_MALIGNANT = {"MALIGNANT": True, "BENIGN": False, "BENIGN_WITHOUT_CALLBACK": False}
_WORDS: dict[str, Mapping[str, object]] = {
    "left or right breast": _SIDES,
    "image view": _VIEWS,
    "pathology": _IS_MALIGNANT,
}
"""Column → allowed cells."""
_PARTS = {"train": "Training", "test": "Test"}
_LONGEST_NAME = 64
_IDENTIFIER = re.compile(r"\w{1,40}", re.ASCII)
UID = re.compile(r"(?=.{1,64}$)\d+(\.\d+)+")


@dataclass(frozen=True, slots=True)
class Series:
    """A DICOM series named in a table.

    Args:
        subject: NBIA's subject: table, patient, side, view and, for a lesion, its number.
        study, uid: unique identifiers of study and series.
        file: its path in the table.
    """

    subject: str
    study: str
    uid: str
    file: str


@dataclass(frozen=True, slots=True)
class Abnormality:
    """One row of a table.

    Args:
        patient_id: such as ``P_00001``.
        side: ``"L"`` or ``"R"``.
        view: ``"cc"`` or ``"mlo"``.
        kind, part: the table.
        is_malignant: by its pathology; "benign without callback" is benign.
        image: the full mammogram.
        lesion: the series with crop and mask: one or two, in either order.
    """

    patient_id: str
    side: str
    view: str
    kind: Kind
    part: Part
    is_malignant: bool
    image: Series
    lesion: tuple[Series, ...]


def table_name(kind: Kind, part: Part) -> str:
    """Return a table's file name."""
    return f"{kind}_case_description_{part}_set.csv"


def read_table(path: Path, kind: Kind, part: Part) -> Iterator[Abnormality]:
    """Yield the rows of a table. Raises: DataError with file and row."""
    seen: dict[str, str] = {}
    for row in open_table(path, _NEEDED).rows():
        abnormality = _abnormality(row, kind, part)
        row.check_new("abnormality", abnormality.lesion[0].subject, seen)
        yield abnormality
    if not seen:
        raise DataError(f"{path}: no rows below the header; expected one per abnormality")


def _abnormality(row: Row, kind: Kind, part: Part) -> Abnormality:
    for column, known in _WORDS.items():
        if row[column] not in known:
            raise DataError(f"{row.where}: {column} is {row[column][:40]!r}; expected {', '.join(known)}")
    side, view, pathology = (row[column] for column in _WORDS)
    subject = f"{kind.capitalize()}-{_PARTS[part]}_{_identifier(row, 'patient_id')}_{side}_{view}"
    lesion = f"{subject}_{_identifier(row, 'abnormality id')}"
    return Abnormality(
        patient_id=row["patient_id"],
        side=_SIDES[side],
        view=_VIEWS[view],
        kind=kind,
        part=part,
        is_malignant=_IS_MALIGNANT[pathology],
        image=_series(row, _IMAGE, subject),
        lesion=tuple(dict.fromkeys(_series(row, column, lesion) for column in (_CROP, _MASK))),
    )


def _identifier(row: Row, column: str) -> str:
    word = row.word(column)
    if not _IDENTIFIER.fullmatch(word):
        raise DataError(f"{row.where}: {column} is {word[:40]!r}; expected letters and digits")
    return word


def _series(row: Row, column: str, subject: str) -> Series:
    path = row[column].split("/")
    is_known = len(path) == 4 and path[0] == subject and len(path[3]) <= _LONGEST_NAME
    if not (is_known and UID.fullmatch(path[1]) and UID.fullmatch(path[2])):
        raise DataError(
            f"{row.where}: {column} is {row[column][:200]!r}; expected {subject}/STUDY/SERIES/FILE, the two in the "
            "middle unique identifiers"
        )
    return Series(subject, study=path[1], uid=path[2], file=row[column])
