"""Rows of gaze tables as arrays: checked, in the order of their times."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.table import Row
from gazekit.records.arrays import Floats

Values = tuple[float, ...]
"""Time in ms first, then whatever the format has; NaN where it was lost."""

LARGEST = 1e18
"""No time, place or size that an eye tracker writes is beyond, in any unit."""


def samples(rows: Iterable[tuple[Row, Values]], path: Path) -> Floats:
    """Rows whose times must ascend, as one array per value ``[values, N]``.

    Args:
        rows: each row and its values.
        path: the file, for messages.

    Raises:
        DataError: no row, a time before the one above it, a value that no eye tracker writes.
    """
    return _arrays(_ascending(rows), path)


def fixations(rows: Iterable[tuple[Row, Values]], path: Path) -> Floats:
    """Rows of onset and duration first, as one array per value ``[values, N]``, sorted by onset.

    Raises:
        DataError: no row, a duration below 0, a value that no eye tracker writes.
    """
    arrays = _arrays(_lasting(rows), path)
    return arrays[:, np.argsort(arrays[0], kind="stable")]


def place(row: Row, x: str, y: str) -> tuple[float, float]:
    """The place in two columns, both NaN where one of them is lost. Raises: DataError."""
    at = row.number(x, may_be_lost=True), row.number(y, may_be_lost=True)
    return (math.nan, math.nan) if math.isnan(at[0] + at[1]) else at


def believable(row: Row, values: Values) -> Values:
    """The same values. Raises: DataError when no eye tracker can have written them."""
    if any(abs(value) > LARGEST for value in values):
        raise DataError(f"{row.where}: a number is beyond {LARGEST:g}; expected what an eye tracker writes")
    return values


def no_gaze(path: Path) -> DataError:
    """The error for a table that has no row."""
    return DataError(f"{path}: holds no gaze; expected at least one row below the header")


def _ascending(rows: Iterable[tuple[Row, Values]]) -> Iterator[tuple[Row, Values]]:
    before = -np.inf
    for row, values in rows:
        if values[0] < before:
            raise DataError(
                f"{row.where}: time {values[0]:.10g} ms after {before:.10g} ms; expected ascending times; "
                "sort the rows by time"
            )
        before = values[0]
        yield row, values


def _lasting(rows: Iterable[tuple[Row, Values]]) -> Iterator[tuple[Row, Values]]:
    for row, values in rows:
        if values[1] < 0:
            raise DataError(f"{row.where}: the fixation lasts {values[1]:g} ms; expected a duration >= 0")
        yield row, values


def _arrays(rows: Iterable[tuple[Row, Values]], path: Path) -> Floats:
    checked = (believable(row, values) for row, values in rows)
    first = next(checked, None)
    if first is None:
        raise no_gaze(path)
    by_row = np.fromiter(chain([first], checked), dtype=np.dtype((np.float64, len(first))))  # [N, values]
    return np.asarray(by_row.T, dtype=np.float64)
