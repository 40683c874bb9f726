"""Find the patches of a data set, at lesions and on tissue elsewhere, and draw batches of them.

A batch is a function of (seed, step), so that a training resumes from the step alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gazekit.errors import DataError
from gazekit.feeding.random_numbers import HELD_OUT_PATCHES, PATCHES, random_generator
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Integers

TISSUE = "tissue"
"""Class of the patches without a lesion."""
ANYWHERE = "anywhere"
"""Only class of patches without labels."""
_DARK = 0.05
"""Share of an image's brightest value up to which a pixel is taken as background."""
_FIFTH = 1152 / 224
"""Rows of an image to those of a patch in Shen et al. 2019."""
_SURROUNDINGS = 3.0
"""Side of a patch to that of the median lesion by default."""
_LEAST = 16
"""Least side of a patch by default, px."""
_DRAWS = 7  # image, place, two shifts, two flips, exchange of rows and columns


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """Which patches to draw.

    Args:
        side: of a patch, px.
        shift: largest shift of a patch from the pixel that it is drawn at, as a share of its side.
        labelled: whether masks and labels divide patches into classes; else there is one, on pixels that are not dark.
        kinds: further target that divides lesions, such as mass and calcification; None = by the label alone.
    """

    side: int
    shift: float = 0.1
    labelled: bool = True
    kinds: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlacesOfClass:
    """The pixels at which patches of one class can lie.

    Args:
        images: ``[m, 2]`` exam and view of each image that has some.
        pixels: of all images, one after the other, as ``y · W + x``.
        starts: ``[m + 1]`` where each image's pixels begin.
    """

    images: Integers
    pixels: NDArray[np.int32]
    starts: Integers


@dataclass(frozen=True, slots=True)
class Draw:
    """Patches that were drawn.

    Args:
        images: ``[B, C, side, side]`` as stored.
        labels: ``[B]`` class of each.
        exams: ``[B]`` exam of each.
    """

    images: NDArray[np.unsignedinteger]
    labels: Integers
    exams: Integers


Found = list[tuple[int, int, NDArray[np.int32]]]
"""Exam, view and pixels of each image."""


