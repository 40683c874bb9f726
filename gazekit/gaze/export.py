"""Export recordings of any format as one plain table in pixels of the original images."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from gazekit.disk.plain_text import to_cell
from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.fixations import FixationSettings, fixations_of
from gazekit.gaze.matching import ExamView, Joined
from gazekit.gaze.readers import reader_names
from gazekit.records.arrays import Size
from gazekit.records.recording import Recording

NumberedRecording = tuple[ExamView, str, int, Recording]
"""Image, reader, number of the sitting, and the recording in pixels of the image."""


@dataclass(frozen=True, slots=True)
class ExportedGaze:
    """A plain gaze table, and the recordings left out of it.

    Args:
        text: the table as CSV.
        rows: number of rows below the header.
        holds_fixations: whether the rows are fixations rather than samples.
        left_out: a sentence per recording left out.
    """

    text: str
    rows: int
    holds_fixations: bool
    left_out: list[str]


def export(
    joined: Joined, size_of: Callable[[ExamView], Size], settings: FixationSettings, *, as_fixations: bool
) -> ExportedGaze:
    """Write joined recordings as ``exam_id,view,t_ms,x,y``, or as fixations with ``start_ms,duration_ms``.

    Further columns are added if needed: ``reader`` (counted from 1 if the recordings do not name readers);
    ``sitting``, which separates recordings of one reader on one image; ``pixels_per_degree`` and ``stretch``, the
    geometry. Samples that may have been clamped to the border are written as lost unless the settings keep them.

    Args:
        joined: recordings by exam and view.
        size_of: (exam_id, view) → height and width of the original image.
        settings: of the fixation detection.
        as_fixations: write the fixations of recordings that hold samples.

    Raises:
        ConfigurationError: the table would mix samples and fixations.
        DataError: no recording can be written; gives the reason for the first.
    """
    every = [(each_key, *each) for each_key, some in joined.matched.items() for each in _readings(some)]
    held = [each.duration_ms is not None for _, _, _, each in every]
    if any(held) and not all(held) and not as_fixations:
        raise ConfigurationError(
            f"{sum(held)} of {len(held)} recordings hold fixations and the others samples; expected one kind in a "
            "table; add --fixations to find the fixations of the samples"
        )
    written: list[NumberedRecording] = []
    left_out = []
    for key, reader, sitting, recording in every:
        try:
            placed = _placed(recording, size_of(key), settings, as_fixations=as_fixations)
            written.append((key, reader, sitting, placed))
        except DataError as error:
            left_out.append(str(error))
    if not written:
        raise DataError(left_out[0])
    text, rows = _table(written)
    return ExportedGaze(text, rows, written[0][3].duration_ms is not None, left_out)


def _readings(recordings: list[Recording]) -> list[tuple[str, int, Recording]]:
    """Yield reader, number of the sitting from 1, and recording, for the recordings of one image."""
    names = reader_names(recordings)
    return [
        (name, names[: position + 1].count(name), each)
        for position, (name, each) in enumerate(zip(names, recordings, strict=True))
    ]


def _placed(recording: Recording, size: Size, settings: FixationSettings, *, as_fixations: bool) -> Recording:
    """Convert a recording to pixels of its image; unusable samples become lost."""
    height, width = size
    placed = recording.in_image_pixels(height, width)
    if as_fixations:
        found = fixations_of(placed, image_height=height, image_width=width, settings=settings)
        times = None if recording.t_ms is None else found.onset_ms
        return replace(placed, x=found.x, y=found.y, t_ms=times, duration_ms=found.duration_ms, suspect=None)
    if placed.suspect is None or settings.keep_suspect:
        return placed
    x, y = (np.where(placed.suspect, np.nan, values) for values in (placed.x, placed.y))
    return replace(placed, x=x, y=y)


def _table(written: list[NumberedRecording]) -> tuple[str, int]:
    """Return the table as text and its number of rows."""
    needed = {
        "reader": any(reader != "1" or each.reader is not None for _, reader, _, each in written),
        "sitting": any(sitting > 1 for _, _, sitting, _ in written),
        "pixels_per_degree": any(each.pixels_per_degree is not None for *_, each in written),
        "stretch": any(each.stretch != 1 for *_, each in written),
    }
    text, count = StringIO(), 0
    writer = csv.writer(text, lineterminator="\n")
    for position, each in enumerate(written):
        columns = {name: cells for name, cells in _columns(*each).items() if needed.get(name, True)}
        if position == 0:
            writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        count += len(each[3].x)
    return text.getvalue(), count


def _columns(key: ExamView, reader: str, sitting: int, recording: Recording) -> dict[str, list[str]]:
    count = len(recording.x)
    times = np.full(count, np.nan) if recording.t_ms is None else recording.t_ms
    about = {"exam_id": key[0], "view": key[1], "reader": reader, "sitting": str(sitting)}
    columns = {name: [to_cell(cell)] * count for name, cell in about.items()}
    if recording.duration_ms is None:
        columns["t_ms"] = _cells(times)
    else:
        columns |= {"start_ms": _cells(times), "duration_ms": _cells(recording.duration_ms)}
    degree = np.array([np.nan if recording.pixels_per_degree is None else recording.pixels_per_degree])
    return columns | {
        "x": _cells(recording.x),
        "y": _cells(recording.y),
        "pixels_per_degree": _cells(degree) * count,
        "stretch": [repr(recording.stretch)] * count,
    }


def _cells(values: NDArray[np.float64]) -> list[str]:
    """Write numbers that read back exactly; a lost value is empty."""
    return ["" if math.isnan(value) else repr(value) for value in values.tolist()]
