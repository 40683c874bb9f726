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

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "FixationTable":
        """Some of the fixations."""
        columns = {
            item.name: getattr(self, item.name)[which] for item in fields(self) if item.name != "readers"
        }
        return FixationTable(self.readers, **columns)

    @classmethod
    def of_rows(
        cls, rows: Iterable[tuple[int, int, str, float, float, float, float, float, float]]
    ) -> "FixationTable":
        """From rows of exam, view, the reader's name, x, y, onset, duration and the two sigmas."""
        numbers = array("d")
        readers: dict[str, int] = {}
        for exam, view, reader, *values in rows:
            numbers.extend((exam, view, readers.setdefault(reader, len(readers)), *values))
        table = np.array(numbers, dtype=np.float64).reshape(-1, 9)
        names = sorted(readers)
        order = np.array([names.index(name) for name in readers], dtype=np.int64)
        exam_of, view_of, reader_of = table[:, :3].T.astype(np.int64)
        return cls(
            tuple(names), exam_of, view_of, order[reader_of] if len(order) else reader_of, *table[:, 3:].T
        )
