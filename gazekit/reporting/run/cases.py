"""Build the exams of the case browser: their pictures, and the numbers by which they are sorted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gazekit.gaze.fixations import Fixations
from gazekit.measures.attention.localisation import energy_inside, pointing_game
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.gaze.agreement import correlation
from gazekit.prediction.predictions import Predictions
from gazekit.records.arrays import Array
from gazekit.reporting.drawing.captioned import scale_bar
from gazekit.reporting.drawing.colours import ATTENTION, GAZE
from gazekit.reporting.drawing.layers import Scanpath, image_uri, map_uri, outline, scanpaths
from gazekit.reporting.drawing.originals.placement import ShownPlacement
from gazekit.reporting.drawing.originals.shown import view_words
from gazekit.reporting.drawing.originals.views import ShownViews

_SIDES = (1024, 768, 640, 512, 448, 384, 320, 256, 192, 128)
_SAMPLE = 8
"""Number of exams encoded to find out how large images may be."""


@dataclass(frozen=True, slots=True)
class MapNumbers:
    """Numbers of an attention map against gaze and lesion; None without that truth.

    Args:
        positive: whether any value is positive: maps are clipped at 0.
        agreement: correlation with the gaze heat map.
        inside: share of the attention inside the lesion.
        peak: whether the peak lies inside the lesion, in [0, 1].
    """

    positive: bool
    agreement: float | None
    inside: float | None
    peak: float | None


@dataclass(frozen=True, slots=True)
class CaseView:
    """One view of an exam.

    Args:
        name: name of the view.
        title: side and view, ``R MLO``.
        height, width: of the picture in pixels, the units of outline and scanpaths.
        image: data URI.
        gaze: data URI; None without gaze.
        attention: data URI per system; None for a system without a map of this view.
        numbers: per system, for its attention; None likewise.
        lesion: SVG path; empty without a mask.
        scanpaths: one per reader.
        fixations: number of fixations in the image.
        seconds: their total duration; None if the recording has no time.
        scale: a round length, in millimetres and in pixels of the picture; None if the spacing is unknown.
        readers: names of the readers, in the order of the scanpaths.
        missing: the exam lacks this view.
    """

    name: str
    title: str
    height: int
    width: int
    image: str
    gaze: str | None
    attention: tuple[str | None, ...]
    numbers: tuple[MapNumbers | None, ...]
    lesion: str
    scanpaths: tuple[Scanpath, ...]
    fixations: int
    seconds: float | None
    scale: tuple[int, float] | None = None
    readers: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One exam.

    Args:
        number: position on the page, from 1.
        exam_id: as in the prepared set.
        label, called: true class and class called by the first system, as numbers.
        probabilities: per system, of each class.
        error: 1 minus the first system's probability of the truth.
        uncertainty: entropy of the first system's probabilities, 1 = all classes equal.
        agreement: of the first system's attention with gaze, mean over views; None without gaze.
    """

    number: int
    exam_id: str
    label: int
    called: int
    probabilities: tuple[tuple[float, ...], ...]
    error: float
    uncertainty: float
    agreement: float | None
    views: tuple[CaseView, ...]


