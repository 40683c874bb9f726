"""Gaze as a plain table of samples or fixations in image pixels."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.gaze.recording import Recording

SAMPLES = ("exam_id", "view", "t_ms", "x", "y")
FIXATIONS = ("exam_id", "view", "start_ms", "duration_ms", "x", "y")

Row = tuple[float, float, float, float]
"""Time, duration (NaN for samples), x, y."""


class Plain:
    """Reads CSV tables of samples, ``exam_id,view,t_ms,x,y``, or fixations.

    Fixations have ``start_ms,duration_ms`` in the place of ``t_ms``. UTF-8, comma-separated, columns in any
    order. x and y are pixels of the original image, (0, 0) the outer corner of its first pixel; blank or NaN
    where the sample was lost. A file may hold several exams and views, each with its times ascending.
    """

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per exam and view, in the order in which they first appear.

        Raises:
            DataError: not readable, wrong columns, a cell that is no number, times that go back (with row).
        """
        groups: dict[tuple[str, str], list[Row]] = {}
        fixations = False
        for number, cells in _rows(path):
            fixations = "duration_ms" in cells
            where = f"{path} row {number}"
            exam, view = (_word(cells, name, where) for name in ("exam_id", "view"))
            rows = groups.setdefault((exam, view), [])
            row = _row(cells, where)
            if rows and row[0] < rows[-1][0]:
                raise DataError(
                    f"{where}: time {row[0]:g} ms after {rows[-1][0]:g} ms for exam {exam} view {view}; "
                    "expected ascending times; sort the rows by time"
                )
            rows.append(row)
        if not groups:
            raise DataError(f"{path}: holds no gaze; expected at least one row below the header")
        for (exam, view), rows in groups.items():
            t_ms, duration, x, y = np.array(rows, dtype=np.float64).T
            yield Recording(path, x, y, t_ms, duration if fixations else None, exam_id=exam, view=view)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of the line in the file (the header is 1) and its cells by column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file)
            header = [name.strip() for name in next(table, [])]
            if sorted(header) not in (sorted(SAMPLES), sorted(FIXATIONS)):
                raise DataError(
                    f"{path}: the columns are {','.join(header)[:200] or '(none)'}; expected "
                    f"{','.join(SAMPLES)} for samples or {','.join(FIXATIONS)} for fixations"
                )
            for cells in table:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"{path} row {table.line_num}: {len(cells)} cells; expected {len(header)} "
                        f"({','.join(header)}); write decimals with a point"
                    )
                yield table.line_num, dict(zip(header, cells, strict=True))
    except OSError as error:
        raise DataError(f"{path}: gaze cannot be read ({error.strerror}); expected a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a text table ({error}); expected CSV in UTF-8") from error


def _word(cells: dict[str, str], name: str, where: str) -> str:
    word = cells[name].strip()
    if not word:
        raise DataError(f"{where}: {name} is blank; expected the {name} of the exam table")
    return word


def _row(cells: dict[str, str], where: str) -> Row:
    x, y = (_number(cells, name, where, may_be_lost=True) for name in ("x", "y"))
    if "t_ms" in cells:
        return _number(cells, "t_ms", where), math.nan, x, y
    start, duration = (_number(cells, name, where) for name in ("start_ms", "duration_ms"))
    if duration < 0:
        raise DataError(f"{where}: duration_ms is {duration:g}; expected a number >= 0")
    return start, duration, x, y


def _number(cells: dict[str, str], name: str, where: str, *, may_be_lost: bool = False) -> float:
    cell = cells[name].strip()
    if may_be_lost and cell.casefold() in ("", "nan"):
        return math.nan
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        lost = ", or blank where the sample was lost" if may_be_lost else ""
        raise DataError(f"{where}: {name} is {cell[:40]!r}; expected a number{lost}")
    return number
