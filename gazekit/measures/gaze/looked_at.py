"""The fixations that an evaluation compares with, per image and reader."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.gaze.fixations import Fixations
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Floats, Grey, Integers


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Who looked where on the images of some exams.

    Args:
        scanpaths: (exam, view) → reader → fixations in prepared pixels; at least one each inside the image. Those
            outside stay: of a set of an earlier version, their onsets tell where another recording begins.
        counts: view → fixations of all these exams and readers on each pixel, ``[H, W]``.
        size: ``(H, W)``.
    """

    scanpaths: dict[tuple[int, str], dict[str, Fixations]]
    counts: dict[str, Integers]
    size: tuple[int, int]

    @classmethod
    def of(cls, dataset: PreparedDataset, exams: Iterable[int], views: Iterable[str]) -> "LookedAt":
        """Collect the fixations of some exams and views of a prepared data set."""
        scanpaths: dict[tuple[int, str], dict[str, Fixations]] = {}
        counts = {view: np.zeros(dataset.size, dtype=np.int64) for view in views}
        for exam in exams:
            for view in counts:
                for reader, found in zip(
                    dataset.readers(exam, view), dataset.fixations(exam, view), strict=True
                ):
                    if len(found.inside(dataset.size)):
                        scanpaths.setdefault((exam, view), {})[reader] = found
        looked = cls(scanpaths, counts, dataset.size)
        for exam, view in scanpaths:
            counts[view] += looked._counts_of(exam, view)
        return looked

    def points(self, exam: int, view: str) -> dict[str, Floats]:
        """Return the fixations inside an image as ``[F, 2]``, x and y, per reader; empty if nobody looked."""
        readers = self.scanpaths.get((exam, view), {})
        inside = {reader: each.inside(self.size) for reader, each in readers.items()}
        return {reader: np.stack([each.x, each.y], axis=1) for reader, each in inside.items()}

    def elsewhere(self, exam: int, view: str) -> NDArray[np.int64] | None:
        """Count the fixations on this view of the *other* exams, ``[H, W]``; None if there is none."""
        others = self.counts[view] - self._counts_of(exam, view)
        return others if others.any() else None

    def _counts_of(self, exam: int, view: str) -> Integers:
        points = list(self.points(exam, view).values())
        if not points:
            return np.zeros(self.size, dtype=np.int64)
        return fixation_counts(np.concatenate(points), self.size)


def heat_maps_of(dataset: PreparedDataset, image: tuple[int, str], readers: Iterable[str]) -> dict[str, Grey]:
    """Render the heat map of each reader of an image; without those whose fixations have no width.

    Args:
        dataset: prepared; sets of earlier versions keep no width of fixations.
        image: exam and view.
        readers: their names.
    """
    maps = {reader: dataset.heat_map(*image, readers=(reader,)) for reader in readers}
    return {reader: values for reader, values in maps.items() if values.any()}
