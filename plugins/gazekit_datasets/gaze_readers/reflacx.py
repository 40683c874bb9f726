"""Read the gaze of REFLACX: chest radiographs read by dictating radiologists."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gazekit.reading.tables.table import Row, first_columns, open_table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import Values, fixations, place, samples

FIXATION = ("timestamp_start_fixation", "timestamp_end_fixation")
SAMPLE = "timestamp_sample"
POSITION = ("x_position", "y_position")
DEGREE = ("angular_resolution_x_pixels_per_degree", "angular_resolution_y_pixels_per_degree")


class Reflacx:
    """Reads ``fixations.csv`` of a reading, and its ``gaze.csv`` of samples at 1000 Hz.

    Times are seconds from the start of the dictation. Positions are pixels of the image, with zoom and pan already
    removed: the columns ``…_shown_from_image`` and ``…_in_screen_coordinates``, which give the image part
    shown and its place, are not needed. Some positions lie outside the image. Pixels per degree change with the zoom;
    the recording stores their median.

    The reading, which stands for its reader, is named by its folder, such as ``P102R009922``, or by the column ``id``;
    the image by the column ``dicom_id``, or by the metadata table if there is one.

    Args:
        metadata: table of ``id`` and ``dicom_id``. None: every ``metadata*.csv`` next to the folder of the reading.

    Source: https://doi.org/10.1038/s41597-022-01441-z
    """

    def __init__(self, *, metadata: str | None = None) -> None:
        self.metadata = metadata
        self._images: dict[Path, dict[str, str]] = {}

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of REFLACX's fixations or samples."""
        columns = set(first_columns(path))
        return {*POSITION, DEGREE[0]} <= columns and (set(FIXATION) <= columns or SAMPLE in columns)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield the one recording of the file.

        Raises:
            DataError: not readable, columns missing, a cell that is no number, a fixation that ends before it starts
                (with row).
        """
        has_samples = SAMPLE in first_columns(path)
        table = open_table(path, (*POSITION, *DEGREE, *((SAMPLE,) if has_samples else FIXATION)))
        if has_samples:
            t_ms, x, y, degree = samples(((row, _sample(row)) for row in table.rows()), path)
            duration = None
        else:
            t_ms, duration, x, y, degree = fixations(((row, _fixation(row)) for row in table.rows()), path)
        first = next(table.rows())
        reading = first.word("id") if "id" in table.columns else _reading(path)
        image = first.word("dicom_id") if "dicom_id" in table.columns else self._image(path, reading)
        known = degree[degree > 0]
        yield Recording(
            path,
            x,
            y,
            t_ms,
            duration,
            exam_id=reading,
            image=image,
            reader=reading,
            pixels_per_degree=float(np.median(known)) if len(known) else None,
        )

    def beside(self, path: Path) -> list[Path]:
        """Return the metadata tables."""
        folder = path.absolute().parent.parent
        return [Path(self.metadata)] if self.metadata else sorted(folder.glob("metadata*.csv"))

    def _image(self, path: Path, reading: str | None) -> str | None:
        """Look up the image of a reading in the metadata, whose tables are read once."""
        for table in self.beside(path):
            if table not in self._images:
                rows = open_table(table, ("id", "dicom_id")).rows()
                self._images[table] = {row["id"]: row["dicom_id"] for row in rows}
            if reading is not None and reading in self._images[table]:
                return self._images[table][reading]
        return None


def _reading(path: Path) -> str | None:
    folder = path.absolute().parent.name
    return folder if re.fullmatch(r"P\d+R\d+", folder) else None


def _fixation(row: Row) -> Values:
    start, end = (1000 * row.number(column) for column in FIXATION)
    return start, end - start, *_place(row)


def _sample(row: Row) -> Values:
    return 1000 * row.number(SAMPLE), *_place(row)


def _place(row: Row) -> Values:
    """Read x, y and pixels per degree (geometric mean of both axes), NaN where the eye was not found."""
    across, down = (row.number(column, may_be_lost=True) for column in DEGREE)
    return *place(row, *POSITION), math.sqrt(across) * math.sqrt(down) if min(across, down) > 0 else math.nan
