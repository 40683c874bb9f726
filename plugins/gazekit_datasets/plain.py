"""Read gaze from a plain table of samples or fixations in image pixels."""

import math
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import from_cell
from gazekit.errors import DataError
from gazekit.reading.table import Row, first_columns, open_table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_rows import Values, believable, no_gaze, place

SAMPLES = ("exam_id", "view", "t_ms", "x", "y")
FIXATIONS = ("exam_id", "view", "start_ms", "duration_ms", "x", "y")


RecordingKey = tuple[str, str, str, str, float | None, float, float | None, float | None]
"""Exam, view, reader, sitting, pixels per degree, stretch, width and height of the image as shown."""
_SHOWN = ("display_width", "display_height")
_NAMED = ("exam_id", "view", "reader", "sitting", "pixels_per_degree", "stretch", *_SHOWN)
"""Columns that say the key of a row."""


class Plain:
    """Reads tables of samples, ``exam_id,view,t_ms,x,y``, or fixations.

    Fixations have ``start_ms,duration_ms`` instead of ``t_ms``. Columns come in any order; others are ignored. x and
    y are pixels of the original image, with (0, 0) the outer corner of its first pixel; blank or NaN for a lost
    sample. A file may hold several exams and views, each with ascending times, or with all times blank: then samples
    have equal weight.

    Optional columns: ``reader`` says who looked, and ``sitting`` separates the recordings of one reader on one
    view; ``pixels_per_degree`` is the number of image pixels per degree of visual angle, and ``stretch`` how
    many times larger that number is horizontally, if the image was shown stretched. ``display_width`` and
    ``display_height`` are the size of the image in the units of x and y, if these are not pixels of the original: of a
    smaller copy, 1 and 1 for fractions, or mm.
    """

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of one of the two tables."""
        columns = set(first_columns(path))
        return set(SAMPLES) <= columns or set(FIXATIONS) <= columns

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
        fixations = set(FIXATIONS) <= set(table.columns)
        groups: dict[RecordingKey, array[float]] = {}
        keys: dict[tuple[str, ...], RecordingKey] = {}  # by the cells that say them, the same in most rows
        named = [table.columns.index(name) for name in _NAMED if name in table.columns]
        for row in table.rows():
            cells = tuple(row.cells[column] for column in named)
            if (key := keys.get(cells)) is None:
                key = keys[cells] = _key(row)
            exam, view, *_ = key
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
        for (exam, view, reader, _, degree, stretch, width, height), rows in groups.items():
            t_ms, duration, x, y = np.array(rows).reshape(-1, 4).T
            times, durations = None if np.isnan(t_ms[0]) else t_ms, duration if fixations else None
            yield Recording(
                *(path, x, y, times, durations, exam, view),
                pixels_per_degree=degree,
                reader=reader or None,
                stretch=stretch,
                display_width=width,
                display_height=height,
            )


def _key(row: Row) -> RecordingKey:
    reader, sitting = (
        from_cell(row[name]) if name in row.positions else "" for name in ("reader", "sitting")
    )
    degree, stretch = (_positive(row, name) for name in ("pixels_per_degree", "stretch"))
    width, height = (_positive(row, name) for name in _SHOWN)
    if (width is None) != (height is None):
        raise DataError(f"{row.where}: display_width and display_height go together; give both, or neither")
    return (
        from_cell(row.word("exam_id")),
        from_cell(row.word("view")),
        reader,
        sitting,
        degree,
        stretch or 1.0,
        width,
        height,
    )


def _positive(row: Row, column: str) -> float | None:
    """Read a number from an optional column. Raises: DataError."""
    if column not in row.positions or not row[column]:
        return None
    number = row.number(column)
    if number <= 0:
        raise DataError(f"{row.where}: {column} is {number:g}; expected a number > 0, or nothing")
    return number


def _values(row: Row, *, fixations: bool) -> Values:
    """Read time, duration (NaN for samples), x and y."""
    x, y = place(row, "x", "y")
    if not fixations:
        return row.number("t_ms", may_be_lost=True), math.nan, x, y
    duration = row.number("duration_ms")
    if duration < 0:
        raise DataError(f"{row.where}: duration_ms is {duration:g}; expected a number >= 0")
    return row.number("start_ms", may_be_lost=True), duration, x, y
