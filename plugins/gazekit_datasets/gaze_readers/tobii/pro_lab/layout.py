"""Find the columns of a Pro Lab export, under the names of older and newer versions."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, Table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import believable
from gazekit_datasets.gaze_readers.tobii.export import Column, find_column

CLOCK, SENSOR, EYE_TRACKER = "recording timestamp", "sensor", "eye tracker"
PIXELS = ("dacspx", "")
"""Units of screen pixels: newer exports write them, older ones do not."""
RECORDED = "rcspx"
"""Unit of a media's place in pixels of the recording, which are the screen's."""
MILLIMETRES = "dacsmm"
MEDIA = ("presented media", "presented stimulus")
ORIGINAL = ("original media", "original stimulus")
DURATION = ("eye movement event duration", "gaze event duration")
"""Newer name first."""


@dataclass(frozen=True, slots=True)
class FixationColumns:
    """Columns of the fixations found by Pro Lab's filter: type, number, duration, x and y."""

    type: str
    number: str
    duration: Column
    point: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportLayout:
    """The columns of an export by content; an empty name is a missing column.

    Args:
        clock: time.
        gaze: x and y.
        sensor, validity, names: the sensor, validity of each eye; participant, recording and media.
        place, presented, original: left and top, width and height on the screen, width and height of the file.
        eye: the left eye's gaze point across in pixels and in mm, and the eye's distance from the screen in mm.
        fixation: None if fixations are not wanted.
    """

    clock: Column
    gaze: tuple[str, ...]
    sensor: str
    validity: tuple[str, ...]
    names: tuple[str, ...]
    place: tuple[str, ...]
    presented: tuple[str, ...]
    original: tuple[str, ...]
    eye: tuple[str, str, str]
    fixation: FixationColumns | None

    @classmethod
    def of(cls, path: Path, columns: Sequence[str], *, fixations: bool) -> "ExportLayout":
        """Find the columns. Raises: DataError if a required one is missing."""

        def find(name: str, *units: str) -> str:
            found = find_column(columns, name, *units)
            return found.name if found else ""

        def media(ending: str, kinds: Sequence[str] = MEDIA, *units: str) -> str:
            return next(filter(None, (find(f"{kind} {ending}", *units) for kind in kinds)), "")

        clock = find_column(columns, CLOCK)
        gaze = tuple(find(f"gaze point {axis}", *PIXELS) for axis in "xy")
        wanted = [("Recording timestamp", clock), ("Gaze point X", gaze[0]), ("Gaze point Y", gaze[1])]
        missing = [name for name, found in wanted if not found]
        if missing or clock is None:
            raise _lacking(path, missing)
        names = (find("participant name"), find("recording name"), media("name"))
        return cls(
            clock=clock,
            gaze=gaze,
            sensor=find(SENSOR),
            validity=tuple(filter(None, (find("validity left"), find("validity right")))),
            names=names,
            place=tuple(media(f"position {axis}", MEDIA, *PIXELS, RECORDED) for axis in "xy"),
            presented=tuple(media(side) for side in ("width", "height")),
            original=tuple(media(side, ORIGINAL) for side in ("width", "height")),
            eye=(
                find("gaze point left x", *PIXELS),
                find("gaze point left x", MILLIMETRES),
                find("eye position left z", MILLIMETRES),
            ),
            fixation=_fixation_columns(path, columns) if fixations else None,
        )

    def key(self, row: Row) -> tuple[str, ...]:
        """Return the media's place, then participant, recording and media; empty where there is none."""
        return tuple(row[name] if name else "" for name in (*self.place, *self.presented, *self.names))

    def tracked(self, table: Table) -> Iterator[Row]:
        """Yield the rows of the eye tracker, and torn ones, of which nobody knows. Raises: DataError."""
        with closing(table.rows(torn=True)) as rows:
            yield from (row for row in rows if row.torn or self.is_sample(row))

    def is_sample(self, row: Row) -> bool:
        """Say whether a row is from the eye tracker."""
        if self.sensor:
            return row[self.sensor].casefold() == EYE_TRACKER
        return any(row[name] for name in (self.validity or self.gaze))

    def is_fixation(self, row: Row) -> bool:
        """Say whether a row is part of a fixation."""
        return self.fixation is not None and row[self.fixation.type].casefold() == "fixation"

    def on_media(self, recording: Recording, row: Row) -> Recording:
        """Return the map from screen to media, if a row gives the media's place. Raises: DataError."""
        if recording.image is None or not all((*self.place, *self.presented)):
            return recording
        left, top, width, height = (row.number(n, may_be_lost=True) for n in (*self.place, *self.presented))
        if math.isnan(left + top) or not (width >= 1 and height >= 1):
            return recording
        original = [row.number(name, may_be_lost=True) if name else math.nan for name in self.original]
        believable(row, (left, top, width, height, *original))
        if not (original[0] >= 1 and original[1] >= 1):
            return recording.where_shown(left, top, width, height)
        on_original = recording.where_shown(left, top, width, height).in_image_pixels(
            original[1], original[0]
        )
        # the media may be a resized export of the image
        return replace(on_original, display_width=original[0], display_height=original[1])


def _fixation_columns(path: Path, columns: Sequence[str]) -> FixationColumns:
    kind, number = (find_column(columns, f"eye movement type{end}") for end in ("", " index"))
    duration = next(filter(None, (find_column(columns, name) for name in DURATION)), None)
    x, y = (find_column(columns, f"fixation point {axis}", *PIXELS) for axis in "xy")
    wanted = {
        "Eye movement type": kind,
        "Eye movement type index": number,
        "Eye movement event duration": duration,
        "Fixation point X": x,
        "Fixation point Y": y,
    }
    missing = [name for name, found in wanted.items() if found is None]
    if kind is None or number is None or duration is None or x is None or y is None:
        raise _lacking(path, missing)
    return FixationColumns(kind.name, number.name, duration, (x.name, y.name))


def _lacking(path: Path, names: Sequence[str]) -> DataError:
    return DataError(
        f"{path}: no column {', '.join(names)}; expected those of Tobii Pro Lab's export; export them as well"
    )
