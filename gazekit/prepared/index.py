"""The tables of a prepared data set: its index, fixations and rejects."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from io import StringIO
from math import nan
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from pydantic import Field

from gazekit.disk.atomic import write_atomically
from gazekit.disk.own_files import MIB, FileKind, lines_of, validated
from gazekit.disk.plain_text import from_cell, to_cell, visible
from gazekit.errors import DataError
from gazekit.records.exam import Finding
from gazekit.records.geometry import Geometry

TABLE = FileKind(
    "a table of a prepared data set",
    4096 * MIB,
    "the prepared data set is damaged; copy it again, or prepare it again with --overwrite",
)
Id = Annotated[str, Field(min_length=1, max_length=1000)]
Text = Annotated[str, Field(max_length=10_000)]
Pixels = Annotated[int, Field(ge=-(10**7), le=10**7)]
Spacing = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | None,
    pydantic.BeforeValidator(lambda cell: None if cell == "" else cell),
]

INDEX = "index.csv"
FIXATIONS = "fixations.csv"
REJECTS = "rejects.csv"
FINDINGS = "findings.csv"

EXAM_COLUMNS = ("exam_id", "patient_id", "label", "split", "dataset")
VIEW_COLUMNS = ("view", "image", "has_gaze", "has_mask", "laterality", "raw_height", "raw_width")
GEOMETRY_COLUMNS = (
    "left",
    "top",
    "right",
    "bottom",
    "flip",
    "scale",
    "offset_x",
    "offset_y",
    "width",
    "height",
)
SPACING_COLUMNS = ("spacing_y_mm", "spacing_x_mm")
"""Distance of the original's pixel centres; empty where its file says none, absent in sets of earlier versions."""
INDEX_COLUMNS = (*EXAM_COLUMNS, *VIEW_COLUMNS, *GEOMETRY_COLUMNS)
FIXATION_COLUMNS = ("exam_id", "view", "reader", "x", "y", "onset_ms", "duration_ms")
REJECT_COLUMNS = ("exam_id", "reason")
FINDING_COLUMNS = ("kind", "about", "what")


