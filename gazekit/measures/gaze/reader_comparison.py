"""Compare the readers of a prepared data set with each other: do they look at the same places, in the same order?"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gazekit.errors import DataError
from gazekit.measures.gaze.agreement import fixation_measures
from gazekit.measures.gaze.information_gain import centre_bias
from gazekit.measures.gaze.looked_at import LookedAt, heat_maps_of
from gazekit.measures.gaze.observer_ceiling import observer_ceiling
from gazekit.measures.gaze.scanpath import scanpath_similarity
from gazekit.measures.statistics.intervals import Interval, mean_interval
from gazekit.prepared.dataset import PreparedDataset

_Image = tuple[int, str]
"""Exam and view."""
_Values = dict[str, dict[tuple[str, ...], float]]
"""Measure → the readers whom a value is about → value, of one image."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A measure of readers, and the same measure of a control that does not know the image.

    Args:
        found: mean over images, with its interval over patients; the bounds are NaN where there is one patient only.
        control: of the control; None where there is none.
    """

    found: Interval
    control: Interval | None


@dataclass(frozen=True, slots=True)
class ReaderComparison:
    """How alike the readers of a data set look.

    Args:
        images: number of images that two readers or more looked at.
        pairs: number of pairs of scanpaths.
        prediction: measure → the mean heat map of the other readers against the fixations of each; the control is the
            centre bias of the other images instead of that map.
        scanpaths: measure → two readers on one image; the control is a reader on it and another on another patient's.
        by_reader: reader → measure → mean over images, of both.
    """

    images: int
    pairs: int
    prediction: dict[str, Contrast]
    scanpaths: dict[str, Contrast]
    by_reader: dict[str, dict[str, float]]


def compare_readers(
    dataset: PreparedDataset,
    *,
    resamples: int = 2000,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ReaderComparison:
    """Compare the readers of every image that two or more looked at.

    Args:
        dataset: prepared with the gaze of several readers.
        resamples: of the bootstrap over patients.
        progress: called with the number of images done and of all.

    Raises:
        DataError: no image has two readers.
    """
    looked = LookedAt.of(dataset, range(len(dataset)), dataset.views)
    shared = [image for image, readers in looked.scanpaths.items() if len(readers) > 1]
    if not shared:
        raise DataError(
            f"{dataset.root}: no image has the gaze of two readers; expected one at least to compare them; prepare the "
            "data with the recordings of several readers, and check that the recordings name them"
        )
    parts: dict[str, list[tuple[_Values, _Values]]] = {"prediction": [], "scanpaths": []}
    elsewhere = _elsewhere(dataset, shared)
    for done, image in enumerate(shared):
        parts["prediction"].append(_predictions(dataset, looked, image))
        parts["scanpaths"].append(_similarities(looked, image, elsewhere.get(image)))
        progress(done + 1, len(shared))
    patients = [dataset.patient_ids[exam] for exam, _ in shared]

    def contrasts(part: str) -> dict[str, Contrast]:
        found, controls = (_intervals([each[k] for each in parts[part]], patients, resamples) for k in (0, 1))
        return {name: Contrast(interval, controls.get(name)) for name, interval in found.items()}

    return ReaderComparison(
        images=len(shared),
        pairs=sum(math.comb(len(looked.scanpaths[image]), 2) for image in shared),
        prediction=contrasts("prediction"),
        scanpaths=contrasts("scanpaths"),
        by_reader=_by_reader([found for part in parts.values() for found, _ in part]),
    )


def _predictions(dataset: PreparedDataset, looked: LookedAt, image: _Image) -> tuple[_Values, _Values]:
    """How well the others' map, and in its place the centre bias, predicts each reader's fixations."""
    points = looked.points(*image)
    maps = heat_maps_of(dataset, image, points)
    found: _Values = {}
    controls: _Values = {}
    if len(maps) < 2:
        return found, controls
    points = {reader: points[reader] for reader in maps}
    elsewhere = looked.elsewhere(*image)
    bias = None if elsewhere is None else centre_bias(elsewhere)
    for name, measure in fixation_measures(looked.size, elsewhere).items():
        found[name] = {(reader,): value for reader, value in observer_ceiling(maps, points, measure).items()}
        if bias is not None:
            controls[name] = {(reader,): measure(bias, own) for reader, own in points.items()}
    if "information_gain" in controls:
        controls["information_gain"] = {(reader,): 0.0 for reader in points}  # by definition
    return found, controls


def _similarities(looked: LookedAt, image: _Image, other: _Image | None) -> tuple[_Values, _Values]:
    """How alike the scanpaths of two readers are, on this image and, once per reader, on this and another."""
    here = looked.scanpaths[image]
    found: _Values = {}
    for pair in itertools.combinations(here, 2):
        first, second = (here[reader] for reader in pair)
        for name, value in scanpath_similarity(first, second, looked.size).items():
            found.setdefault(name, {})[pair] = value
    controls: _Values = {}
    there = looked.scanpaths[other] if other is not None else {}
    for number, reader in enumerate(here):
        names = [name for name in there if name != reader]
        if names:
            partner = names[number % len(names)]
            for name, value in scanpath_similarity(here[reader], there[partner], looked.size).items():
                controls.setdefault(name, {})[reader, partner] = value
    return found, controls


def _elsewhere(dataset: PreparedDataset, shared: Sequence[_Image]) -> dict[_Image, _Image]:
    """Image → the next one of the same view and of another patient, if there is one; after the last comes the first."""
    found: dict[_Image, _Image] = {}
    for view in dict.fromkeys(view for _, view in shared):
        of_view = [image for image in shared if image[1] == view]
        following: _Image | None = None
        for after, image in itertools.pairwise([*of_view, *of_view][::-1]):
            if dataset.patient_ids[after[0]] != dataset.patient_ids[image[0]]:
                following = after
            if following is not None:
                found[image] = following
    return found


def _intervals(images: Sequence[_Values], patients: Sequence[str], resamples: int) -> dict[str, Interval]:
    """Measure → mean over the images that have it."""
    found = {}
    for name in dict.fromkeys(name for values in images for name in values):
        there = [
            (float(np.mean(list(values[name].values()))), patient)
            for values, patient in zip(images, patients, strict=True)
            if name in values
        ]
        means, whose = map(list, zip(*there, strict=True))
        if len(set(whose)) > 1:
            found[name] = mean_interval(means, whose, resamples=resamples)
        else:
            found[name] = Interval(float(np.mean(means)), math.nan, math.nan)
    return found


def _by_reader(images: Sequence[_Values]) -> dict[str, dict[str, float]]:
    """Reader → measure → mean over images of what is about the reader."""
    found: dict[str, dict[str, list[float]]] = {}
    for values in images:
        for name, about in values.items():
            for reader in dict.fromkeys(reader for who in about for reader in who):
                own = [value for who, value in about.items() if reader in who]
                found.setdefault(reader, {}).setdefault(name, []).append(float(np.mean(own)))
    return {
        reader: {name: float(np.mean(values)) for name, values in found[reader].items()}
        for reader in sorted(found)
    }
