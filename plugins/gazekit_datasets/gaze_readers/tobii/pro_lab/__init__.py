"""Read exports of Tobii Pro Lab: data of all sensors as tab-separated text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gazekit.reading.tables.table import first_columns, open_table
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.gaze_rows import Found, recordings_with_faults
from gazekit_datasets.gaze_readers.tobii.export import find_column, is_sampled, placed, presentations
from gazekit_datasets.gaze_readers.tobii.pro_lab.layout import CLOCK, PIXELS, ExportLayout
from gazekit_datasets.gaze_readers.tobii.pro_lab.scales import Scales


class TobiiProLab:
    """Reads Tobii Pro Lab's tab-separated exports: one recording for each presentation of a media.

    Required are ``Recording timestamp`` (µs or ms, as its name or else the sampling interval says) and ``Gaze point
    X`` and ``Y`` (pixels of the screen), with or without ``[DACS px]``. Where the export has the position and size of
    the presented media and its original size, coordinates are pixels of the original: ``(X - position) * original
    width / presented width``; if the media moves, a new recording begins. Rows of other sensors between
    samples are skipped. A sample is lost if neither eye is valid. Pixels per degree follow from the position of
    the left eye and its gaze points in mm, if the export has them.

    Args:
        events: ``"samples"``, or ``"fixations"`` found by Pro Lab's filter (``Eye movement type``).
        shown: left, top, width and height of the image on the screen, pixels; for exports without the media's place.

    Source: Tobii AB, Tobii Pro Lab User Manual, data export.
    """

    def __init__(
        self, *, events: Literal["samples", "fixations"] = "samples", shown: Shown | None = None
    ) -> None:
        self.events, self.shown = events, shown

    def fits(self, path: Path) -> bool:
        """Say whether there is Pro Lab's clock and a gaze point in screen pixels."""
        columns = first_columns(path)
        return (
            find_column(columns, CLOCK) is not None
            and find_column(columns, "gaze point x", *PIXELS) is not None
        )

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per presentation of a media, in the order of the file.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        table, events = open_table(path), self.events == "fixations"
        layout = ExportLayout.of(path, table.columns, fixations=events)
        scales = Scales.of(table, layout)
        sampled = events and is_sampled(scales.looks(table, layout))

        def found() -> Iterator[Found]:
            for row, presentation in presentations(scales.looks(table, layout)):
                degree = None
                with presentation.faults():
                    if scales.geometry is not None:
                        degree = scales.geometry.pixels_per_degree(presentation.key[-3:])
                recording = presentation.recording(
                    path, events=events, sampled=sampled, on_screen=True, pixels_per_degree=degree
                )
                with presentation.faults():
                    recording = placed(layout.on_media(recording, row), self.shown)
                yield recording, presentation.fault

        return recordings_with_faults(found(), path)
