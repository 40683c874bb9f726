"""Read the gaze of GazeMedSeg: polyps and prostates annotated by gaze instead of outlines."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, first_columns, open_table
from gazekit.records.recording import Recording
from gazekit_datasets.gaze_readers.gaze_rows import NOTHING, Values, fixations, place, recordings_of_runs

IMAGE, ORDER, ONSET, DURATION = "IMAGE", "CURRENT_FIX_INDEX", "CURRENT_FIX_START", "CURRENT_FIX_DURATION"
POSITION = ("CURRENT_FIX_X", "CURRENT_FIX_Y")
SIZE = ("IMAGE_WIDTH", "IMAGE_HEIGHT")
NEEDED = (IMAGE, ORDER, DURATION, *POSITION, *SIZE)

READER = "annotator"
"""The one reader of all images, whom the tables do not name."""


class GazeMedSeg:
    """Reads the fixation tables of GazeMedSeg, recorded by an EyeLink and normalised.

    Positions are fractions of the image, converted to pixels by ``IMAGE_WIDTH`` and ``IMAGE_HEIGHT``; durations are ms.
    ``CURRENT_FIX_START`` is the onset in ms. A table without it gives an order, ``CURRENT_FIX_INDEX``, but no
    times; its recordings keep the order and have no times. Consecutive rows on one image form one recording. One
    annotator looked at all images.

    Source: https://github.com/med-air/GazeMedSeg
    """

    def fits(self, path: Path) -> bool:
        """Say whether the columns are those of GazeMedSeg."""
        return set(NEEDED) <= set(first_columns(path))

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per image, in the order of the file.

        Raises:
            DataError: not readable, columns missing, or no recording without a fault (a torn row, a cell that is no
                number, an image size that is not > 0).
        """
        table = open_table(path, NEEDED)
        has_onset = ONSET in table.columns

        def read(image: str, rows: Iterable[Row] | None) -> Recording:
            t_ms = duration = x = y = NOTHING
            if rows is not None:
                timed = ((row, _fixation(row, ONSET if has_onset else ORDER)) for row in rows)
                t_ms, duration, x, y = fixations(timed, path)
            return Recording(path, x, y, t_ms if has_onset else None, duration, image=image, reader=READER)

        with closing(table.rows(torn=True)) as every:
            yield from recordings_of_runs(every, lambda row: row.word(IMAGE), read, path)


def _fixation(row: Row, order: str) -> Values:
    width, height = (row.number(column) for column in SIZE)
    if not min(width, height) > 0:
        raise DataError(f"{row.where}: the image is {width:g} x {height:g} pixels; expected a size > 0")
    x, y = place(row, *POSITION)
    return row.number(order), row.number(DURATION), x * width, y * height
