"""Measure single images: attention against gaze and lesions, predicted scanpaths against those of the readers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gazekit.measures.attention.localisation import localisation
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.gaze.agreement import fixation_measures, heat_map_measures
from gazekit.measures.gaze.looked_at import LookedAt, heat_maps_of
from gazekit.measures.gaze.observer_ceiling import observer_ceiling
from gazekit.measures.gaze.scanpath import predicted_scanpath, scanpath_similarity, untimed
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Array

Values = dict[str, float | tuple[float, float]]
"""Measure → value on one image; of a share, the score and the ceiling, which are divided at the end."""
MeasureOfImage = Callable[[int, str, Array], Values | None]
"""Measures what was predicted (a map or a scanpath) for an exam's view; None if there is nothing to compare with."""
_MOST_READERS = 12
"""Readers who are measured one by one (ours); of more the mean alone."""
_WITH_CEILING = ("nss", "information_gain")


@dataclass(frozen=True, slots=True)
class MeasuredImages:
    """The images of an evaluation, and what has been measured on each so far.

    Args:
        dataset: of the images.
        looked: who looked where on them.
        found: (exam, view) → agreement with gaze and localisation.
        of_readers: (exam, view) → reader → agreement with this reader's fixations.
    """

    dataset: PreparedDataset
    looked: LookedAt
    found: dict[tuple[int, str], Values] = field(default_factory=dict)
    of_readers: dict[tuple[int, str], dict[str, Values]] = field(default_factory=dict)

    def gaze_agreement(self, exam: int, view: str, attention: Array) -> Values | None:
        """Compare an attention map ``[h, w]`` with the heat map, and with each reader's fixations."""
        if not self.dataset.has_gaze[exam, self.dataset.views.index(view)]:
            return None
        attention = resize_bilinear(attention, self.dataset.size)  # once for all measures
        found: Values = {**heat_map_measures(attention, self.dataset.heat_map(exam, view))}
        points = self.looked.points(exam, view)
        if points:
            measures = fixation_measures(self.dataset.size, self.looked.elsewhere(exam, view))
            each: dict[str, Values] = {
                reader: {name: measure(attention, own) for name, measure in measures.items()}
                for reader, own in points.items()
            }
            self.of_readers[exam, view] = each
            scores = {name: float(np.mean([own[name] for own in each.values()])) for name in measures}
            found |= scores | self._ceilings(exam, view, measures, scores)
        self.found.setdefault((exam, view), {}).update(found)
        return found

    def localisation(self, exam: int, view: str, attention: Array) -> Values | None:
        """Compare an attention map ``[h, w]`` with the lesion mask."""
        column = self.dataset.views.index(view)
        if not self.dataset.has_mask[exam, column]:
            return None
        attention = resize_bilinear(attention, self.dataset.size)
        found: Values = {**localisation(attention, self.dataset.masks[exam, column] > 0)}
        self.found.setdefault((exam, view), {}).update(found)
        return found

    def scanpath(self, exam: int, view: str, places: Array) -> Values | None:
        """Compare a predicted scanpath with that of each reader, whose times do not count."""
        readers = self.looked.scanpaths.get((exam, view), {})
        path = predicted_scanpath(places, self.dataset.size)
        each = [scanpath_similarity(path, untimed(own), self.dataset.size) for own in readers.values()]
        names = dict.fromkeys(name for found in each for name in found)
        return {
            name: float(np.mean([found[name] for found in each if name in found])) for name in names
        } or None

    def in_class(self, label: int) -> MeasureOfImage:
        """Look up what was found on the images of one class."""
        return lambda exam, view, _: (
            self.found.get((exam, view)) if self.dataset.labels[exam] == label else None
        )

    def of_reader(self, reader: str) -> MeasureOfImage:
        """Look up the agreement with one reader."""
        return lambda exam, view, _: self.of_readers.get((exam, view), {}).get(reader)

    def readers_worth_telling_apart(self) -> list[str]:
        """Return the readers by name, if there are two or more, they are named, and not too many for a page."""
        readers = sorted({reader for each in self.of_readers.values() for reader in each})
        named = not all(reader.isdecimal() for reader in readers)
        return readers if named and 1 < len(readers) <= _MOST_READERS else []

    def _ceilings(
        self,
        exam: int,
        view: str,
        measures: Mapping[str, Callable[[Array, Array], float]],
        scores: Mapping[str, float],
    ) -> Values:
        """How well the other readers predict each reader of an image, beside the scores; empty for one reader."""
        points = self.looked.points(exam, view)
        maps = heat_maps_of(self.dataset, (exam, view), points)
        if len(maps) < 2:
            return {}
        seen = {reader: points[reader] for reader in maps}
        found: Values = {}
        for name in _WITH_CEILING:
            if name in measures:
                ceiling = float(np.mean(list(observer_ceiling(maps, seen, measures[name]).values())))
                found[f"{name}_ceiling"] = ceiling
                found[f"{name}_share"] = (scores[name], ceiling)
        return found
