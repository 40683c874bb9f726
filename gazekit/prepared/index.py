"""Read and write the tables of a prepared data set: index, fixations, findings and refused exams."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from io import StringIO
from math import nan
from pathlib import Path
from typing import Any

import pydantic

from gazekit.disk.atomic import disk_errors, write_atomically
from gazekit.disk.own_files import MIB, FileKind, lines_of, validated
from gazekit.disk.plain_text import from_cell, storable, to_cell, visible
from gazekit.errors import DataError
from gazekit.prepared.exam_record import (
    FIXATION_COLUMNS,
    INDEX_COLUMNS,
    RECORDING,
    SIGMA_COLUMNS,
    SPACING_COLUMNS,
    Entry,
    ExamRecord,
    FixationRow,
    IndexCells,
    IndexRow,
    further_columns,
)
from gazekit.prepared.stored_array import AGAIN
from gazekit.records.exam import Finding
from gazekit.records.refused import Refused

TABLE = FileKind("a table of a prepared data set", 4096 * MIB, AGAIN)
INDEX = "index.csv"
FIXATIONS = "fixations.csv"
REFUSED = "refused.csv"
FORMER_REFUSED = "rejects.csv"
"""Its name in sets of earlier versions."""
FINDINGS = "findings.csv"

REFUSED_COLUMNS = ("exam_id", "reason")
FINDING_COLUMNS = ("kind", "about", "what")


def write_tables(root: Path, header: Mapping[str, Any], entries: Iterable[Entry]) -> None:
    """Write the tables from the header and the entries of a journal.

    ``index.csv`` has a row per exam and view, in the order of the arrays; ``fixations.csv`` a row per fixation
    in the order in which they happened, in prepared pixels; ``refused.csv`` a row per refused exam.
    """
    entries = list(entries)
    prepared = [entry for entry in entries if isinstance(entry, ExamRecord)]
    further = further_columns(header)
    index = (row for exam in prepared for row in exam.index_rows(further))
    write_table(root / INDEX, (*INDEX_COLUMNS, *SPACING_COLUMNS, *further), index)
    fixations = (row for exam in prepared for row in exam.fixation_rows())
    write_table(root / FIXATIONS, (*FIXATION_COLUMNS, *SIGMA_COLUMNS, RECORDING), fixations)
    refused = ([entry.key, entry.reason] for entry in entries if isinstance(entry, Refused))
    write_table(root / REFUSED, REFUSED_COLUMNS, refused)
    with disk_errors(root / FORMER_REFUSED):
        (root / FORMER_REFUSED).unlink(missing_ok=True)  # of an earlier version, which was stopped


def refused_path(root: Path) -> Path:
    """Return the table of refused exams, under its former name if only that exists."""
    path, former = root / REFUSED, root / FORMER_REFUSED
    return former if former.exists() and not path.exists() else path


def read_refused(root: Path, most: int) -> list[Refused]:
    """Read refused exams, up to a maximum number."""
    rows = read_table(refused_path(root), REFUSED_COLUMNS, TABLE, most=most)
    return [Refused(row["exam_id"], row["reason"]) for row in rows]


def write_findings(root: Path, findings: Iterable[Finding]) -> None:
    """Write a source's findings, a row each."""
    write_table(root / FINDINGS, FINDING_COLUMNS, (astuple(each) for each in findings))


def read_findings(root: Path) -> list[Finding]:
    """Invert :func:`write_findings`."""
    return [
        Finding(row["kind"], row["about"], row["what"])
        for row in read_table(root / FINDINGS, FINDING_COLUMNS, TABLE)
    ]


def read_index(root: Path, rows: int) -> list[IndexRow]:
    """Read ``index.csv``. Raises: DataError unless it has so many rows and every cell is what it should be."""
    path = root / INDEX
    each: list[IndexRow] = []
    for number, cells in enumerate(rows_of(path, INDEX_COLUMNS, TABLE, most=rows), 2):
        each.append(validated(cells, path, TABLE, _INDEX_CELLS, where=f"row {number}: ").row())
    if len(each) != rows:
        raise DataError(f"{path}: {len(each)} rows; expected {rows}, a row per exam and view; {TABLE.remedy}")
    return each


def read_fixations(root: Path) -> Iterator[FixationRow]:
    """Read ``fixations.csv`` row by row. Raises: DataError for a cell that is no number."""
    path = root / FIXATIONS
    for number, row in enumerate(rows_of(path, FIXATION_COLUMNS, TABLE), 2):
        try:
            names = (*FIXATION_COLUMNS[3:], *SIGMA_COLUMNS)
            numbers = [float(cell) if (cell := row.get(name)) else nan for name in names]
            numbers.append(int(row.get(RECORDING, 0)))
            yield FixationRow(row["exam_id"], row["view"], row["reader"], *numbers)
        except ValueError as error:
            raise DataError(f"{path}: row {number}: {error}; {TABLE.remedy}") from None


_INDEX_CELLS = pydantic.TypeAdapter(IndexCells)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file atomically; None becomes an empty cell. Raises: StorageError."""
    write_atomically(path, as_csv(columns, rows))


def as_csv(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Format rows as CSV; None becomes an empty cell, and no cell can run as a spreadsheet formula."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(to_cell, columns))
    writer.writerows(
        [to_cell(storable(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
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
    return list(rows_of(path, columns, kind, most=most))


def rows_of(
    path: Path, columns: Sequence[str], kind: FileKind, *, most: int | None = None
) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file; see ``read_table``."""
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
            if most is not None and number - 2 == most:
                raise DataError(f"{path}: more than {most} rows; expected that many at most; {kind.remedy}")
            yield dict(zip(names, map(from_cell, cells), strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); {kind.remedy}") from None