def write_tables(root: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Write the tables from the entries of a journal.

    ``index.csv`` has a row per exam and view, in the order of the arrays; ``fixations.csv`` a row per fixation
    in the order in which they happened, in prepared pixels; ``rejects.csv`` a row per rejected exam.
    """
    entries = list(entries)
    prepared = [entry for entry in entries if "reject" not in entry]
    index = [exam | view for exam in prepared for view in exam["views"]]
    columns = (*INDEX_COLUMNS, *SPACING_COLUMNS)
    write_table(root / INDEX, columns, ([row.get(name) for name in columns] for row in index))
    fixations = ([exam["exam_id"], *row] for exam in prepared for row in exam["fixations"])
    write_table(root / FIXATIONS, FIXATION_COLUMNS, fixations)
    rejects = ([entry["exam_id"], entry["reject"]] for entry in entries if "reject" in entry)
    write_table(root / REJECTS, REJECT_COLUMNS, rejects)


def write_findings(root: Path, findings: Iterable[Finding]) -> None:
    """Write what a source noticed, a row per finding."""
    write_table(root / FINDINGS, FINDING_COLUMNS, (astuple(each) for each in findings))


def read_findings(root: Path) -> list[Finding]:
    """The inverse of :func:`write_findings`."""
    return [
        Finding(row["kind"], row["about"], row["what"])
        for row in read_table(root / FINDINGS, FINDING_COLUMNS, TABLE)
    ]


class IndexRow(pydantic.BaseModel):
    """A row of ``index.csv``: an exam, one of its views, and the geometry of its image."""

    model_config = pydantic.ConfigDict(frozen=True)

    exam_id: Id
    patient_id: Text
    label: Text
    split: Literal["", "train", "val", "test"]
    dataset: Text
    view: Id
    image: Text
    has_gaze: Literal["0", "1"]
    has_mask: Literal["0", "1"]
    laterality: Text
    raw_height: Pixels
    raw_width: Pixels
    left: Pixels
    top: Pixels
    right: Pixels
    bottom: Pixels
    flip: Annotated[int, Field(ge=0, le=1)]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset_x: Pixels
    offset_y: Pixels
    width: Pixels
    height: Pixels
    spacing_y_mm: Spacing = None
    spacing_x_mm: Spacing = None

    @property
    def geometry(self) -> Geometry:
        """Raw to prepared pixels."""
        return Geometry.from_numbers({name: getattr(self, name) for name in GEOMETRY_COLUMNS})

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Distance of the original's pixel centres down and across; None where its file says none."""
        down, across = self.spacing_y_mm, self.spacing_x_mm
        return None if down is None or across is None else (down, across)


class FixationRow(NamedTuple):
    """A row of ``fixations.csv``: a fixation of a reader on one image, in prepared pixels."""

    exam_id: str
    view: str
    reader: str
    x: float
    y: float
    onset_ms: float
    duration_ms: float


def read_index(root: Path, rows: int) -> list[IndexRow]:
    """Read ``index.csv``. Raises: DataError unless it has so many rows and every cell is what it should be."""
    path = root / INDEX
    found = read_table(path, INDEX_COLUMNS, TABLE, most=rows)
    each = [
        validated(row, path, TABLE, _INDEX_ROW, where=f"row {number}: ")
        for number, row in enumerate(found, 2)
    ]
    if len(each) != rows:
        raise DataError(f"{path}: {len(each)} rows; expected {rows}, a row per exam and view; {TABLE.remedy}")
    return each


def read_fixations(root: Path) -> Iterator[FixationRow]:
    """Read ``fixations.csv`` row by row. Raises: DataError for a cell that is no number."""
    path = root / FIXATIONS
    for number, row in enumerate(rows_of(path, FIXATION_COLUMNS, TABLE), 2):
        try:
            numbers = [float(row[name]) if row[name] else nan for name in FIXATION_COLUMNS[3:]]
            yield FixationRow(row["exam_id"], row["view"], row["reader"], *numbers)
        except ValueError as error:
            raise DataError(f"{path}: row {number}: {error}; {TABLE.remedy}") from None


_INDEX_ROW = pydantic.TypeAdapter(IndexRow)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file atomically; None becomes an empty cell. Raises: StorageError."""
    write_atomically(path, as_csv(columns, rows))


def as_csv(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV; None becomes an empty cell, and no cell is one that a spreadsheet would carry out."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(to_cell, columns))
    writer.writerows([to_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()


_SHOWN = 40
"""Characters of a column's name in a message."""
_SHOWN_COLUMNS = 30


def read_table(
    path: Path, columns: Sequence[str], kind: FileKind, *, most: int | None = None
) -> list[dict[str, str]]:
    """Read a CSV file that must have certain columns.

    Args:
        path: of the file.
        columns: that it must have; others may be there too.
        kind: for messages and limits.
        most: rows that it can have.

    Raises:
        DataError: naming file, row or columns.
    """
    found: list[dict[str, str]] = []
    for row in rows_of(path, columns, kind):
        if most is not None and len(found) == most:
            raise DataError(f"{path}: more than {most} rows; expected that many at most; {kind.remedy}")
        found.append(row)
    return found


def rows_of(path: Path, columns: Sequence[str], kind: FileKind) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, one after another; see ``read_table``."""
    reader = csv.reader(lines_of(path, kind))
    try:
        names = next(reader, [])
        missing = [name for name in columns if name not in names]
        if missing:
            there = ", ".join(visible(name[:_SHOWN]) for name in names[:_SHOWN_COLUMNS]) or "none"
            raise DataError(f"{path}: no column {', '.join(missing)}; the file has {there}; {kind.remedy}")
        if len(set(names)) < len(names):
            raise DataError(f"{path}: a column comes twice; expected each once; {kind.remedy}")
        for number, cells in enumerate(filter(None, reader), 2):
            if len(cells) != len(names):
                raise DataError(f"{path}: row {number} does not have {len(names)} cells like the first row")
            yield dict(zip(names, map(from_cell, cells), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); {kind.remedy}") from None
