"""Exports of Tobii Pro Lab: data of all sensors as tab-separated text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gazekit.data.table import Row, first_columns, open_table
from gazekit.errors import DataError
from gazekit.gaze.geometry import Placement, window
from gazekit.gaze.recording import Recording, Shown
from gazekit_datasets.gaze_rows import no_gaze, place
from gazekit_datasets.tobii_export import (
    MICROSECONDS,
    Column,
    Look,
    find_column,
    is_usable,
    placed,
    presentations,
)

CLOCK, SENSOR, EYE_TRACKER = "recording timestamp", "sensor", "eye tracker"
PIXELS = ("dacspx", "")
"""Units of the screen's pixels: newer exports write them, older ones do not."""
MEDIA = ("presented media", "presented stimulus")
ORIGINAL = ("original media", "original stimulus")
USABLE = ("valid", "1")


class TobiiProLab:
    """Reads Tobii Pro Lab's tab-separated exports: one recording per media that was shown, each time it was.

    Needed are ``Recording timestamp`` (µs, or the unit in its name) and ``Gaze point X`` and ``Y`` (pixels of the
    screen), with or without ``[DACS px]``. Where the export has the position and size of the presented media and its
    original size, coordinates are pixels of the original: ``(X - position) * original width / presented width``. Rows
    of other sensors between the samples are passed over. A sample is lost where neither eye is valid.

    Args:
        events: ``"samples"``, or ``"fixations"``: those that Pro Lab's filter found (``Eye movement type``).
        shown: left, top, width and height of the image on the screen, pixels; for exports without the media's place.

    Source: Tobii AB, Tobii Pro Lab User Manual, data export.
    """

    def __init__(
        self, *, events: Literal["samples", "fixations"] = "samples", shown: Shown | None = None
    ) -> None:
        self.events, self.shown = events, shown

    def fits(self, path: Path) -> bool:
        """Whether there is Pro Lab's clock and a gaze point in pixels of the screen."""
        columns = first_columns(path)
        return (
            find_column(columns, CLOCK) is not None
            and find_column(columns, "gaze point x", *PIXELS) is not None
        )

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per presentation of a media, in the order of the file.

        Raises:
            DataError: not readable, columns missing, a cell that is no number, times that go back (with row).
        """
        table = open_table(path)
        layout = _Layout.of(path, table.columns, fixations=self.events == "fixations")
        looks = ((row, layout.look(row)) for row in table.rows() if layout.is_sample(row))
        found = 0
        for row, presentation in presentations(looks):
            recording = presentation.recording(path, events=self.events == "fixations", on_screen=True)
            if len(recording.x):
                found += 1
                yield placed(layout.on_media(recording, row), self.shown)
        if not found:
            raise no_gaze(path)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column of an export holds what; empty names are columns that it has not.

    Args:
        clock, milliseconds: the clock, and what one of its units is.
        gaze: x and y.
        sensor, validity, names: which sensor, whether each eye is valid, participant, recording and media.
        place, presented, original: left and top, width and height on the screen, width and height of the file.
        fixation: type of movement, its number, its duration, x and y; empty when they are not wanted.
    """

    clock: str
    milliseconds: float
    gaze: tuple[str, ...]
    sensor: str
    validity: tuple[str, ...]
    names: tuple[str, ...]
    place: tuple[str, ...]
    presented: tuple[str, ...]
    original: tuple[str, ...]
    fixation: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, columns: Sequence[str], *, fixations: bool) -> "_Layout":
        """Find the columns. Raises: DataError when one that is needed is missing."""

        def find(name: str, *units: str) -> str:
            found = find_column(columns, name, *units)
            return found.name if found else ""

        def media(ending: str, kinds: Sequence[str] = MEDIA, *units: str) -> str:
            return next(filter(None, (find(f"{kind} {ending}", *units) for kind in kinds)), "")

        clock = find_column(columns, CLOCK)
        gaze = tuple(find(f"gaze point {axis}", *PIXELS) for axis in "xy")
        wanted = [("Recording timestamp", clock), *zip(("Gaze point X", "Gaze point Y"), gaze, strict=True)]
        fixation: tuple[str, ...] = ()
        if fixations:
            event = ("eye movement type", "eye movement type index", "gaze event duration")
            point = tuple(find(f"fixation point {axis}", *PIXELS) for axis in "xy")
            fixation = (*(find(name) for name in event), *point)
            wanted += zip((*event, "fixation point x", "fixation point y"), fixation, strict=True)
        missing = [name for name, found in wanted if not found]
        if missing or clock is None:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; expected those of Tobii Pro Lab's export; export them as well"
            )
        names = (find("participant name"), find("recording name"), media("name"))
        return cls(
            clock=clock.name,
            milliseconds=_milliseconds(path, clock),
            gaze=gaze,
            sensor=find(SENSOR),
            validity=tuple(filter(None, (find("validity left"), find("validity right")))),
            names=names,
            place=tuple(media(f"position {axis}", MEDIA, *PIXELS) for axis in "xy"),
            presented=tuple(media(side) for side in ("width", "height")),
            original=tuple(media(side, ORIGINAL) for side in ("width", "height")),
            fixation=fixation,
        )

    def is_sample(self, row: Row) -> bool:
        """Whether a row is the eye tracker's."""
        if self.sensor:
            return row[self.sensor].casefold() == EYE_TRACKER
        return any(row[name] for name in (self.validity or self.gaze))

    def look(self, row: Row) -> Look:
        """What a row of the eye tracker says. Raises: DataError."""
        at = place(row, *self.gaze) if is_usable(row, self.validity, USABLE) else (math.nan, math.nan)
        return Look(
            key=tuple(row[name] if name else "" for name in self.names),
            t_ms=row.number(self.clock) * self.milliseconds,
            place=at,
            fixation=self._fixation(row),
        )

    def _fixation(self, row: Row) -> tuple[str, float, float, float] | None:
        if not self.fixation or row[self.fixation[0]].casefold() != "fixation":
            return None
        x, y = place(row, *self.fixation[3:])
        return None if math.isnan(x) else (row[self.fixation[1]], x, y, row.number(self.fixation[2]))

    def on_media(self, recording: Recording, row: Row) -> Recording:
        """From the screen to the media, where a row says where that lay. Raises: DataError."""
        if recording.image is None or not all((*self.place, *self.presented)):
            return recording
        left, top, width, height = (row.number(n, may_be_lost=True) for n in (*self.place, *self.presented))
        if math.isnan(left + top) or not (width > 0 and height > 0):
            return recording
        shown = recording.where_shown(left, top, width, height)
        if not all(self.original):
            return shown
        original = [row.number(name, may_be_lost=True) for name in self.original]
        if not (original[0] > 0 and original[1] > 0):
            return shown
        return _scaled(
            recording, window(left, top).then(Placement(original[0] / width, original[1] / height))
        )


def _scaled(recording: Recording, step: Placement) -> Recording:
    x, y = step.apply(recording.x, recording.y)
    return replace(recording, x=x, y=y, on_screen=False)


def _milliseconds(path: Path, clock: Column) -> float:
    """How many milliseconds the unit of the clock is; without one it is µs. Raises: DataError."""
    if clock.unit == "ms":
        return 1.0
    if clock.unit in ("", *MICROSECONDS):
        return 1e-3
    raise DataError(f"{path}: {clock.name} has the unit {clock.unit[:20]!r}; expected µs or ms")
