"""Read the tables of one eye: its samples, and what the tracker found in them."""

import math
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row
from gazekit.records.arrays import Floats
from gazekit_datasets.gaze_readers.bids.files import (
    PACKED,
    UNPACKED,
    Metadata,
    columns_of,
    is_table,
    metadata,
    rows,
)
from gazekit_datasets.gaze_readers.gaze_rows import Damage, Values, believable, place, samples, whole_rows

CLOCK, X, Y = "timestamp", "x_coordinate", "y_coordinate"
MS_PER = {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6}
"""µs in ASCII, with the micro sign, and with a Greek mu."""


def unit_of(about: Metadata, column: str) -> str:
    """Return the unit that a sidecar gives for a column; empty if it gives none."""
    described = about.get(column)
    unit = described.get("Units", "") if isinstance(described, dict) else ""
    return unit.strip() if isinstance(unit, str) else ""


@dataclass(frozen=True, slots=True)
class EyeTable:
    """The table of one eye, and what its sidecars say."""

    path: Path
    about: Metadata

    @property
    def eye(self) -> str:
        """``left``, ``right``, ``cyclopean`` or another word of the sidecar, in small letters."""
        return str(self.about.get("RecordedEye", "")).casefold()

    def frequency(self) -> float:
        """Return samples per second. Raises: DataError."""
        value = self.about.get("SamplingFrequency")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise DataError(
                f"{self.path}: SamplingFrequency of its sidecar is {str(value)[:40]!r}; expected a number of Hz"
            )
        return float(value)


@dataclass(frozen=True, slots=True)
class EyeSamples:
    """The samples of one eye.

    Args:
        table: they were read from.
        values: time in ms by the tracker's clock, x and y, ``[3, N]``; NaN where lost.
        ms_per_tick: ms per unit of the clock; None if the table has no clock, and rows count.
        damage: when rows were written that cannot be read, of samples and of what the tracker found in them.
    """

    table: EyeTable
    values: Floats
    ms_per_tick: float | None
    damage: list[Damage]

    @classmethod
    def of(cls, table: EyeTable) -> "EyeSamples":
        """Read a table. Raises: DataError if no row can be read."""
        columns = columns_of(table.path, table.about)
        missing = [name for name in (X, Y) if columns.count(name) != 1]
        if missing:
            raise DataError(
                f"{table.path}: its Columns are {visible(', '.join(columns))[:200]}; expected {' and '.join(missing)} "
                "once; name them as BIDS does"
            )
        damage, numbers = Damage(), count()
        period = None if CLOCK in columns else 1000 / table.frequency()

        def read(row: Row) -> Values:
            number = next(numbers)
            return row.number(CLOCK) if period is None else number * period, *place(row, X, Y)

        every = list(islice(whole := whole_rows(rows(table.path, columns), read, damage), 1))
        if not every and damage.first is not None:
            raise damage.first
        found = samples(chain(every, whole), table.path)
        scale = _ms_per_tick(table, found[0]) if period is None else 1.0
        values = np.stack((found[0] * scale, *found[1:]))
        return cls(table, values, scale if period is None else None, [damage.scaled(scale)])

    def without_blinks(self) -> Floats:
        """Return the values with those inside blinks lost, ``[3, N]``. Raises: DataError."""
        values = self.values.copy()
        for onset, end in self.spans("blink"):
            first, last = np.searchsorted(values[0], (onset, end))
            values[1:, first:last] = np.nan
        return values

    def fixations(self) -> Floats:
        """Return those that the tracker found: onset and duration in ms, x, y, ``[4, N]``.

        Each lies at the mean of its samples, and is lost if all of these are. Raises: DataError.
        """
        t_ms, *where = self.without_blinks()
        spans = self.spans("fixation")
        if not len(spans):
            raise self.damage[-1].first or DataError(
                f"{self.table.path}: the tracker found no fixations; expected some in a physioevents table beside it; "
                "leave out the option events=fixations"
            )
        found = np.full((4, len(spans)), np.nan)
        found[0], found[1] = spans[:, 0], spans[:, 1] - spans[:, 0]
        for number, (onset, end) in enumerate(spans):
            first, last = np.searchsorted(t_ms, (onset, end))
            for axis, values in zip((2, 3), where, strict=True):
                seen = values[first:last][np.isfinite(values[first:last])]
                found[axis, number] = seen.mean() if len(seen) else np.nan
        return found

    def spans(self, kind: str) -> Floats:
        """Return onset and end in ms of what the tracker found, ``blink`` or ``fixation``, by onset, ``[N, 2]``.

        Rows that cannot be read are added to the damage. Raises: DataError.
        """
        self.damage.append(damage := Damage())
        path = events_beside(self.table.path)
        about = {} if path is None else metadata(path, "physioevents")
        columns = [] if path is None else columns_of(path, about)
        if path is None or not {"onset", "duration", "trial_type"} <= set(columns):
            return np.empty((0, 2))
        by_clock = self.ms_per_tick is not None and about.get("OnsetSource", CLOCK) == CLOCK
        scale = self.ms_per_tick if by_clock and self.ms_per_tick else 1000 / self.table.frequency()
        start = 0.0 if by_clock else float(self.values[0, 0])
        lasting = MS_PER.get(unit_of(about, "duration"), scale)
        found = []
        for row in rows(path, columns, rest_in_last=True):
            try:
                timed = _timed(row, kind)
            except DataError as error:
                damage.add(error)
                continue
            if timed is not None:
                onset = start + timed[0] * scale
                found.append((onset, onset + timed[1] * lasting))
                damage.whole(onset)
        return np.array(sorted(found), dtype=np.float64).reshape(-1, 2)

    def fault_within(self, first_ms: float, last_ms: float) -> DataError | None:
        """Return the first fault of a row that may have been written in this time."""
        return next(filter(None, (each.within(first_ms, last_ms) for each in self.damage)), None)


