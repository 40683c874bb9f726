"""Read parts shared by the exports of Tobii's programs: columns with units, rows grouped into presentations."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.gaze.blinks import sampling_period
from gazekit.reading.table import Row, is_missing
from gazekit.records.arrays import Floats
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import believable


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


@dataclass(frozen=True, slots=True)
class Look:
    """One row of the eye tracker.

    Args:
        key: ends with participant, recording and media; empty where the export does not say.
        t_ms: time in ms.
        place: x, y; NaN where lost.
        fixation: number, x, y and duration (ms) of the fixation it is part of; None if there is none.
    """

    key: tuple[str, ...]
    t_ms: float
    place: tuple[float, float]
    fixation: tuple[str, float, float, float] | None


@dataclass(slots=True)
class Presentation:
    """Gaze from the moment an image appears until the next one does.

    Args:
        key: ends with participant, recording and media; empty where the export does not say.
        t, x, y: of the samples.
        fixations, last: number of a fixation → its onset, duration, x and y, and the time of its last sample.
    """

    key: tuple[str, ...]
    t: "array[float]" = field(default_factory=lambda: array("d"))
    x: "array[float]" = field(default_factory=lambda: array("d"))
    y: "array[float]" = field(default_factory=lambda: array("d"))
    fixations: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def add(self, row: Row, look: Look) -> None:
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

        Args:
            path: the file.
            events: make one of fixations.
            sampled: whether the export has one row per sample, and not one per fixation.
            about: fields of the recording.
        """
        image = self.key[-1] or None
        about = {"reader": next(filter(None, self.key[-3:-1]), None)} | about
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


def presentations(looks: Iterable[tuple[Row, Look]]) -> Iterator[tuple[Row, Presentation]]:
    """Group consecutive rows with the same key, with the first row of each group; drop rows without media.

    If no row names a media, all rows of a recording are one presentation. Raises: DataError.
    """
    now: tuple[Row, Presentation] | None = None
    unnamed: dict[tuple[str, ...], tuple[Row, Presentation]] = {}
    is_named = False
    for row, look in looks:
        if not look.key[-1]:
            if not is_named:
                unnamed.setdefault(look.key, (row, Presentation(look.key)))[1].add(row, look)
            if now is not None:
                yield now
            now = None
            continue
        is_named, unnamed = True, {}
        if now is None or now[1].key != look.key:
            if now is not None:
                yield now
            now = row, Presentation(look.key)
        now[1].add(row, look)
    if now is not None:
        yield now
    yield from unnamed.values()


def is_sampled(looks: Iterable[Look]) -> bool:
    """Say whether a fixation has two rows: then rows are samples, in other exports fixations. Raises: DataError."""
    fixations = ((look.key[-3:-1], look.fixation[0]) for look in looks if look.fixation is not None)
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
