"""Every fixation of a prepared data set, as columns."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats, Integers


@dataclass(frozen=True, slots=True, eq=False)
class FixationTable:
    """M fixations, image by image in the order in which they happened.

    Args:
        readers: names of all readers of the data set.
        exam, view: ``[M]`` int64, positions in the data set.
        reader: ``[M]`` int64, positions in ``readers``.
        x, y: ``[M]`` pixels of the prepared image.
        onset_ms, duration_ms: ``[M]``; an onset that is not known is NaN.
        sigma_x, sigma_y: ``[M]`` standard deviation of the fixation's Gaussian in pixels of the prepared image; NaN in
            a set of an earlier version, which kept heat maps instead.
        recording: ``[M]`` int64, number of the fixation's recording, from 1, among those of its reader on its image.
    """

    readers: tuple[str, ...]
    exam: Integers
    view: Integers
    reader: Integers
    x: Floats
    y: Floats
    onset_ms: Floats
    duration_ms: Floats
    sigma_x: Floats
    sigma_y: Floats
    recording: Integers

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "FixationTable":
        """Some of the fixations."""
        columns = {
            item.name: getattr(self, item.name)[which] for item in fields(self) if item.name != "readers"
        }
        return FixationTable(self.readers, **columns)

    @classmethod
    def of_rows(
        cls, rows: Iterable[tuple[int, int, str, float, float, float, float, float, float, float]]
    ) -> "FixationTable":
        """From rows of exam, view, the reader's name, x, y, onset, duration, the two sigmas and the recording.

        Where a recording is 0, as in sets of earlier versions, it is counted: another one begins where the onset falls.
        """
        numbers = array("d")
        readers: dict[str, int] = {}
        for exam, view, reader, *values in rows:
            numbers.extend((exam, view, readers.setdefault(reader, len(readers)), *values))
        table = np.array(numbers, dtype=np.float64).reshape(-1, 10)
        names = sorted(readers)
        order = np.array([names.index(name) for name in readers], dtype=np.int64)
        *owner, recording = table[:, [0, 1, 2, 9]].T.astype(np.int64)
        counted = _by_onset(np.stack(owner), table[:, 5])
        exam_of, view_of, reader_of = owner
        x, y, onset, duration, sigma_x, sigma_y = table[:, 3:9].T
        return cls(
            *(tuple(names), exam_of, view_of, order[reader_of] if len(order) else reader_of),
            *(x, y, onset, duration, sigma_x, sigma_y),
            np.where(recording == 0, counted, recording),
        )


def _by_onset(owner: Integers, onset: Floats) -> Integers:
    """Count the recordings of each owner ``[3, M]`` (exam, view, reader), ``[M]`` from 1: the next begins with a fall.

    Nothing tells two recordings without time apart.
    """
    order = np.lexsort(owner)  # keeps the order of each owner's fixations
    owner, onset = owner[:, order], onset[order]
    other = np.r_[True, (owner[:, 1:] != owner[:, :-1]).any(axis=0)][: len(onset)]
    begins = other | np.r_[True, onset[1:] < onset[:-1]][: len(onset)]  # NaN does not fall
    count = np.cumsum(begins)
    first = np.flatnonzero(other)
    counted = np.empty(len(onset), dtype=np.int64)
    counted[order] = count - np.repeat(count[first], np.diff(np.r_[first, len(onset)])) + 1
    return counted
