"""Notice gaze that is in pixels of a smaller copy of the images: on all of them it keeps to the upper left."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gazekit.prepared.exam_record import ViewRecord
from gazekit.records.exam import GAZE, Finding

_IMAGES, _FIXATIONS = 5, 20
"""Fewest images and fixations that say something (ours)."""


@dataclass(slots=True)
class Corner:
    """Counts the images with fixations, and whether all of them lie in the upper left quarter of their image."""

    images: int = 0
    fixations: int = 0
    leaves: bool = False

    def look(self, views: Iterable[ViewRecord]) -> None:
        """Count the fixations of prepared views, back in pixels of the originals."""
        for view in views:
            if self.leaves or not view.fixations:
                continue
            x, y = view.geometry.inverse(
                np.array([each.x for each in view.fixations]), np.array([each.y for each in view.fixations])
            )
            height, width = view.raw_size
            self.leaves = bool(max(x.max() / width, y.max() / height) > 0.5)
            self.images += 1
            self.fixations += len(view.fixations)

    def findings(self) -> list[Finding]:
        """Report the images if no fixation leaves the quarter."""
        if self.leaves or self.images < _IMAGES or self.fixations < _FIXATIONS:
            return []
        what = (
            "no fixation leaves the upper left quarter; are x and y pixels of a smaller copy, or mm? The columns "
            "display_width and display_height of a plain table say its size"
        )
        return [Finding(GAZE, f"all {self.images} images with gaze", what)]