class Patches:
    """The patches of some exams of a data set, by class.

    The first class is tissue: its patches lie on pixels that are not dark, and hold no pixel of a lesion. Tissue is
    taken from images with a mask, and from all images of exams of the first class, whose lesions need not be marked.
    The other classes are the labels that have lesions, or the pairs of label and kind. A lesion's patch is drawn at its
    middle. Every class has the same share of a batch, and every image with the class the same chance.

    Args:
        dataset: prepared.
        exams: positions of the exams to take.
        settings: side of the patches, shift and kinds.
        among: positions of the exams whose lesions say which classes there are; None = those of ``exams``.

    Raises:
        DataError: no exam has a mask, or a class has no patch.

    Source: Shen et al. 2019, doi:10.1038/s41598-019-48995-4, whose patches have 224 px of 1152 rows and hold nine
    tenths of a lesion's own; the rest is ours.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        exams: Iterable[int],
        settings: PatchSettings,
        among: Iterable[int] | None = None,
    ) -> None:
        self.dataset = dataset
        self.side, self.shift = settings.side, settings.shift
        exams = list(exams)
        self.classes, found = (
            self._labelled(exams, settings.kinds, exams if among is None else among)
            if settings.labelled
            else self._anywhere(exams)
        )
        self.places = [_places(each) for each in found]
        self._check(labelled=settings.labelled)

    def _labelled(
        self, exams: Iterable[int], target: str | None, among: Iterable[int]
    ) -> tuple[tuple[str, ...], list[Found]]:
        """Find the pixels of tissue, and of the lesions of each label and kind."""
        dataset, kinds = self.dataset, _kinds(self.dataset, target)
        labels = _of_lesions(dataset, among, target)
        names = [" ".join((dataset.classes[label], *kinds[kind : kind + 1])) for label, kind in labels]
        found: list[Found] = [[] for _ in (TISSUE, *names)]
        for exam, view in self._images(exams):
            lesion = np.asarray(dataset.masks[exam, view]) > 0
            marked = bool(dataset.has_mask[exam, view])
            if marked or dataset.labels[exam] == 0:
                found[0].append((exam, view, self._tissue(exam, view, lesion)))
            pair = _label_and_kind(dataset, exam, target)
            if marked and pair in labels:
                label = 1 + labels.index(pair)
                found[label].append((exam, view, _middles(lesion)))
        return (TISSUE, *names), found

    def _anywhere(self, exams: Iterable[int]) -> tuple[tuple[str, ...], list[Found]]:
        """Find the pixels that are not dark."""
        nothing = np.zeros(self.dataset.size, dtype=bool)
        return (ANYWHERE,), [
            [(exam, view, self._tissue(exam, view, nothing)) for exam, view in self._images(exams)]
        ]

    def _images(self, exams: Iterable[int]) -> Iterator[tuple[int, int]]:
        for exam in exams:
            yield from ((int(exam), int(view)) for view in np.flatnonzero(self.dataset.has_image[exam]))

    def _tissue(self, exam: int, view: int, lesion: NDArray[np.bool_]) -> NDArray[np.int32]:
        """The pixels, on a grid of an eighth of the side, whose patch is tissue alone wherever it is shifted."""
        image = np.asarray(self.dataset.images[exam, view])
        if image.ndim == 3:
            image = image.max(axis=0)
        free = image > _DARK * image.max()
        reach = self.side + 2 * round(self.shift * self.side) + 1
        if lesion.any():
            free &= ~ndimage.maximum_filter(lesion, size=reach)
        step = max(1, self.side // 8)
        on_grid = np.zeros_like(free)
        on_grid[step // 2 :: step, step // 2 :: step] = True
        return np.flatnonzero(free & on_grid).astype(np.int32)

    def _check(self, *, labelled: bool) -> None:
        if labelled and not any(len(each.images) for each in self.places[1:]):
            raise DataError(
                f"{self.dataset.root}: no lesion is marked, so there are no patches to tell apart; prepare the data "
                "with lesion masks, or pre-train without labels: --pretext contrastive"
            )
        empty = [name for name, each in zip(self.classes, self.places, strict=True) if not len(each.images)]
        if empty:
            raise DataError(
                f"{self.dataset.root}: no patch of class {' and '.join(empty)} among the exams of a part; expected "
                "some of each class; give another --split, a larger --held-out, or smaller patches (--patch)"
            )

    def batch(self, size: int, *, seed: int, step: int) -> Draw:
        """Draw the patches of a step, in equal shares of the classes, shifted, flipped and turned."""
        labels = (np.arange(size) + step * size) % len(self.classes)
        draws = random_generator(seed=seed, purpose=PATCHES, index=step, epoch=0).random((size, _DRAWS))
        return self._drawn(labels, draws)

    def held_out(self, *, seed: int) -> Draw:
        """Draw one patch of each class from each image that has the class; as it lies."""
        labels, draws = self._one_of_each(seed)
        draws[:, 2:4], draws[:, 4:] = 0.5, 1.0
        return self._drawn(labels, draws)

    def pairs(self, size: int, *, seed: int, step: int) -> tuple[Draw, Draw]:
        """Draw the places of a step twice, each time with its own shifts, flips and turns."""
        generator = random_generator(seed=seed, purpose=PATCHES, index=step, epoch=0)
        labels = np.zeros(size, dtype=np.int64)
        return self._twice(labels, generator.random((size, _DRAWS)), generator)

    def held_out_pairs(self, *, seed: int) -> tuple[Draw, Draw]:
        """Draw one place of each image twice."""
        generator = random_generator(seed=seed, purpose=HELD_OUT_PATCHES, index=1, epoch=0)
        return self._twice(*self._one_of_each(seed), generator)

    def _twice(
        self, labels: Integers, draws: NDArray[np.float64], generator: np.random.Generator
    ) -> tuple[Draw, Draw]:
        again = draws.copy()
        again[:, 2:] = generator.random((len(draws), _DRAWS - 2))
        return self._drawn(labels, draws), self._drawn(labels, again)

    def _one_of_each(self, seed: int) -> tuple[Integers, NDArray[np.float64]]:
        """Labels and random numbers of one patch of each class from each image that has the class."""
        counts = [len(each.images) for each in self.places]
        draws = random_generator(seed=seed, purpose=HELD_OUT_PATCHES, index=0, epoch=0).random(
            (sum(counts), _DRAWS)
        )
        draws[:, 0] = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
        return np.repeat(np.arange(len(counts)), counts), draws

    def _drawn(self, labels: Integers, draws: NDArray[np.float64]) -> Draw:
        width, side = self.dataset.size[1], self.side
        channels = self.dataset.settings.channels
        cut = np.zeros((len(labels), channels, side, side), dtype=self.dataset.images.dtype)
        exams = np.empty(len(labels), dtype=np.int64)
        shifts = np.rint((2 * draws[:, 2:4] - 1) * self.shift * side).astype(np.int64)
        for row, (label, draw) in enumerate(zip(labels, draws, strict=True)):
            places = self.places[label]
            image = int(draw[0] * len(places.images))
            first, last = places.starts[image : image + 2]
            y, x = divmod(int(places.pixels[first + int(draw[1] * (last - first))]), width)
            exams[row], view = places.images[image]
            corner = y + shifts[row, 0] - side // 2, x + shifts[row, 1] - side // 2
            patch = _cut(cut[row], self.dataset.images[exams[row], view], corner)
            turned = patch[:, :: -1 if draw[4] < 0.5 else 1, :: -1 if draw[5] < 0.5 else 1]
            cut[row] = (turned.swapaxes(1, 2) if draw[6] < 0.5 else turned).copy()
        return Draw(cut, labels, exams)


def default_side(dataset: PreparedDataset, exams: Iterable[int]) -> int:
    """Choose the side of a patch, px: even, and the largest of three.

    - 224 / 1152 of the image's height, as in Shen et al. 2019;
    - three times the longer side of the median lesion's box, so that a patch holds what surrounds a core, such as
      spicules (ours);
    - 16 px, of which stages of total stride 8 leave 2 x 2 cells (ours).
    """
    lengths = [
        max(rows.stop - rows.start, columns.stop - columns.start)
        for exam in exams
        for view in np.flatnonzero(dataset.has_mask[exam])
        for rows, columns in ndimage.find_objects(_lesions(np.asarray(dataset.masks[exam, int(view)]) > 0)[0])
    ]
    wanted = max(
        _LEAST, dataset.size[0] / _FIFTH, _SURROUNDINGS * float(np.median(lengths)) if lengths else 0.0
    )
    return 2 * round(wanted / 2)


def _lesions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.signedinteger], int]:
    """Number the lesions of a mask ``[H, W]`` from 1; also return how many there are."""
    parts, number = ndimage.label(mask, structure=np.ones((3, 3)))
    return parts, number


def _middles(lesion: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The pixel in the middle of each lesion of a mask ``[H, W]``, as ``y · W + x``; none of an empty mask."""
    parts, number = _lesions(lesion)
    middles = [np.rint(middle) for middle in ndimage.center_of_mass(lesion, parts, range(1, number + 1))]
    return np.array([y * lesion.shape[1] + x for y, x in middles], dtype=np.int32)


