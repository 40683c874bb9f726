"""Turn rows of gaze tables into arrays, checked and ordered by time."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording

Key = TypeVar("Key")
NOTHING = np.zeros(0)
"""Rows of a recording that has a fault."""
Found = tuple[Recording, DataError | None]
"""A recording, and why it cannot be used."""
Values = tuple[float, ...]
"""Time in ms first, then the format's other values; NaN where lost."""

_TYPE = 40
"""Characters of a line's type that are looked at."""
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


def while_shown(gaze: Recording, first_ms: float, last_ms: float, image: str) -> Recording:
    """Return the part of a recording from when an image appeared until it went; fixations are cut to that time."""
    onset = gaze.t_ms
    assert onset is not None  # of a format that has times
    if gaze.duration_ms is None:
        taken, at, lasted = (onset >= first_ms) & (onset < last_ms), onset, None
    else:
        end = onset + gaze.duration_ms
        taken, at = (onset < last_ms) & (end > first_ms), np.maximum(onset, first_ms)
        lasted = (np.minimum(end, last_ms) - at)[taken]
    return replace(gaze, x=gaze.x[taken], y=gaze.y[taken], t_ms=at[taken], duration_ms=lasted, image=image)


class Damage:
    """Collects when the rows were written that cannot be read, in ms: between the whole rows before and after them."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float, DataError]] = []
        self._open: list[tuple[float, DataError]] = []
        self._now = -math.inf

    def whole(self, t_ms: float) -> None:
        """Note the time of a row that can be read."""
        self._now = t_ms
        self._spans += [(first, t_ms, fault) for first, fault in self._open]
        self._open.clear()

    def add(self, fault: DataError) -> None:
        """Note a row that cannot be read."""
        self._open.append((self._now, fault))

    def between(self, first_ms: float, last_ms: float, fault: DataError) -> None:
        """Note a row that was written between two times."""
        self._spans.append((first_ms, last_ms, fault))

    @property
    def first(self) -> DataError | None:
        """The first fault."""
        return self.within(-math.inf, math.inf)

    def scaled(self, scale: float) -> "Damage":
        """Return the same in ms, if the times were in a unit of ``scale`` ms."""
        found = Damage()
        found._spans = [(first * scale, last * scale, fault) for first, last, fault in self._spans]
        found._open = [(first * scale, fault) for first, fault in self._open]
        return found

    def within(self, first_ms: float, last_ms: float) -> DataError | None:
        """Return the first fault of a row that may have been written in this time."""
        spans = [*self._spans, *((first, math.inf, fault) for first, fault in self._open)]
        inside = (
            fault
            for first, last, fault in spans
            if first < last_ms and (last > first_ms or first >= first_ms)
        )
        return next(inside, None)


class DamagedTypes:
    """Counts the lines of a file whose type is damaged, as ``M5G`` is for ``MSG``: nobody knows what they said.

    Args:
        known: the types of line that a file of the format has.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._known, self._count, self._first = known, 0, ""
        self._goes_on = re.compile(rf"(?:{'|'.join(known)})[^A-Za-z]").match
        self._looks_known = lru_cache(maxsize=1000)(self._compare)

    def is_near(self, kind: str) -> bool:
        """Whether an unknown type is a known one but for a character, or goes on after it, as where a tab is lost.

        Other types mean nothing: a message may have several lines.
        """
        return self._looks_known(kind[:_TYPE])

    def _compare(self, kind: str) -> bool:
        return self._goes_on(kind) is not None or any(_is_one_off(kind, each) for each in self._known)

    def add(self, row: int, kind: str) -> None:
        """Count a line."""
        self._first = self._first or f"row {row}, {visible(kind[:20])!r}"
        self._count += 1

    def notes(self, remedy: str) -> tuple[str, ...]:
        """Return a remark on the lines counted, if there are any, and reset the count."""
        count, first = self._count, self._first
        self._count, self._first = 0, ""
        if not count:
            return ()
        return (
            f"left out {counted(count, 'line')} whose type is damaged (the first: {first}); gaze, or the name of an "
            f"image, may be missing; {remedy}",
        )


def _is_one_off(word: str, other: str) -> bool:
    """Whether a character is changed, added or lost between two words that differ."""
    if not -1 <= len(word) - len(other) <= 1:
        return False
    alike = 0
    while word[alike : alike + 1] == other[alike : alike + 1] != "":
        alike += 1
    rest, its = word[alike:], other[alike:]
    return rest[1:] == its[1:] or rest == its[1:] or rest[1:] == its