def mean_of(eyes: list[Floats]) -> Floats:
    """Average the eyes, by time; a sample is lost where all eyes are.

    Eyes that take turns, as two cameras do, are averaged at the times of the first: each sample of another eye counts
    at the nearest of these, if that is within half of a sample, and at its own time otherwise.

    Args:
        eyes: of each, time in ms, x and y, ``[3, N]``.
    """
    first, *others = eyes
    if not others:
        return first
    near = [_at_times_of(first[0], other[0]) for other in others]
    every = np.concatenate(eyes, axis=1)
    t_ms, of_time = np.unique(np.concatenate((first[0], *near)), return_inverse=True)
    seen = np.isfinite(every[1])
    counts = np.bincount(of_time[seen], minlength=len(t_ms))
    sums = [np.bincount(of_time[seen], weights=values[seen], minlength=len(t_ms)) for values in every[1:]]
    return np.stack((t_ms, *(np.where(counts, each / np.maximum(counts, 1), np.nan) for each in sums)))


def _at_times_of(first: Floats, other: Floats) -> Floats:
    """Move times ``[N]`` in ms to the nearest of the first eye's, within half of its median interval."""
    if len(first) < 2:
        return other
    places = np.ceil(np.interp(other, first, np.arange(len(first))) - 0.5)  # halfway, always the earlier
    near = first[places.astype(np.int64)]
    return np.where(np.abs(near - other) <= np.median(np.diff(first)) / 2, near, other)


def _ms_per_tick(table: EyeTable, ticks: Floats) -> float:
    """Return ms per unit of the clock: as the sidecar says, else the unit that fits the sampling rate best."""
    unit = unit_of(table.about, CLOCK)
    if unit in MS_PER:
        return MS_PER[unit]
    if unit:
        raise DataError(
            f"{table.path}: the unit of {CLOCK} in its sidecar is {unit[:20]!r}; expected one of {', '.join(MS_PER)}"
        )
    steps = np.diff(ticks)
    steps = steps[steps > 0]
    exact = 1000 / table.frequency() / float(np.median(steps)) if len(steps) else 1.0
    return min(MS_PER.values(), key=lambda each: abs(math.log(each / exact)))


def events_beside(path: Path) -> Path | None:
    """Find the events of a table of samples."""
    stem = path.name.partition(".")[0].removesuffix("physio") + "physioevents"
    named = (path.with_name(stem + ending) for ending in (PACKED, UNPACKED))
    return next((each for each in named if is_table(each, "physioevents") and each.is_file()), None)


def _timed(row: Row, kind: str) -> tuple[float, float] | None:
    """Return onset and duration of an event of a kind that has both; None of another. Raises: DataError."""
    # a program may mark a blink by the saccade around it
    is_blink = "blink" in row.positions and row["blink"] in ("1", "1.0", "true", "True")
    if ("blink" if is_blink else row["trial_type"].casefold()) != kind:
        return None
    at = row.number("onset", may_be_lost=True), row.number("duration", may_be_lost=True)
    if math.isnan(sum(at)) or at[1] < 0:
        return None
    believable(row, at)
    return at
