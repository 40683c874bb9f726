"""Read parts shared by the exports of Tobii's programs: columns with units, rows grouped into presentations."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.gaze.blinks import sampling_period
from gazekit.reading.tables.table import Row, is_missing
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import NOTHING, believable


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export: its full name, and the unit at its end, in small letters without blanks."""

    name: str
    unit: str


def columns_by_name(names: Sequence[str]) -> Mapping[tuple[str, str], Column]:
    """Map (name without unit, unit) to column, names in small letters."""
    found = {}
    for name in names:
        base, opening, unit = name.rpartition("[" if name.endswith("]") else "(")
        if not opening or name[-1] not in ")]":
            base, unit = name, ""
        unit = unit.rstrip(")]").casefold().replace(" ", "")
        found[base.strip().casefold(), unit] = Column(name, unit)
    return found


def find_column(names: Sequence[str], wanted: str, *units: str) -> Column | None:
    """Find the column with a name, in the first available of the given units; without units, in any."""
    found = columns_by_name(names)
    if units:
        return next((found[wanted, unit] for unit in units if (wanted, unit) in found), None)
    return next((column for (name, _), column in found.items() if name == wanted), None)


Key = tuple[str, ...]
"""Ends with participant, recording and media; empty where the export does not say."""


@dataclass(frozen=True, slots=True)
class Look:
    """One row of the eye tracker.

    Args:
        t_ms: time in ms.
        place: x, y; NaN where lost.
        fixation: number, x, y and duration (ms) of the fixation it is part of; None if there is none.
    """

    t_ms: float
    place: tuple[float, float]
    fixation: tuple[str, float, float, float] | None


KeyedRow = tuple[Row, Key | None, Look | DataError]
"""A row of the eye tracker, its key, and what it holds or its fault; the key is None if the row does not say it."""


def keyed_looks(
    rows: Iterable[Row], key: Callable[[Row], Key], look: Callable[[Row], Look]
) -> Iterator[KeyedRow]:
    """Parse the rows of the eye tracker; a row that cannot be read gives its fault."""
    for row in rows:
        about = None
        try:
            about = key(row)
            yield row, about, look(row)
        except DataError as error:
            yield row, about, error