def whole_rows(
    rows: Iterable[Row], read: Callable[[Row], Values], damage: Damage
) -> Iterator[tuple[Row, Values]]:
    """Yield the rows that can be read and whose times ascend; the others are damage.

    Args:
        rows: in the order of the file.
        read: returns the values of a row, time first.
        damage: told of the others.
    """
    before = -math.inf
    for row in rows:
        try:
            values = believable(row, read(row))
        except DataError as error:
            damage.add(error)
            continue
        if values[0] < before:
            fault = _goes_back(row, values[0], before)
            damage.between(values[0], before, fault)  # when it says
            damage.add(fault)  # and when its neighbours say
            continue
        before = values[0]
        damage.whole(before)
        yield row, values


def read_instead(path: Path, endings: Mapping[str, str], events: str) -> Path | None:
    """Return the path of the table that is read in place of this one, where an export has two of the same gaze.

    Args:
        path: of samples or of fixations.
        endings: ``samples`` and ``fixations`` → how the names of these tables end.
        events: which of them is wanted.
    """
    (other,) = (ending for kind, ending in endings.items() if kind != events)
    if not path.name.endswith(other):
        return None
    return path.with_name(path.name.removesuffix(other) + endings[events])


def recordings_of_runs(
    rows: Iterable[Row],
    key: Callable[[Row], Key],
    read: Callable[[Key, Iterable[Row] | None], Recording],
    path: Path,
) -> Iterator[Recording]:
    """Yield a recording per run of rows with the same key; one whose rows cannot be read has no rows but a fault.

    A row that does not say its key, as a torn one does not, is a fault of the recordings before and after it.

    Args:
        rows: in the order of the file; they are read one by one, because a recording may have many.
        key: what tells one recording from another.
        read: makes the recording of a key and its rows; without rows an empty one.
        path: the file, for messages.

    Raises:
        DataError: there is no row, or every recording has a fault; after these were yielded.
    """

    def found() -> Iterator[Found]:
        for about, run in groupby(_keyed(rows, key), key=lambda each: each[0]):
            try:
                yield read(about, _sound(run)), None
            except DataError as error:
                yield read(about, None), error

    return recordings_with_faults(found(), path)


def recordings_with_faults(
    found: Iterable[Found], path: Path, nothing: Callable[[Path], DataError] | None = None
) -> Iterator[Recording]:
    """Yield recordings with gaze, and those with a fault, which have no rows.

    Args:
        found: each with its fault, an error about the file or a row of it; None if it has none.
        path: the file, for messages.
        nothing: makes the error if there is no gaze.

    Raises:
        DataError: at the end, if none can be used: the first fault, or that there is no gaze.
    """
    first: DataError | None = None
    usable = 0
    for recording, fault in found:
        if fault is not None:
            first = first or fault
            empty = {"x": NOTHING, "y": NOTHING, "t_ms": None, "duration_ms": None, "suspect": None}
            yield replace(recording, **empty, fault=fault_in(path, fault))  # type: ignore[arg-type]
        elif len(recording.x):
            usable += 1
            yield recording
    if not usable:
        raise first or (nothing or no_gaze)(path)


def fault_in(path: Path, error: DataError) -> str:
    """Return the message of an error about a row without the file's name."""
    return str(error).removeprefix(f"{path} ").removeprefix(f"{path}: ")


def _keyed(rows: Iterable[Row], key: Callable[[Row], Key]) -> Iterator[tuple[Key, Row | DataError]]:
    """Yield the rows with their keys; for one that does not say it, its fault with the keys before and after it.

    Raises: DataError if no row says its key; where the table ends in damage, after this was yielded as a fault.
    """
    now: Key | None = None
    fault: DataError | None = None
    try:
        for row in rows:
            try:
                this = key(row)
            except DataError as error:
                fault = error
                if now is not None:
                    yield now, error
                continue
            if fault is not None and this != now:
                yield this, fault
            now, fault = this, None
            yield this, row
    except DataError as error:  # of the table: what follows is lost
        if now is not None:
            yield now, error
        raise
    if now is None and fault is not None:
        raise fault


def _sound(run: Iterable[tuple[object, Row | DataError]]) -> Iterator[Row]:
    for _, row in run:
        if isinstance(row, DataError):
            raise row
        yield row


def _ascending(rows: Iterable[tuple[Row, Values]]) -> Iterator[tuple[Row, Values]]:
    before = -np.inf
    for row, values in rows:
        if values[0] < before:
            raise _goes_back(row, values[0], before)
        before = values[0]
        yield row, values


def _goes_back(row: Row, t_ms: float, before_ms: float) -> DataError:
    return DataError(
        f"{row.where}: time {t_ms:.10g} ms after {before_ms:.10g} ms; expected ascending times; sort the rows by time"
    )


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
