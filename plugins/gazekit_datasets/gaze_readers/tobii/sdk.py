"""Read tables of samples from the Tobii Pro SDK."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, first_columns, is_missing, open_table
from gazekit.records.placement import screen as on_screen
from gazekit.records.recording import Length, Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import place, samples

CLOCKS = ("system_time_stamp", "device_time_stamp")
"""Clock columns in microseconds; the computer's clock comes first because other logs of the session share it."""
POINT = "gaze_point_on_display_area"
VALIDITY = ("gaze_point_validity", "gaze_point_valid")
"""Names used by the SDK and by its wrappers."""
_VALID = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_OF_NUMPY = re.compile(r"\b(?:np|numpy)\.float\d+\(([^()]*)\)")
"""A number as numpy 2 writes it inside a tuple."""


@dataclass(frozen=True, slots=True)
class Eye:
    """The columns of one eye.

    Args:
        point: one column of ``(x, y)``, or one of x and one of y; fractions of the display.
        validity: column of 0 and 1; None if missing, and lost samples are NaN.
    """

    point: tuple[str, ...]
    validity: str | None

    def gaze(self, row: Row) -> tuple[float, float] | None:
        """Return the gaze as fractions of the display, or None where the eye was lost. Raises: DataError."""
        if self.validity is not None:
            cell = row[self.validity]
            valid = False if is_missing(cell) else _VALID.get(cell.lower())
            if valid is None:
                raise DataError(
                    f"{row.where}: {self.validity} is {cell[:40]!r}; expected 0 or 1, or an empty cell where the row "
                    "was lost; write it as the SDK returns it"
                )
            if not valid:
                return None
        x, y = _pair(row, *self.point) if len(self.point) == 1 else place(row, *self.point)
        return None if math.isnan(x + y) else (x, y)


class TobiiSDK:
    """Reads tables of the Tobii Pro SDK's gaze data, one row per sample, such as those of a Tobii Pro Nano.

    Required are a clock, ``system_time_stamp`` or ``device_time_stamp`` (µs), and for one or both eyes
    ``left_gaze_point_on_display_area``: one column of ``(x, y)``, or two that end in ``_x`` and ``_y``. Other
    columns are ignored. A sample is the mean of the eyes whose ``left_gaze_point_validity`` is 1; it is lost if
    none is. The SDK gives fractions of the display, so pixels follow from its size.

    Args:
        screen: width and height in pixels of the display the tracker was set up for.
        shown: left, top, width and height of the image on that display, pixels. None: unknown, or the image was
            zoomed or moved; then the recording is in pixels of the screen.

    Source: https://developer.tobiipro.com/python/python-sdk-reference-guide.html
    """

    def __init__(
        self,
        *,
        screen: tuple[Length, Length] = (1920, 1080),
        shown: Shown | None = None,
    ) -> None:
        self.screen, self.shown = screen, shown

    def fits(self, path: Path) -> bool:
        """Say whether there are columns for a clock and an eye."""
        columns = first_columns(path)
        return not set(CLOCKS).isdisjoint(columns) and bool(_eyes(columns))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the one recording of the file.

        Raises:
            DataError: not readable, columns missing, a cell that is no number, times that go back (with row).
        """
        table = open_table(path)
        clock = next((name for name in CLOCKS if name in table.columns), None)
        eyes = _eyes(table.columns)
        if clock is None or not eyes:
            raise DataError(
                f"{path}: the columns are {', '.join(table.columns)[:200]}; expected {' or '.join(CLOCKS)} and "
                f"left_{POINT} (or with _x and _y), as the Tobii Pro SDK names them"
            )
        t_ms, *fractions = samples(
            ((row, (row.number(clock) / 1000, *_mean(row, eyes))) for row in table.rows()), path
        )
        x, y = on_screen(*self.screen).apply(*fractions)
        recording = Recording(path, x, y, t_ms, on_screen=True)
        yield recording if self.shown is None else recording.where_shown(*self.shown)


def _eyes(columns: Sequence[str]) -> list[Eye]:
    found = []
    for side in ("left", "right"):
        whole, parts = f"{side}_{POINT}", (f"{side}_{POINT}_x", f"{side}_{POINT}_y")
        validity = next((f"{side}_{name}" for name in VALIDITY if f"{side}_{name}" in columns), None)
        if whole in columns:
            found.append(Eye((whole,), validity))
        elif set(parts) <= set(columns):
            found.append(Eye(parts, validity))
    return found


def _mean(row: Row, eyes: Sequence[Eye]) -> tuple[float, float]:
    points = [point for eye in eyes if (point := eye.gaze(row)) is not None]
    if not points:
        return math.nan, math.nan
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _pair(row: Row, column: str) -> tuple[float, float]:
    """Parse ``(x, y)``, ``[x, y]`` or ``[x y]``; NaN for a cell or a number that is missing."""
    cell = row[column]
    if is_missing(cell):
        return math.nan, math.nan
    words = _OF_NUMPY.sub(r"\1", cell).strip("()[]").replace(",", " ").split()
    try:
        x, y = (math.nan if is_missing(word) else float(word) for word in words)
    except ValueError:
        x = y = math.inf
    if math.isinf(x) or math.isinf(y) or "_" in cell:
        raise DataError(
            f"{row.where}: {column} is {cell[:40]!r}; expected (x, y); write both as plain numbers, such as (0.25, 0.5)"
        )
    return x, y
