"""Read the gaze of EGD-CXR: chest radiographs read by one radiologist, recorded by a Gazepoint tracker."""

import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from gazekit.reading.tables.table import Row, Table, first_columns, open_table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import (
    NOTHING,
    Values,
    fixations,
    place,
    recordings_of_runs,
    samples,
)
from gazekit_datasets.gaze_readers.gazepoint import (
    DURATION,
    FIXATION,
    FOUND,
    ONSET,
    is_valid,
    shares_fixations,
)

IMAGE, SESSION = "DICOM_ID", "SESSION_ID"
TIME = "Time (in secs)"
POSITION = ("X_ORIGINAL", "Y_ORIGINAL")
NEEDED = (IMAGE, TIME, DURATION, FOUND, *POSITION)
READER = "radiologist"
"""The one reader of all images, whom the tables do not name."""


class EgdCxr:
    """Reads ``fixations.csv`` of EGD-CXR, and its ``eye_gaze.csv`` of samples at 60 Hz.

    Both tables have the same columns. In the sample table a fixation spans consecutive rows, all with its
    ``FPOGID``. ``X_ORIGINAL, Y_ORIGINAL`` are pixels of the original image. A place beside it is written as one pixel
    of the display left of and above the corner, cut to a whole number: negative, or 0, 0 if the image has fewer pixels
    than its display. Such rows are lost, as are those whose ``FPOGV`` is 0. Times are in seconds; a fixation begins at
    ``FPOGS``, or if that column is missing at ``Time (in secs)``, and lasts ``FPOGD``. Consecutive rows on one image
    form one recording, so the 400 MB of samples can be read image by image. One radiologist read all images.

    Source: https://doi.org/10.13026/qfdz-zr67, columns in table 2 of https://doi.org/10.1038/s41597-021-00863-5
    """

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of EGD-CXR."""
        return set(NEEDED) <= set(first_columns(path))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per image, in the order of the file.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, times that go back).
        """
        table = open_table(path, NEEDED)
        has_samples, onset = _has_samples(table), ONSET if ONSET in table.columns else TIME

        def read(about: tuple[str, str], rows: Iterable[Row] | None) -> Recording:
            t_ms = x = y = NOTHING
            duration = None
            if rows is not None and has_samples:
                t_ms, x, y = samples(((row, _sample(row)) for row in rows), path)
            elif rows is not None:
                t_ms, duration, x, y = fixations(((row, _fixation(row, onset)) for row in rows), path)
            return Recording(path, x, y, t_ms, duration, image=about[0], reader=READER)

        with closing(table.rows(torn=True)) as every:
            yield from recordings_of_runs(every, _image, read, path)


def _image(row: Row) -> tuple[str, str]:
    return row.word(IMAGE), row[SESSION] if SESSION in row.positions else ""


def _has_samples(table: Table) -> bool:
    """Say whether rows share their fixations."""
    with closing(table.rows(torn=True)) as rows:
        good = ((row[IMAGE], row[FIXATION]) for row in rows if not row.torn)
        return FIXATION in table.columns and shares_fixations(good)


def _sample(row: Row) -> Values:
    return 1000 * row.number(TIME), *_place(row)


def _fixation(row: Row, onset: str) -> Values:
    return 1000 * row.number(onset), 1000 * row.number(DURATION), *_place(row)


def _place(row: Row) -> Values:
    (x, y), valid = place(row, *POSITION), is_valid(row, FOUND)
    is_on_image = x >= 0 and y >= 0 and (x, y) != (0, 0)
    return (x, y) if valid and is_on_image else (math.nan, math.nan)
