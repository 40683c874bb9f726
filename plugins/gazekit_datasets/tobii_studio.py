"""Read exports of Tobii Studio: "all data" as tab-separated text."""

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.table import Row, Table, first_columns, open_table
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_rows import no_gaze, place
from gazekit_datasets.tobii_export import Look, is_usable, placed, presentations
from gazekit_datasets.tobii_geometry import pixels_per_degree

CLOCK = "RecordingTimestamp"
MEDIA, SCREEN = "(MCSpx)", "(ADCSpx)"
"""Coordinates of the media shown, and of the screen."""
NAMES = ("ParticipantName", "RecordingName", "MediaName")
VALIDITY = ("ValidityLeft", "ValidityRight")
LEFT_EYE = ("GazePointLeftX (ADCSpx)", "GazePointLeftX (ADCSmm)", "DistanceLeft")
USABLE = ("0", "1")
"""Codes, of 0 to 4, for an eye that was found and is certainly or probably the left or right one."""


class TobiiStudio:
    """Reads Tobii Studio's tab-separated exports, 3.x: one recording for each presentation of a media.

    Required are ``RecordingTimestamp`` (ms) and ``GazePointX (MCSpx)`` or ``(ADCSpx)`` with its Y; ``MediaName`` names
    the image. Media coordinates refer to its ``MediaWidth`` x ``MediaHeight`` pixels. Rows of mouse, keys
    and events between samples are skipped. A sample is lost if neither eye has validity 0 or 1. Pixels per
    degree follow from eye distance and gaze points in mm, if the export has them.

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
            DataError: not readable, columns missing, a cell that is no number, times that go back (with row).
        """
        table = open_table(path, [CLOCK])
        columns = table.columns
        unit = MEDIA if f"GazePointX {MEDIA}" in columns and "MediaName" in columns else SCREEN
        needed = [f"GazePointX {unit}", f"GazePointY {unit}"]
        if self.events == "fixations":
            needed += ["GazeEventType", "GazeEventDuration", "FixationIndex"]
            needed += [f"FixationPointX {MEDIA}", f"FixationPointY {MEDIA}"]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; expected those of Tobii Studio's export; export all data"
            )
        names = [name if name in columns and (unit == MEDIA or name != "MediaName") else "" for name in NAMES]
        degree = _degree(table, unit)
        found = 0
        looks = (
            (row, self._look(row, columns, names, unit)) for row in table.rows() if _is_sample(row, columns)
        )
        for row, presentation in presentations(looks):
            is_named = unit == MEDIA and bool(presentation.key[-1])
            if unit == MEDIA and not is_named:
                continue  # gaze outside the media has no media coordinates
            recording = presentation.recording(
                path, events=self.events == "fixations", **_about(row, is_named), pixels_per_degree=degree
            )
            if len(recording.x):
                found += 1
                yield placed(recording, self.shown)
        if not found:
            raise no_gaze(path)

    def _look(self, row: Row, columns: tuple[str, ...], names: list[str], unit: str) -> Look:
        validity = [name for name in VALIDITY if name in columns]
        usable = is_usable(row, validity, USABLE)
        x_y = place(row, f"GazePointX {unit}", f"GazePointY {unit}")
        return Look(
            key=tuple(row[name] if name else "" for name in names),
            t_ms=row.number(CLOCK),
            place=x_y if usable else (math.nan, math.nan),
            fixation=_fixation(row) if self.events == "fixations" else None,
        )


def _degree(table: Table, unit: str) -> float | None:
    gaze, screen = f"GazePointX {unit}", f"GazePointX {SCREEN}"
    if not {*LEFT_EYE, screen} <= set(table.columns):
        return None
    with closing(table.rows()) as rows:
        return pixels_per_degree(rows, LEFT_EYE, gaze, screen)


def _is_sample(row: Row, columns: tuple[str, ...]) -> bool:
    """Say whether a row is a sample: it has a number or a validity, and event rows have neither."""
    if "GazePointIndex" in columns:
        return row["GazePointIndex"] != ""
    validity = [name for name in VALIDITY if name in columns]
    return not validity or any(row[name] != "" for name in validity)


def _fixation(row: Row) -> tuple[str, float, float, float] | None:
    if row["GazeEventType"] != "Fixation":
        return None
    x, y = place(row, f"FixationPointX {MEDIA}", f"FixationPointY {MEDIA}")
    if np.isnan(x):
        return None
    return row["FixationIndex"], x, y, row.number("GazeEventDuration")


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
