"""Turn rows of gaze tables into arrays, checked and ordered by time."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.table import Row
from gazekit.records.arrays import Floats

Values = tuple[float, ...]
"""Time in ms first, then the format's other values; NaN where lost."""

LARGEST = 1e18
"""Upper bound of any time, position or size that an eye tracker writes, in any unit."""


def samples(rows: Iterable[tuple[Row, Values]], path: Path) -> Floats:
    """Turn rows with ascending times into one array per value, ``[values, N]``.

    Args:
        rows: each row with its values.
        path: the file, for messages.

    Raises:
        DataError: there is no row, time goes back, or no eye tracker writes such a value.
    """
    return _arrays(_ascending(rows), path)


def fixations(rows: Iterable[tuple[Row, Values]], path: Path) -> Floats:
    """Turn rows that start with onset and duration into one array per value, ``[values, N]``, sorted by onset.

    Raises:
        DataError: there is no row, a duration is negative, or no eye tracker writes such a value.
    """
    arrays = _arrays(_lasting(rows), path)
    return arrays[:, np.argsort(arrays[0], kind="stable")]


def place(row: Row, x: str, y: str) -> tuple[float, float]:
    """Read a position from two columns, both NaN if one is lost. Raises: DataError."""
    at = row.number(x, may_be_lost=True), row.number(y, may_be_lost=True)
    return (math.nan, math.nan) if math.isnan(at[0] + at[1]) else at


def believable(row: Row, values: Values) -> Values:
    """Return the values unchanged. Raises: DataError if no eye tracker can have written them."""
    for value in values:
        if abs(value) > LARGEST:
            raise DataError(
                f"{row.where}: a number is beyond {LARGEST:g}; expected what an eye tracker writes"
            )
    return values


def no_gaze(path: Path) -> DataError:
    """Make the error for a table without rows."""
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
