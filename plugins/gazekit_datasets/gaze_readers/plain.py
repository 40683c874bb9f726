"""Read gaze from a plain table of samples or fixations in image pixels."""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import from_cell
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, Table, first_columns, open_table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import NOTHING, Values, believable, fault_in, no_gaze, place

SAMPLES = ("exam_id", "view", "t_ms", "x", "y")
FIXATIONS = ("exam_id", "view", "start_ms", "duration_ms", "x", "y")


RecordingKey = tuple[str, str, str, str]
"""Exam, view, reader and sitting: rows that share them are one recording."""
ShownAs = tuple[float | None, float | None, float | None]
"""Stretch, and width and height of the image in the units of x and y; None where the cell is blank."""
_SHOWN = ("stretch", "display_width", "display_height")
_NAMED = ("exam_id", "view", "reader", "sitting", *_SHOWN)
"""Columns that most rows repeat."""
_DEGREE = "pixels_per_degree"
_BLANK: ShownAs = (None, None, None)
_ROUNDING = 1e-3
"""Relative difference between two stretches that is none."""


@dataclass(slots=True)
class _Rows:
    """Rows of one recording.

    Args:
        values: time, duration, x, y and pixels per degree of every row, one after the other.
        shown: what the rows say; None until one says it.
        fault: of the first row that cannot be read.
    """

    values: "array[float]" = field(default_factory=lambda: array("d"))
    shown: ShownAs | None = None
    fault: DataError | None = None

    def add(self, row: Row, key: RecordingKey, shown: ShownAs, values: Values) -> None:
        """Append a row. Raises: DataError if time goes back, or the row contradicts those before."""
        before, exam_view = self.values[-5] if self.values else values[0], f"exam {key[0]} view {key[1]}"
        if values[0] < before or math.isnan(values[0]) != math.isnan(before):
            raise DataError(
                f"{row.where}: time {values[0]:g} ms after {before:g} ms for {exam_view}; "
                "expected ascending times, or blank ones for a whole view; sort the rows by time"
            )
        if shown != _BLANK or not math.isnan(values[2]):  # a lost sample need not say how the image was shown
            self.shown = shown if self.shown is None else self.shown
            both = zip(_SHOWN, shown, self.shown, strict=True)
            for name, now, then in (each for each in both if _differ(*each)):
                raise DataError(
                    f"{row.where}: {name} is {_said(now)} after {_said(then)} for {exam_view}; expected one value in "
                    "a recording; where there are several recordings, tell them apart in the column sitting"
                )
        self.values.extend(values)


def _differ(name: str, now: float | None, then: float | None) -> bool:
    """Whether two rows contradict each other; no stretch is one of 1, and a difference of rounding is none."""
    if name == "stretch":
        return not math.isclose(now or 1.0, then or 1.0, rel_tol=_ROUNDING)
    return now != then


