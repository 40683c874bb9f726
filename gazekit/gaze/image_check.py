"""Recordings held against the image that was looked at; runs in worker processes, so it must not import torch."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gazekit.data.breast import breast_box
from gazekit.data.image import read_image
from gazekit.data.lesions import Lesion, lesion_mask
from gazekit.errors import DataError
from gazekit.gaze.check import RecordingCheck, check_recording, share_inside
from gazekit.gaze.fixations import Fixations, FixationSettings
from gazekit.gaze.heatmap import sigma_pixels
from gazekit.gaze.recording import Recording

Grey = NDArray[np.float32]

SIDE = 1024
"""Longer side of a drawing in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Viewed:
    """An image and the recordings on it.

    Args:
        image: the file; None when no exam is known.
        recordings: what was recorded on it.
        lesions: its annotated lesions; None where nothing is annotated.
        settings: how fixations are found.
        draw: give the drawings too.
    """

    image: Path | None
    recordings: tuple[Recording, ...]
    lesions: tuple[Lesion, ...] | None
    settings: FixationSettings
    draw: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What an overlay of one recording is drawn from, on a grid of at most 1024 pixels.

    Args:
        pixels: ``[H, W]`` in [0, 1].
        fixations: in pixels of that grid.
        sigma: width of a fixation's Gaussian, likewise.
    """

    pixels: Grey
    fixations: Fixations
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class ViewCheck:
    """A check per recording, in their order, and a drawing of each that has fixations, if asked for."""

    checks: list[RecordingCheck] = field(default_factory=list)
    drawings: list[Drawing | None] = field(default_factory=list)
    fault: str | None = None
    """Why the image or its masks cannot be used."""


def check_view(viewed: Viewed) -> ViewCheck:
    """Check all recordings on one image, with the dwell inside the breast and its lesions.

    The breast is its bounding box. A fault of the image is returned and not raised: the recordings are then
    checked without it.
    """
    pixels, regions, fault = None, {}, None
    if viewed.image is not None:
        try:
            pixels = read_image(viewed.image).pixels  # [H, W]
            regions = _regions(pixels, viewed.lesions)
        except DataError as error:
            fault = str(error)
    result = ViewCheck(fault=fault)
    size = None if pixels is None else (pixels.shape[0], pixels.shape[1])
    for recording in viewed.recordings:
        check, fixations = check_recording(recording, size=size, settings=viewed.settings)
        if fixations is not None:
            dwell = {name: share_inside(fixations, mask) for name, mask in regions.items()}
            areas = {f"{name}_area": float(mask.mean()) for name, mask in regions.items()}
            check = replace(check, **dwell, **areas)
        result.checks.append(check)
        can_draw = viewed.draw and pixels is not None and fixations is not None
        result.drawings.append(_drawing(pixels, recording, fixations, viewed.settings) if can_draw else None)
    return result


def _regions(pixels: Grey, lesions: tuple[Lesion, ...] | None) -> dict[str, NDArray[np.bool_]]:
    left, top, right, bottom = breast_box(pixels)
    breast = np.zeros(pixels.shape, dtype=bool)
    breast[top:bottom, left:right] = True
    if lesions is None:
        return {"breast": breast}
    return {"breast": breast, "lesion": lesion_mask(lesions, (pixels.shape[0], pixels.shape[1]))}


def _drawing(pixels: Grey, recording: Recording, fixations: Fixations, settings: FixationSettings) -> Drawing:
    height, width = pixels.shape
    scale = min(SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), dtype=np.float32)
    shrunk = replace(fixations, x=fixations.x * size[0] / width, y=fixations.y * size[1] / height)
    return Drawing(np.clip(small, 0, 1), shrunk, sigma_pixels(recording, height, settings) * scale)
