"""Show the views of a prepared data set: their originals if available, else the prepared images unflipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reading.image import read_image
from gazekit.reading.window import parse_window
from gazekit.records.arrays import in_unit_range, luminance
from gazekit.records.raw_image import RawImage
from gazekit.reporting.drawing.originals.shown import ShownView, show_original, show_prepared

Originals = Callable[[str, str], Path | None]
"""(exam id, view) → image file, or None."""


@dataclass(slots=True)
class ShownViews:
    """Shows views one after another, and counts those that cannot be shown from their originals.

    Args:
        dataset: the prepared data set.
        originals: finds the raw images; None if they are not available.
        missing: reason why an original is not shown → number of views.
    """

    dataset: PreparedDataset
    originals: Originals | None = None
    missing: Counter[str] = field(default_factory=Counter)
    _shown: set[tuple[int, str]] = field(default_factory=set, repr=False)
    _refused: set[tuple[int, str]] = field(default_factory=set, repr=False)

    def show(self, exam: int, view: str, *, longest: int, shortest: int = 1) -> ShownView:
        """Show one view.

        Args:
            exam: position in the data set.
            view: name of the view.
            longest, shortest: maximum longer side of an original and minimum of any picture, px.
        """
        data = self.dataset
        geometry, side = data.geometry[exam][view], data.laterality[exam].get(view, "")
        raw = self._original(exam, view)
        if raw is not None:
            return show_original(raw, geometry, side=side, longest=longest, shortest=shortest)
        pixels = data.images[exam, data.views.index(view)]
        image = in_unit_range(pixels)
        if image.ndim == 3:
            image = luminance(image)  # heat maps are drawn over grey
        spacing = data.spacing_mm[exam].get(view)
        return show_prepared(image, geometry, side=side, spacing_mm=spacing and spacing[1], shortest=shortest)

    def words(self) -> str:
        """Describe the pictures in a sentence or two."""
        height, width = self.dataset.size
        prepared = f"the prepared images ({height} × {width} px), turned back as the originals lie"
        if self.originals is None or not self._shown:
            why = _reasons(self.missing)
            return f"Shown are {prepared}, enlarged smoothly{why}."
        if not self.missing:
            return "Shown are the originals, as they lie in their files."
        return (
            f"Shown are the originals; {self.missing.total()} views are {prepared}{_reasons(self.missing)}."
        )

    def _original(self, exam: int, view: str) -> RawImage | None:
        if self.originals is None or (exam, view) in self._refused:
            return None
        try:
            path = self.originals(self.dataset.exam_ids[exam], view)
            raw = (
                None
                if path is None
                else read_image(
                    path, parse_window(self.dataset.settings.window), colour=self.dataset.settings.colour
                )
            )
            reason = "no such original" if raw is None else ""
        except DataError:
            raw, reason = None, "an original that cannot be read"
        size = self.dataset.raw_size[exam].get(view)
        if raw is not None and size not in (None, raw.pixels.shape):
            raw, reason = None, "an original of another size than the one that was prepared"
        if raw is None:
            self.missing[reason] += 1
            self._refused.add((exam, view))
        else:
            self._shown.add((exam, view))
        return raw


def _reasons(missing: Counter[str]) -> str:
    return f" ({', '.join(f'{count} × {reason}' for reason, count in missing.items())})" if missing else ""