class Plain:
    """Reads tables of samples, ``exam_id,view,t_ms,x,y``, or fixations.

    Fixations have ``start_ms,duration_ms`` instead of ``t_ms``. Columns come in any order; others are ignored. x and
    y are pixels of the original image, with (0, 0) the outer corner of its first pixel; blank or NaN for a lost
    sample. A file may hold several exams and views, each with ascending times, or with all times blank: then samples
    have equal weight.

    Optional columns: ``reader`` says who looked, and ``sitting`` separates the recordings of one reader on one
    view; ``pixels_per_degree`` is the number of pixels of the original image per degree of visual angle (the median
    of the rows counts), and ``stretch`` how many times larger that number is horizontally, if the image was shown
    stretched. ``display_width`` and ``display_height`` are the size of the image in the units of x and y, if these are
    not pixels of the original: of a smaller copy, 1 and 1 for fractions, or mm. They scale positions and nothing else.
    """

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of one of the two tables."""
        columns = set(first_columns(path))
        return set(SAMPLES) <= columns or set(FIXATIONS) <= columns

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per exam, view, reader and sitting, in the order in which they first appear.

        One has a fault (with row) where a cell is no number, times go back, or a stretch or a display size changes. A
        row that does not say its recording, as a torn one does not, is a fault of those before and after it.

        Raises:
            DataError: not readable, wrong columns, or no recording without a fault.
        """
        table = open_table(path)
        if not self.fits(path):
            raise DataError(
                f"{path}: the columns are {','.join(table.columns)[:200]}; expected {','.join(SAMPLES)} for samples "
                f"or {','.join(FIXATIONS)} for fixations"
            )
        fixations = set(FIXATIONS) <= set(table.columns)
        groups = _grouped(table, fixations=fixations)
        if all(rows.fault for rows in groups.values()):
            raise next((rows.fault for rows in groups.values() if rows.fault), no_gaze(path))
        for (exam, view, reader, _), rows in groups.items():
            if rows.fault is not None:
                fault, who = fault_in(path, rows.fault), reader or None
                yield Recording(path, NOTHING, NOTHING, exam_id=exam, view=view, reader=who, fault=fault)
                continue
            t_ms, duration, x, y, degree = np.array(rows.values).reshape(-1, 5).T
            times, durations = None if np.isnan(t_ms[0]) else t_ms, duration if fixations else None
            stretch, width, height = rows.shown or _BLANK
            degrees = degree[~np.isnan(degree)]
            yield Recording(
                *(path, x, y, times, durations, exam, view),
                pixels_per_degree=float(np.median(degrees)) if len(degrees) else None,
                reader=reader or None,
                stretch=stretch or 1.0,
                display_width=width,
                display_height=height,
                of_copy=width is not None,
            )


def _grouped(table: Table, *, fixations: bool) -> dict[RecordingKey, _Rows]:
    """Read the rows of each recording, up to its first fault. Raises: DataError if no row says its recording."""
    groups: dict[RecordingKey, _Rows] = {}
    # by the cells that say them, the same in most rows
    known: dict[tuple[str, ...], tuple[RecordingKey, ShownAs]] = {}
    named = [table.columns.index(name) for name in _NAMED if name in table.columns]
    before: _Rows | None = None
    fault: DataError | None = None
    for row in table.rows(torn=True):
        cells = () if row.torn else tuple(row.cells[column] for column in named)
        try:
            key = known[cells][0] if cells in known else _key(row)
        except DataError as error:
            fault = error
            if before is not None:
                before.fault = before.fault or error
            continue
        if (rows := groups.get(key)) is None:
            rows = groups[key] = _Rows()
        rows.fault = rows.fault or fault
        before, fault = rows, None
        if rows.fault is not None:
            continue
        try:
            if (about := known.get(cells)) is None:
                about = known[cells] = key, _shown(row)
            rows.add(row, *about, believable(row, _values(row, fixations=fixations)))
        except DataError as error:
            rows.fault = error
    if fault is not None and before is None:
        raise fault
    return groups


def _key(row: Row) -> RecordingKey:
    reader, sitting = (
        from_cell(row[name]) if name in row.positions else "" for name in ("reader", "sitting")
    )
    return from_cell(row.word("exam_id")), from_cell(row.word("view")), reader, sitting


def _shown(row: Row) -> ShownAs:
    stretch, width, height = (_positive(row, name) for name in _SHOWN)
    if (width is None) != (height is None):
        raise DataError(f"{row.where}: display_width and display_height go together; give both, or neither")
    return stretch, width, height


def _said(number: float | None) -> str:
    return "blank" if number is None else f"{number:g}"


def _positive(row: Row, column: str) -> float | None:
    """Read a number from an optional column. Raises: DataError."""
    if column not in row.positions or not row[column]:
        return None
    number = row.number(column)
    if number <= 0:
        raise DataError(f"{row.where}: {column} is {number:g}; expected a number > 0, or nothing")
    return number


def _values(row: Row, *, fixations: bool) -> Values:
    """Read time, duration (NaN for samples), x, y and pixels per degree (NaN if blank)."""
    x, y = place(row, "x", "y")
    degree = _positive(row, _DEGREE) or math.nan
    if not fixations:
        return row.number("t_ms", may_be_lost=True), math.nan, x, y, degree
    duration = row.number("duration_ms")
    if duration < 0:
        raise DataError(f"{row.where}: duration_ms is {duration:g}; expected a number >= 0")
    return row.number("start_ms", may_be_lost=True), duration, x, y, degree