@dataclass(slots=True)
class Presentation:
    """Gaze from the moment an image appears until the next one does.

    Args:
        key: of its rows.
        t, x, y: of the samples.
        fixations, last: number of a fixation → its onset, duration, x and y, and the time of its last sample.
        fault: of the first row that cannot be read.
    """

    key: Key
    t: "array[float]" = field(default_factory=lambda: array("d"))
    x: "array[float]" = field(default_factory=lambda: array("d"))
    y: "array[float]" = field(default_factory=lambda: array("d"))
    fixations: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    fault: DataError | None = None

    def take(self, row: Row, look: Look | DataError) -> None:
        """Append a row, unless there is a fault; the first is kept."""
        if self.fault is not None:
            return
        try:
            if isinstance(look, DataError):
                raise look
            self._add(row, look)
        except DataError as error:
            self.fault = error

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Make an error of what is read about it its fault, unless there is one; the first is kept."""
        try:
            yield
        except DataError as error:
            self.fault = self.fault or error

    def _add(self, row: Row, look: Look) -> None:
        """Append a row. Raises: DataError if time goes back, or no eye tracker writes such a number."""
        if self.t and look.t_ms < self.t[-1]:
            raise DataError(
                f"{row.where}: time {look.t_ms:.10g} ms after {self.t[-1]:.10g} ms; expected ascending times; "
                "export the recording again"
            )
        for values, value in zip((self.t, self.x, self.y), (look.t_ms, *look.place), strict=True):
            believable(row, (value,))
            values.append(value)
        if look.fixation is not None:
            number, x, y, duration = look.fixation
            if duration < 0:
                raise DataError(f"{row.where}: the fixation lasts {duration:g} ms; expected a duration >= 0")
            believable(row, (x, y, duration))
            self.fixations.setdefault(number, (look.t_ms, duration, x, y))
            self.last[number] = look.t_ms

    def recording(self, path: Path, *, events: bool, sampled: bool, **about: object) -> Recording:
        """Make a recording of its samples, or of fixations found by Tobii's program; the reader is the participant.

        With a fault, it has no rows.

        Args:
            path: the file.
            events: make one of fixations.
            sampled: whether the export has one row per sample, and not one per fixation.
            about: fields of the recording.
        """
        image = self.key[-1] or None
        about = {"reader": next(filter(None, self.key[-3:-1]), None)} | about
        if self.fault is not None:
            return Recording(path, NOTHING, NOTHING, image=image, **about)  # type: ignore[arg-type]
        if events:
            rows = np.array(list(self.fixations.values()), dtype=np.float64).reshape(-1, 4)
            t_ms, duration, x, y = rows.T
            if sampled:
                seen = self._cut(t_ms, duration)
                rows = np.stack((t_ms, seen, x, y))[:, (seen > 0) | (duration == 0)]
                t_ms, duration, x, y = rows
            return Recording(path, x, y, t_ms, duration, image=image, **about)  # type: ignore[arg-type]
        t_ms, x, y = (np.array(values, dtype=np.float64) for values in (self.t, self.x, self.y))
        return Recording(path, x, y, t_ms, image=image, **about)  # type: ignore[arg-type]

    def _cut(self, onset: Floats, duration: Floats) -> Floats:
        """Cut from durations the time before the image appeared or after it disappeared.

        Only samples show this. A difference of up to one sample is clock rounding.
        """
        last = np.array(list(self.last.values()), dtype=np.float64)
        period = sampling_period(np.array(self.t, dtype=np.float64))
        seen = last - onset + period
        at_an_end = (onset == self.t[0]) | (last == self.t[-1])
        return np.where(at_an_end & (duration > seen + period), seen, duration)


def presentations(looks: Iterable[KeyedRow]) -> Iterator[tuple[Row, Presentation]]:
    """Group consecutive rows with the same key, with the first row of each group; drop rows without media.

    If no row names a media, all rows of a recording are one presentation. A row that does not say its key is a fault
    of the presentations before and after it. Raises: DataError if no row says it.
    """
    now: tuple[Row, Presentation] | None = None
    unnamed: dict[Key, tuple[Row, Presentation]] = {}
    before: Presentation | None = None  # of the row before
    torn: DataError | None = None  # the row before, if it does not say its key
    is_named = says_key = False
    for row, key, look in looks:
        if key is None:
            assert isinstance(look, DataError)
            if before is not None:
                before.take(row, look)
            torn = torn or look
            continue
        says_key = True
        if key[-1]:
            is_named, unnamed = True, {}
        if now is not None and now[1].key != key:
            yield now
            now = None
        if key[-1]:
            now = now or (row, Presentation(key))
            before = now[1]
        else:
            before = None if is_named else unnamed.setdefault(key, (row, Presentation(key)))[1]
        if before is not None:
            before.take(row, torn or look)
        torn = None
    if now is not None:
        yield now
    yield from unnamed.values()
    if torn is not None and not says_key:
        raise torn


def is_sampled(looks: Iterable[KeyedRow]) -> bool:
    """Say whether a fixation has two rows: then rows are samples, in other exports fixations."""
    fixations = (
        (key[-3:-1], look.fixation[0])
        for _, key, look in looks
        if key is not None and isinstance(look, Look) and look.fixation is not None
    )
    return any(before == after for before, after in pairwise(fixations))


def is_usable(row: Row, columns: Sequence[str], words: Mapping[str, bool]) -> bool:
    """Say whether one of the eyes is valid; assumed true without validity columns.

    Args:
        row: of the eye tracker.
        columns: of the validity of each eye.
        words: in small letters → whether the eye is valid; an empty cell is not.

    Raises:
        DataError: another word.
    """
    valid = [_is_valid(row, name, words) for name in columns]
    return not valid or any(valid)


def _is_valid(row: Row, column: str, words: Mapping[str, bool]) -> bool:
    cell = row[column]
    # a table that was written again may have the code 4 as 4.0
    word = cell.casefold().replace(",", ".").removesuffix(".0")
    valid = False if is_missing(cell) else words.get(word)
    if valid is None:
        raise DataError(
            f"{row.where}: {column} is {cell[:40]!r}; expected {', '.join(words)} or an empty cell; export the "
            "recording again, or write one of these words"
        )
    return valid


def placed(recording: Recording, shown: Shown | None) -> Recording:
    """Convert a screen recording to image pixels, if the option says where the image was."""
    return recording.where_shown(*shown) if shown is not None and recording.on_screen else recording
