"""Read exports of Gazepoint Analysis: all gaze, or the fixations, of one user on several media."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, Table, first_columns, open_table
from gazekit.records.placement import screen as on_screen
from gazekit.records.recording import Length, Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import (
    NOTHING,
    Values,
    fixations,
    place,
    read_instead,
    recordings_of_runs,
    samples,
)

MEDIA, NAME = "MEDIA_ID", "MEDIA_NAME"
ONSET, DURATION, FIXATION, FOUND = "FPOGS", "FPOGD", "FPOGID", "FPOGV"
"""Onset and duration of a fixation in s, its number, and whether the filter found one."""
FIXATED, LOOKED = ("FPOGX", "FPOGY"), ("BPOGX", "BPOGY")
SEEN, TICKS = "BPOGV", "TIMETICK("
NEEDED = (MEDIA, NAME, *FIXATED, ONSET, DURATION, FIXATION, FOUND, *LOOKED, SEEN)
ENDINGS = {"samples": "_all_gaze.csv", "fixations": "_fixations.csv"}
_LOOKED_AT = 1000
"""Rows needed to tell samples from fixations: more than ten seconds at 60 Hz."""


class Gazepoint:
    """Reads ``USER_all_gaze.csv`` and ``USER_fixations.csv`` of Gazepoint Analysis: one recording per media shown.

    Both tables have the same columns. Times are in seconds from the beginning of a media: ``TIME(…)``, whose name holds
    when the recording began, or ``FPOGS`` of a fixation. Positions are fractions of the screen, (0, 0) top left:
    ``BPOGX, BPOGY`` of samples, lost where ``BPOGV`` is 0, and ``FPOGX, FPOGY`` of fixations. They may lie beside
    the screen. The name of the file names the user, ``MEDIA_NAME`` the image. Samples and fixations of one user are the
    same gaze: one table is read.

    Args:
        events: ``"samples"`` or ``"fixations"``: which table is read where both are there.
        screen: width and height in pixels of the display.
        shown: left, top, width and height of the image on that display, pixels. None: unknown; then the recording is in
            pixels of the screen.

    Source: Gazepoint, Open Gaze API and Gazepoint Analysis user manual, and published exports.
    """

    def __init__(
        self,
        *,
        events: Literal["samples", "fixations"] = "samples",
        screen: tuple[Length, Length] = (1920, 1080),
        shown: Shown | None = None,
    ) -> None:
        self.events, self.screen, self.shown = events, screen, shown

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of Gazepoint Analysis."""
        columns = first_columns(path)
        return set(NEEDED) <= set(columns) and _clock(columns) is not None

    def beside(self, path: Path) -> list[Path]:
        """Return the table of the same user that is read instead, if there is one."""
        instead = self._instead(path)
        return [] if instead is None else [instead]

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per media shown, in the order of the file; none if the user's other table is read.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        table = open_table(path, NEEDED)
        clock = _clock(table.columns)
        if clock is None:
            raise DataError(
                f"{path}: no column TIME(…) with the time of each row; expected the columns of Gazepoint Analysis; "
                "export the data again"
            )
        if self._instead(path) is not None:
            return
        to_pixels, are_samples = on_screen(*self.screen), _are_samples(path, table)

        def read(about: tuple[int, str], rows: Iterable[Row] | None) -> Recording:
            t_ms = x = y = NOTHING
            duration = None
            if rows is not None and are_samples:
                t_ms, x, y = samples(((row, _sample(row, clock)) for row in rows), path)
            elif rows is not None:
                t_ms, duration, x, y = fixations(((row, _fixation(row)) for row in rows), path)
            x, y = to_pixels.apply(x, y)
            image, reader = about[1] or None, _user(path)
            found = Recording(path, x, y, t_ms, duration, image=image, reader=reader, on_screen=True)
            return found if self.shown is None else found.where_shown(*self.shown)

        with closing(table.rows(torn=True)) as every:
            yield from recordings_of_runs(every, _Presentations(clock, table.columns), read, path)

    def _instead(self, path: Path) -> Path | None:
        """Return the table of the same user that is read instead; None if this one is."""
        twin = read_instead(path, ENDINGS, self.events)
        return twin if twin is not None and self.fits(twin) else None


def is_valid(row: Row, column: str) -> bool:
    """Say whether a row is marked as valid; an empty cell is not. Raises: DataError for anything but 0 and 1."""
    valid = row.number(column, may_be_lost=True)
    if valid not in (0, 1) and not math.isnan(valid):
        raise DataError(f"{row.where}: {column} is {valid:g}; expected 0 or 1")
    return valid == 1


def shares_fixations(rows: Iterable[tuple[object, str]]) -> bool:
    """Say whether most rows share their fixation with the next row of the image: then rows are samples.

    Args:
        rows: what identifies the image, and the number of the fixation; the first rows are looked at.
    """
    shared = [one[1] == other[1] for one, other in pairwise(islice(rows, _LOOKED_AT)) if one[0] == other[0]]
    return 2 * sum(shared) > len(shared)


def _clock(columns: Sequence[str]) -> str | None:
    return next((name for name in columns if name.startswith("TIME(")), None)


def _user(path: Path) -> str | None:
    """Return the user that the file is called after."""
    ending = next((each for each in ENDINGS.values() if path.name.endswith(each)), None)
    return None if ending is None else path.name.removesuffix(ending) or None


def _are_samples(path: Path, table: Table) -> bool:
    """Say whether rows are samples: by the file's name, else because they share fixations. Raises: DataError."""
    for events, ending in ENDINGS.items():
        if path.name.endswith(ending):
            return events == "samples"
    with closing(table.rows(torn=True)) as rows:
        return shares_fixations((row[MEDIA], row[FIXATION]) for row in rows if not row.torn)


class _Presentations:
    """Numbers the presentations of media: the clock begins again with each, while the processor's ticks go on."""

    def __init__(self, clock: str, columns: Sequence[str]) -> None:
        self._clock = clock
        self._ticks = next((name for name in columns if name.startswith(TICKS)), None)
        self._number, self._before = 0, ("", -math.inf, math.inf)

    def __call__(self, row: Row) -> tuple[int, str]:
        """Return number and media name of a row's presentation. Raises: DataError."""
        now = row[MEDIA], row.number(self._clock), row.number(self._ticks) if self._ticks else -math.inf
        begins_again = now[1] < self._before[1] and now[2] > self._before[2]
        self._number += now[0] != self._before[0] or begins_again
        self._before = now
        return self._number, row[NAME]


def _sample(row: Row, clock: str) -> Values:
    x, y = place(row, *LOOKED) if is_valid(row, SEEN) else (math.nan, math.nan)
    return 1000 * row.number(clock), x, y


def _fixation(row: Row) -> Values:
    x, y = place(row, *FIXATED) if is_valid(row, FOUND) else (math.nan, math.nan)
    return 1000 * row.number(ONSET), 1000 * row.number(DURATION), x, y
