"""The tables of a prepared data set: its index, fixations and rejects."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from io import StringIO
from pathlib import Path
from typing import Any

from gazekit.atomic import write_atomically
from gazekit.data.exam import Finding
from gazekit.errors import DataError

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
        for row in read_table(root / FINDINGS, FINDING_COLUMNS)
    ]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file atomically; None becomes an empty cell. Raises: StorageError."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file that must have certain columns. Raises: DataError naming file, row or columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval=None)
            found = list(reader.fieldnames or ())
            rows = list(reader)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; expected a table of {', '.join(columns)}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8 ({type(error).__name__})") from None
    missing = [name for name in columns if name not in found]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; the file has {', '.join(found) or 'none'}")
    for number, row in enumerate(rows, start=2):
        if "" in row or None in row.values():
            raise DataError(f"{path}: row {number} does not have {len(found)} cells like the first row")
    return rows
