"""Determine the units of a Pro Lab export: time, and pixels per degree."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, Table
from gazekit_datasets.gaze_readers.gaze_rows import place
from gazekit_datasets.gaze_readers.tobii.export import Column, KeyedRow, Look, is_usable, keyed_looks
from gazekit_datasets.gaze_readers.tobii.geometry import LOOKED_AT, ViewingGeometry
from gazekit_datasets.gaze_readers.tobii.pro_lab.layout import ExportLayout

VALID = {"valid": True, "invalid": False}
MICROSECONDS = ("µs", "μs", "us")
"""Spellings: with the micro sign, with a Greek mu, with neither."""
LONGEST_STEP, LONGEST_FIXATION = 200.0, 10_000.0
"""Bound between units: an eye tracker's median is below it in ms and above it in µs."""


@dataclass(frozen=True, slots=True)
class Scales:
    """The scales of an export.

    Args:
        clock, duration: milliseconds per unit of the clock, and of the duration of fixations.
        geometry: gives pixels of the screen per degree of visual angle; None if the export lacks it.
    """

    clock: float
    duration: float
    geometry: ViewingGeometry | None

    @classmethod
    def of(cls, table: Table, layout: ExportLayout) -> "Scales":
        """Find the scales from the first rows of the eye tracker, and from the first fixations. Raises: DataError."""
        clock, duration = layout.clock, 1.0
        times = list(_readable(islice(layout.tracked(table), LOOKED_AT), clock))
        steps = [after - before for before, after in pairwise(times)]
        if layout.fixation is not None:
            column = layout.fixation.duration
            rows = (row for row in layout.tracked(table) if not row.torn and layout.is_fixation(row))
            known = islice(filter(_is_size, _readable(rows, column)), LOOKED_AT)
            duration = _milliseconds(table.path, column, list(known), LONGEST_FIXATION)
        geometry = None
        if all(layout.eye):
            keyed = ((layout.key(row)[-3:], row) for row in layout.tracked(table) if not row.torn)
            geometry = ViewingGeometry.of(keyed, layout.eye)
        return cls(_milliseconds(table.path, clock, steps, LONGEST_STEP), duration, geometry)

    def looks(self, table: Table, layout: ExportLayout) -> Iterator[KeyedRow]:
        """Parse the rows of the eye tracker. Raises: DataError."""

        def look(row: Row) -> Look:
            usable = is_usable(row, layout.validity, VALID)
            return Look(
                t_ms=row.number(layout.clock.name) * self.clock,
                place=place(row, *layout.gaze) if usable else (math.nan, math.nan),
                fixation=self._fixation(row, layout),
            )

        return keyed_looks(layout.tracked(table), layout.key, look)

    def _fixation(self, row: Row, layout: ExportLayout) -> tuple[str, float, float, float] | None:
        if layout.fixation is None or not layout.is_fixation(row):
            return None
        x, y = place(row, *layout.fixation.point)
        if math.isnan(x):
            return None
        return row[layout.fixation.number], x, y, row.number(layout.fixation.duration.name) * self.duration


def _readable(rows: Iterable[Row], column: Column) -> Iterator[float]:
    """Yield the numbers of a column, NaN where lost, without those that are faults of their recordings."""
    for row in rows:
        with suppress(DataError):
            yield row.number(column.name, may_be_lost=True)


def _milliseconds(path: Path, column: Column, values: Sequence[float], longest: float) -> float:
    """Return milliseconds per unit of a column, from its name, else from the median of its nonzero values.

    Versions of Pro Lab have written both µs and ms without naming the unit; they differ by a factor of 1000.

    Args:
        path: the file, for messages.
        column, values: the column, and values in its unit.
        longest: in ms; a larger median is in µs.

    Raises:
        DataError: the name has another unit.
    """
    if column.unit not in ("", "ms", *MICROSECONDS):
        raise DataError(f"{path}: {column.name} has the unit {column.unit[:20]!r}; expected µs or ms")
    sizes = [abs(value) for value in values if _is_size(value)]
    if column.unit == "ms" or (not column.unit and sizes and median(sizes) <= longest):
        return 1.0
    return 1e-3


def _is_size(number: float) -> bool:
    """Say whether a number tells of its unit: it is neither lost nor 0."""
    return abs(number) > 0
