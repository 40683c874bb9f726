"""Read exports of Tobii Studio: "all data" as tab-separated text."""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, Table, first_columns, open_table
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import Found, place, recordings_with_faults
from gazekit_datasets.gaze_readers.tobii.export import (
    KeyedRow,
    Look,
    is_sampled,
    is_usable,
    keyed_looks,
    placed,
    presentations,
)
from gazekit_datasets.gaze_readers.tobii.geometry import Key, ViewingGeometry

CLOCK = "RecordingTimestamp"
MEDIA, SCREEN = "(MCSpx)", "(ADCSpx)"
"""Coordinates of the media shown, and of the screen."""
NAMES = ("ParticipantName", "RecordingName", "MediaName")
VALIDITY = ("ValidityLeft", "ValidityRight")
LEFT_EYE = ("GazePointLeftX (ADCSpx)", "GazePointLeftX (ADCSmm)", "DistanceLeft")
VALID = {"0": True, "1": True, "2": False, "3": False, "4": False}
"""Codes; with 0 and 1 an eye was found and is certainly or probably the left or right one."""


class TobiiStudio:
    """Reads Tobii Studio's tab-separated exports, 3.x: one recording for each presentation of a media.

    Required are ``RecordingTimestamp`` (ms) and ``GazePointX (MCSpx)`` or ``(ADCSpx)`` with its Y, for fixations also
    ``FixationPointX`` and its Y; ``MediaName`` names the image, without which pixels must be those of the screen
    (ADCSpx). Media coordinates refer to its ``MediaWidth`` x ``MediaHeight`` pixels. Rows of mouse, keys and events
    between samples are skipped. A sample is lost if neither eye has validity 0 or 1. Pixels per degree follow from eye
    distance and gaze points in mm, if the export has them.

    Args:
        events: ``"samples"``, or ``"fixations"`` found by Studio's filter (``GazeEventType``).
        shown: left, top, width and height of the image on the screen, pixels; only for exports without media.

    Source: Tobii AB, Tobii Studio User's Manual 3.4, data export.
    """

    def __init__(
        self, *, events: Literal["samples", "fixations"] = "samples", shown: Shown | None = None
    ) -> None:
        self.events, self.shown = events, shown

    def fits(self, path: Path) -> bool:
        """Say whether there is Studio's clock and a gaze point in its units."""
        columns = first_columns(path)
        return CLOCK in columns and any(f"GazePointX {unit}" in columns for unit in (MEDIA, SCREEN))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per presentation of a media, in the order of the file.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        table = open_table(path, [CLOCK])
        layout = _Layout.of(table, events=self.events == "fixations")
        geometry = layout.geometry(table)
        sampled = self.events == "fixations" and is_sampled(layout.looks(table))

        def found() -> Iterator[Found]:
            for row, presentation in presentations(layout.looks(table)):
                is_named = layout.unit == MEDIA and bool(presentation.key[-1])
                if layout.unit == MEDIA and not is_named:
                    continue  # gaze outside the media has no media coordinates
                about: dict[str, object] = {"on_screen": True}
                with presentation.faults():
                    about = _about(row, is_named)
                    if geometry is not None:
                        about["pixels_per_degree"] = geometry.pixels_per_degree(presentation.key)
                recording = presentation.recording(path, events=layout.events, sampled=sampled, **about)
                yield placed(recording, self.shown), presentation.fault

        return recordings_with_faults(found(), path)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of an export.

    Args:
        columns: all of them.
        unit: of the coordinates read: of the media, or of the screen.
        names: participant, recording and media; an empty name is a missing column.
        events: whether fixations are read.
    """

    columns: tuple[str, ...]
    unit: str
    names: tuple[str, ...]
    events: bool

    @classmethod
    def of(cls, table: Table, *, events: bool) -> "_Layout":
        """Find the columns. Raises: DataError if a required one is missing."""
        columns, point = table.columns, "FixationPoint" if events else "GazePoint"
        in_media = f"{point}X {MEDIA}" in columns
        unit = MEDIA if (in_media or events) and "MediaName" in columns else SCREEN
        needed = ["GazeEventType", "GazeEventDuration", "FixationIndex"] if events else []
        needed += [f"{point}{axis} {unit}" for axis in "XY"]
        missing = [name for name in needed if name not in columns]
        if missing:
            media = f"MediaName, for {point}X {MEDIA} are pixels of the media, or " if in_media else ""
            raise DataError(
                f"{table.path}: no column {', '.join(missing)}; expected those of Tobii Studio's export; export "
                f"{media}all data"
            )
        names = [name if name in columns and (unit == MEDIA or name != "MediaName") else "" for name in NAMES]
        return cls(columns, unit, tuple(names), events)

    def key(self, row: Row) -> Key:
        """Return participant, recording and media of a row."""
        return tuple(row[name] if name else "" for name in self.names)

    def looks(self, table: Table) -> Iterator[KeyedRow]:
        """Yield the rows of the eye tracker. Raises: DataError."""
        validity = [name for name in VALIDITY if name in self.columns]

        def look(row: Row) -> Look:
            usable = is_usable(row, validity, VALID) and not self.events
            x_y = self._point(row, "GazePoint") if usable else (math.nan, math.nan)
            return Look(row.number(CLOCK), x_y, self._fixation(row) if self.events else None)

        with closing(table.rows(torn=True)) as rows:
            tracked = (row for row in rows if row.torn or _is_sample(row, self.columns))
            yield from keyed_looks(tracked, self.key, look)

    def geometry(self, table: Table) -> ViewingGeometry | None:
        """Collect what pixels per degree follow from; None if the export lacks it. Raises: DataError."""
        across = (f"GazePointX {SCREEN}", f"GazePointX {MEDIA}") if self.unit == MEDIA else None
        if not {*LEFT_EYE, *(across or ())} <= set(self.columns):
            return None
        with closing(table.rows(torn=True)) as rows:
            whole = ((self.key(row), row) for row in rows if not row.torn)
            return ViewingGeometry.of(whole, LEFT_EYE, across)

    def _point(self, row: Row, point: str) -> tuple[float, float]:
        return place(row, f"{point}X {self.unit}", f"{point}Y {self.unit}")

    def _fixation(self, row: Row) -> tuple[str, float, float, float] | None:
        if row["GazeEventType"] != "Fixation":
            return None
        x, y = self._point(row, "FixationPoint")
        if math.isnan(x):
            return None
        return row["FixationIndex"], x, y, row.number("GazeEventDuration")


def _is_sample(row: Row, columns: tuple[str, ...]) -> bool:
    """Say whether a row is a sample: it has a number or a validity, and event rows have neither."""
    if "GazePointIndex" in columns:
        return row["GazePointIndex"] != ""
    validity = [name for name in VALIDITY if name in columns]
    return not validity or any(row[name] != "" for name in validity)


def _about(row: Row, is_named: bool) -> dict[str, object]:
    """Return the size of the media, in the pixels of its coordinates."""
    if not is_named:
        return {"on_screen": True}
    if "MediaWidth" not in row.positions or "MediaHeight" not in row.positions:
        return {}
    width, height = (row.number(name, may_be_lost=True) for name in ("MediaWidth", "MediaHeight"))
    if not (width > 0 and height > 0):
        return {}
    return {"display_width": width, "display_height": height}
