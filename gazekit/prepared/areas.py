"""Areas of interest on the images of a prepared data set: the lesion, and boxes from a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import from_cell
from gazekit.disk.wording import first_few
from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.reading.tables.table import Row, open_table
from gazekit.records.arrays import Mask
from gazekit.records.geometry import Geometry
from gazekit.records.lesions import Outline

SIDES = ("left", "top", "right", "bottom")
COLUMNS = ("exam_id", "view", "area", *SIDES)
LESION = "lesion"
"""The area that the prepared masks are."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom; right and bottom exclusive."""


@dataclass(frozen=True, slots=True)
class AreaBoxes:
    """The boxes of a table on the images of a prepared data set.

    Args:
        outlines: (exam, view) → area → its boxes in prepared pixels, cut to what the preparation kept of the image.
        unknown: images of the table that the data set does not have.
        beside: rows whose box lies wholly beside what was kept.
    """

    outlines: Mapping[tuple[int, str], Mapping[str, tuple[Outline, ...]]]
    unknown: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def read_areas(path: Path, dataset: PreparedDataset) -> AreaBoxes:
    """Read a table of boxes, ``COLUMNS``, in pixels of the original images; boxes of one name are one area.

    Raises:
        DataError: with file and row: not readable, a missing column, an empty cell, an empty or reversed box, one
            beside its original image or in its first pixel, an area named like the lesion, or no image of the data set.
    """
    exams = {name: number for number, name in enumerate(dataset.exam_ids)}
    found: dict[tuple[int, str], dict[str, tuple[Outline, ...]]] = {}
    unknown: dict[str, None] = {}
    beside: list[str] = []
    for row in open_table(path, COLUMNS).rows():
        exam_id, view, area = (from_cell(row.word(column)) for column in COLUMNS[:3])
        box = _box(row)
        if area == LESION:
            raise DataError(
                f"{row.where}: area is {LESION}, the name of the prepared lesion masks; expected another name"
            )
        exam = exams.get(exam_id)
        if (
            exam is None
            or view not in dataset.views
            or not dataset.has_image[exam, dataset.views.index(view)]
        ):
            unknown[f"exam {exam_id} view {view}"] = None
            continue
        _check_on_image(row, box, dataset.raw_size[exam][view])
        areas = found.setdefault((exam, view), {})
        outline = _prepared(box, dataset.geometry[exam][view])
        if outline is None:
            beside.append(f"{row.where} ({area})")
        else:
            areas[area] = (*areas.get(area, ()), outline)
    if not found:
        there = f"its first exam is {dataset.exam_ids[0]}, its views are {', '.join(dataset.views)}"
        named = f"the table names {first_few(unknown)}" if unknown else "it has no rows below the header"
        raise DataError(
            f"{path}: no box on an image of {dataset.root}: {named}; expected exams of the set ({there})"
        )
    return AreaBoxes(found, tuple(unknown), tuple(beside))


def areas_of(
    dataset: PreparedDataset, exam: int, view: str, boxes: AreaBoxes | None = None
) -> dict[str, Mask]:
    """Draw the areas of one image as masks ``[H, W]`` that hold a pixel at least: first the lesion, then the boxes.

    A pixel is in an area of boxes if its centre is in one of them; a smaller box marks the pixel that it lies in.
    """
    column = dataset.views.index(view)
    masks = {LESION: dataset.masks[exam, column] > 0} if dataset.has_mask[exam, column] else {}
    outlines = {} if boxes is None else boxes.outlines.get((exam, view), {})
    masks |= {area: lesion_mask(several, dataset.size) for area, several in outlines.items()}
    return {area: mask for area, mask in masks.items() if mask.any()}


def kept_pixels(dataset: PreparedDataset, exam: int, view: str) -> Mask:
    """Return the prepared pixels ``[H, W]`` that show the image; the others pad it."""
    geometry = dataset.geometry[exam][view]
    whole = _prepared((-inf, -inf, inf, inf), geometry)
    return np.zeros(dataset.size, dtype=bool) if whole is None else lesion_mask([whole], dataset.size)


def _box(row: Row) -> Box:
    """Parse a box. Raises: DataError."""
    left, top, right, bottom = (row.number(side) for side in SIDES)
    if not (left < right and top < bottom):
        raise DataError(
            f"{row.where}: the box is left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}; expected left < "
            "right and top < bottom, right and bottom exclusive"
        )
    return left, top, right, bottom


def _check_on_image(row: Row, box: Box, size: tuple[int, int]) -> None:
    height, width = size
    left, top, right, bottom = box
    is_beside = right <= 0 or bottom <= 0 or left >= width or top >= height
    if is_beside or max(right, bottom) <= 1 < max(size):
        where = "beside the image" if is_beside else "in the first pixel of the image"
        advice = "" if is_beside else "; multiply fractions of the image by its width and height"
        raise DataError(
            f"{row.where}: the box lies {where}: left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}; "
            f"expected pixels of the original, which is {width} x {height}{advice}"
        )


def _prepared(box: Box, geometry: Geometry) -> Outline | None:
    """Move what the preparation kept of a box into prepared pixels; None if it kept nothing."""
    low = np.maximum(box[:2], (geometry.left, geometry.top))
    high = np.minimum(box[2:], (geometry.right, geometry.bottom))
    if not (low < high).all():
        return None
    (left, right), (top, bottom) = geometry.apply(*np.stack([low, high]).T)
    return Outline(((left, top), (right, top), (right, bottom), (left, bottom)))
