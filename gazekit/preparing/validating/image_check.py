"""Check recordings against the image viewed; runs in worker processes, so it must not import torch."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gazekit.errors import DataError
from gazekit.gaze.fixations import Fixations, FixationSettings
from gazekit.gaze.heat_map import sigma_pixels
from gazekit.gaze.quality import RecordingCheck, check_recording, copies, share_inside
from gazekit.preparing.regions import found_region
from gazekit.reading.image import read_image
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.records.arrays import Grey, Mask
from gazekit.records.lesions import Lesion
from gazekit.records.recording import Recording

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import RegionFinder

SIDES = (512, 1024)
"""Bounds for the longer side of a drawing in pixels: large enough to see, small enough to draw quickly."""


@dataclass(frozen=True, slots=True, eq=False)
class Viewed:
    """An image and the recordings on it.

    Args:
        image: the file; None if the exam is unknown.
        recordings: recorded on it.
        lesions: its annotated lesions; None without annotations.
        settings: how fixations are found.
        draw: also return drawings.
        region: where dwell is measured, as finder and name; None measures none.
    """

    image: Path | None
    recordings: tuple[Recording, ...]
    lesions: tuple[Lesion, ...] | None
    settings: FixationSettings
    draw: bool = False
    region: "tuple[RegionFinder, str] | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Input for an overlay of one recording, on a grid of 512 to 1024 pixels.

    Args:
        pixels: ``[H, W]`` in [0, 1].
        fixations: in pixels of that grid.
        sigma: width of a fixation's Gaussian across and down, in pixels of that grid.
    """

    pixels: Grey
    fixations: Fixations
    sigma: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ViewCheck:
    """A check per recording, in order, and if requested a drawing of each with fixations."""

    checks: list[RecordingCheck] = field(default_factory=list)
    drawings: list[Drawing | None] = field(default_factory=list)
    refused: str | None = None
    """Why the image or its masks are not used."""


def check_view(viewed: Viewed) -> ViewCheck:
    """Check all recordings on one image, with the dwell inside the region and the lesions.

    The region is its bounding box. An image that is refused raises nothing: the recordings are then checked
    without it.
    """
    pixels = region = lesion = refused = None
    name = ""
    if viewed.image is not None:
        try:
            pixels = read_image(viewed.image, colour=True).pixels  # [H, W]
            if viewed.region is not None:
                finder, name = viewed.region
                region = found_region(finder, pixels).boxed()
            lesion = None if viewed.lesions is None else lesion_mask(viewed.lesions, pixels.shape)
        except DataError as error:
            refused = str(error)
    result = ViewCheck(refused=refused)
    for recording, copied in zip(viewed.recordings, copies(viewed.recordings), strict=True):
        size = None if pixels is None else pixels.shape
        check, fixations = check_recording(recording, size=size, settings=viewed.settings)
        check = replace(check, copied=copied)
        drawing = None
        if fixations is not None and pixels is not None:
            check = _with_dwell(replace(check, region_name=name), fixations, region, lesion)
            drawing = _drawing(pixels, recording, fixations, viewed.settings) if viewed.draw else None
        result.checks.append(check)
        result.drawings.append(drawing)
    return result


def _with_dwell(
    check: RecordingCheck, fixations: Fixations, region: Mask | None, lesion: Mask | None
) -> RecordingCheck:
    if region is not None:
        check = replace(check, region=share_inside(fixations, region), region_area=float(region.mean()))
    if lesion is None:
        return check
    return replace(check, lesion=share_inside(fixations, lesion), lesion_area=float(lesion.mean()))


def _drawing(pixels: Grey, recording: Recording, fixations: Fixations, settings: FixationSettings) -> Drawing:
    height, width = pixels.shape
    longer = max(height, width)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    scaled = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    moved = replace(fixations, x=fixations.x * size[0] / width, y=fixations.y * size[1] / height)
    across, down = sigma_pixels(recording, height, width, settings)
    return Drawing(np.clip(scaled, 0, 1), moved, (across * scale, down * scale))