def _kinds(dataset: PreparedDataset, target: str | None) -> tuple[str, ...]:
    if target is None:
        return ()
    if target not in dataset.target_classes:
        there = ", ".join(dataset.target_classes) or "none"
        raise DataError(
            f"{dataset.root}: no target '{target}' that could divide lesions into kinds; the set has {there}"
        )
    return dataset.target_classes[target]


def _label_and_kind(dataset: PreparedDataset, exam: int, target: str | None) -> tuple[int, int]:
    """Return the label of an exam and the kind of its lesions: -1 if it is not known, 0 if nothing divides them."""
    return int(dataset.labels[exam]), int(dataset.targets[target][exam]) if target else 0


def _of_lesions(dataset: PreparedDataset, exams: Iterable[int], target: str | None) -> list[tuple[int, int]]:
    """Return, in order, the pairs of label and kind of which an exam has a lesion; normal exams, say, have none."""
    found: set[tuple[int, int]] = set()
    for exam in exams:
        pair = _label_and_kind(dataset, exam, target)
        if pair not in found and pair[1] >= 0 and any(dataset.masks[exam, dataset.has_mask[exam]].flat):
            found.add(pair)
    return sorted(found)


def _places(found: Found) -> PlacesOfClass:
    found = [each for each in found if len(each[2])]
    counts = [len(pixels) for _, _, pixels in found]
    return PlacesOfClass(
        np.array([(exam, view) for exam, view, _ in found], dtype=np.int64).reshape(-1, 2),
        np.concatenate([pixels for _, _, pixels in found]) if found else np.empty(0, dtype=np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


def _cut(
    target: NDArray[np.unsignedinteger], image: NDArray[np.unsignedinteger], corner: tuple[int, int]
) -> NDArray[np.unsignedinteger]:
    """Copy the part of an image ``[(C,) H, W]`` below and right of a corner; outside the image stays zero."""
    image = image if image.ndim == 3 else image[None]
    (top, left), side = corner, target.shape[1]
    rows = slice(max(top, 0), max(min(top + side, image.shape[1]), 0))
    columns = slice(max(left, 0), max(min(left + side, image.shape[2]), 0))
    target[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[
        :, rows, columns
    ]
    return target