def make_cases(
    shown: ShownViews,
    systems: Sequence[Predictions],
    views: Sequence[str],
    *,
    threshold: float,
    most: int,
    budget: int,
    first: int = 0,
) -> list[Case]:
    """Build some of the exams that the systems predicted, with their pictures.

    Args:
        shown: shows the views of the data set.
        systems: one or more, of the same exams in the same order; exams are sorted by numbers of the first.
        views: in preset order.
        threshold: with two classes, the second is called above it.
        most: maximum number of exams.
        budget: maximum bytes of all images; they are shrunk until they fit.
        first: position of the first among the predicted ones.
    """
    exams = systems[0].indices[first : first + most]
    sample = [
        [shown.show(int(exam), view, longest=_SIDES[0]).image for view in views]
        for exam in exams[:: max(len(exams) // _SAMPLE, 1)][:_SAMPLE]
    ]
    side = _fitting_side(sample, len(exams), budget)
    return [
        _case(row, int(exam), shown, systems, views, threshold=threshold, side=side)
        for row, exam in enumerate(exams, first)
    ]


def _fitting_side(sample: Sequence[Sequence[Array]], exams: int, budget: int) -> int:
    """Find the largest image side at which this many exams fit a budget, judged by some of them."""
    images = [image for views in sample for image in views]
    largest = max((max(image.shape) for image in images), default=0)
    share = budget * len(sample) / max(exams, 1)
    for side in _SIDES:
        if side > max(largest, _SIDES[-1]):
            continue  # images are not enlarged
        if sum(len(image_uri(image, side)) for image in images) <= share:
            return side
    return _SIDES[-1]


def _case(
    row: int,
    exam: int,
    shown: ShownViews,
    systems: Sequence[Predictions],
    views: Sequence[str],
    *,
    threshold: float,
    side: int,
) -> Case:
    dataset = shown.dataset
    label = int(dataset.labels[exam])
    own = np.asarray(systems[0].probabilities[row], dtype=np.float64)
    of_views = tuple(
        _view(
            shown,
            exam,
            view,
            [s.attention[view][row] if view in s.attention else None for s in systems],
            side,
        )
        for view in views
    )
    agreements = [
        v.numbers[0].agreement for v in of_views if v.numbers[0] and v.numbers[0].agreement is not None
    ]
    sure = own[own > 0]
    return Case(
        number=row + 1,
        exam_id=dataset.exam_ids[exam],
        label=label,
        called=int(called_class(own[None], threshold)[0]),
        probabilities=tuple(tuple(float(p) for p in s.probabilities[row]) for s in systems),
        error=float(1 - own[label]),
        uncertainty=abs(float(-(sure * np.log(sure)).sum() / np.log(len(own)))),
        agreement=float(np.mean(agreements)) if agreements else None,
        views=of_views,
    )


def _view(
    shown: ShownViews,
    exam: int,
    name: str,
    attention: Sequence[NDArray[np.float32] | None],
    side: int,
) -> CaseView:
    dataset, column = shown.dataset, shown.dataset.views.index(name)
    picture, missing = shown.show(exam, name, longest=side), not dataset.has_image[exam, column]
    attention = [None if missing else each for each in attention]
    place, shape = picture.placement, picture.shape
    gaze = dataset.heat_map(exam, name) if dataset.has_gaze[exam, column] else None
    mask = dataset.masks[exam, column] > 0 if dataset.has_mask[exam, column] else None
    readers = dataset.fixations(exam, name)
    drawn = scanpaths([_moved(each, place) for each in readers], shape)
    seconds = sum(float(each.duration_ms.sum()) for each in readers if each.has_durations) / 1000
    return CaseView(
        name=name,
        title=view_words(picture.side, name, missing=missing),
        height=shape[0],
        width=shape[1],
        image=image_uri(picture.image, side),
        gaze=None if gaze is None else map_uri(place.map(gaze), GAZE, shape),
        attention=tuple(
            None if each is None else map_uri(place.map(each), ATTENTION, shape) for each in attention
        ),
        numbers=tuple(None if each is None else _numbers(each, gaze, mask) for each in attention),
        lesion="" if mask is None else outline(place.map(mask) > 0.5),
        scanpaths=drawn,
        fixations=sum(len(each.x) for each in readers),
        seconds=seconds if np.isfinite(seconds) and seconds > 0 else None,
        scale=scale_bar(picture.mm_per_pixel, shape[1] / 3),
        readers=dataset.readers(exam, name),
        missing=bool(missing),
    )


def _moved(found: Fixations, place: ShownPlacement) -> Fixations:
    """Convert fixations to pixels of the picture."""
    x, y = place.points(found.x, found.y)
    return replace(found, x=x, y=y)


def _numbers(
    attention: NDArray[np.float32], gaze: NDArray[np.float32] | None, mask: NDArray[np.bool_] | None
) -> MapNumbers:
    lesion = mask is not None and bool(mask.any())
    return MapNumbers(
        positive=bool((attention > 0).any()),
        agreement=correlation(attention, gaze) if gaze is not None and gaze.any() else None,
        inside=energy_inside(attention, mask) if mask is not None and lesion else None,
        peak=pointing_game(attention, mask) if mask is not None and lesion else None,
    )
