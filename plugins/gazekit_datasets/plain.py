"""Gaze as a plain table of samples or fixations in image pixels."""

import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gazekit.data.table import Row, first_columns, open_table
from gazekit.errors import DataError
from gazekit.gaze.recording import Recording
from gazekit_datasets.gaze_rows import Values, believable, no_gaze, place

SAMPLES = ("exam_id", "view", "t_ms", "x", "y")
FIXATIONS = ("exam_id", "view", "start_ms", "duration_ms", "x", "y")

OPTIONAL = ("reader", "pixels_per_degree")

Key = tuple[str, str, str, float | None]
"""Exam, view, reader, pixels per degree."""


class Plain:
    """Reads tables of samples, ``exam_id,view,t_ms,x,y``, or fixations.

    Fixations have ``start_ms,duration_ms`` in the place of ``t_ms``. Columns in any order. x and y are pixels of the
    original image, (0, 0) the outer corner of its first pixel; blank or NaN where the sample was lost. A file may
    hold several exams and views, each with its times ascending, or all blank: then samples weigh alike.

    Two more columns may be there: ``reader`` parts the recordings of several readers (or sittings) on one view, and
    ``pixels_per_degree`` says how many pixels of the image were one degree of visual angle.
    """

    def fits(self, path: Path) -> bool:
        """Whether the columns are those of one of the two tables."""
        needed = sorted(name for name in first_columns(path) if name not in OPTIONAL)
        return needed in (sorted(SAMPLES), sorted(FIXATIONS))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per exam, view and reader, in the order in which they first appear.

        Raises:
            DataError: not readable, wrong columns, a cell that is no number, times that go back (with row).
        """
        table = open_table(path)
        if not self.fits(path):
            raise DataError(
                f"{path}: the columns are {','.join(table.columns)[:200]}; expected {','.join(SAMPLES)} for samples "
                f"or {','.join(FIXATIONS)} for fixations"
            )
        fixations = "duration_ms" in table.columns
        groups: dict[Key, array[float]] = {}
        for row in table.rows():
            exam, view, *_ = key = _key(row)
            rows = groups.setdefault(key, array("d"))
            values = believable(row, _values(row, fixations=fixations))
            if rows and (values[0] < rows[-4] or math.isnan(values[0]) != math.isnan(rows[-4])):
                raise DataError(
                    f"{row.where}: time {values[0]:g} ms after {rows[-4]:g} ms for exam {exam} view {view}; "
                    "expected ascending times, or blank ones for a whole view; sort the rows by time"
                )
            rows.extend(values)
        if not groups:
            raise no_gaze(path)
        for (exam, view, _, degree), rows in groups.items():
            t_ms, duration, x, y = np.array(rows).reshape(-1, 4).T
            times, durations = None if np.isnan(t_ms[0]) else t_ms, duration if fixations else None
            yield Recording(path, x, y, times, durations, exam, view, pixels_per_degree=degree)


def _key(row: Row) -> Key:
    reader = row["reader"] if "reader" in row.positions else ""
    if "pixels_per_degree" not in row.positions or not row["pixels_per_degree"]:
        return row.word("exam_id"), row.word("view"), reader, None
    degree = row.number("pixels_per_degree")
    if degree <= 0:
        raise DataError(f"{row.where}: pixels_per_degree is {degree:g}; expected a number > 0, or nothing")
    return row.word("exam_id"), row.word("view"), reader, degree


def _values(row: Row, *, fixations: bool) -> Values:
    """Time, duration (NaN for samples), x, y."""
    x, y = place(row, "x", "y")
    if not fixations:
        return row.number("t_ms", may_be_lost=True), math.nan, x, y
    duration = row.number("duration_ms")
    if duration < 0:
        raise DataError(f"{row.where}: duration_ms is {duration:g}; expected a number >= 0")
    return row.number("start_ms", may_be_lost=True), duration, x, y
