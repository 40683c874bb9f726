"""A view as the viewer of the original shows it: as it lies in the file, at its resolution where the file is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gazekit.records.geometry import Geometry
from gazekit.records.raw_image import RawImage
from gazekit.reporting.drawing.placement import ShownPlacement

LONGEST_SIDE = 2048
"""Pixels of a picture's longer side at most, unless asked otherwise: a mammogram has four to six thousand."""
SHORTEST_SIDE = 512
"""A smaller picture is enlarged by a whole number to this, as far as it stays below the longest side."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownView:
    """A view ready to be drawn upon.

    Args:
        image: ``[H, W]`` in [0, 1], left and right as in the original.
        placement: of prepared pixels on it.
        side: ``"L"`` or ``"R"`` where it is known, else empty.
        original: whether it is the original, else the prepared image turned back.
        mm_per_pixel: across the picture; None where the spacing is not known.
    """

    image: NDArray[np.float32]
    placement: ShownPlacement
    side: str
    original: bool
    mm_per_pixel: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.placement.shape


def show_original(
    raw: RawImage,
    geometry: Geometry,
    *,
    side: str = "",
    longest: int = LONGEST_SIDE,
    shortest: int = SHORTEST_SIDE,
) -> ShownView:
    """The whole original, made smaller or larger as a whole.

    Args:
        raw: as read.
        geometry: raw to prepared pixels.
        side: of the body, where it is known otherwise than from the file.
        longest, shortest: pixels of the longer side of the picture, at most and (enlarged by a whole number) at least.
    """
    height, width = raw.pixels.shape
    zoom = _zoom(max(height, width), longest, shortest)
    shape = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    spacing = raw.pixel_spacing_mm
    return ShownView(
        image=_resized(raw.pixels, shape),
        placement=ShownPlacement.on_original(geometry, (height, width), shape),
        side=side or raw.laterality or ("R" if geometry.flip else ""),
        original=True,
        mm_per_pixel=spacing[1] * width / shape[1] if spacing else None,
    )


def show_prepared(
    image: NDArray[np.floating],
    geometry: Geometry,
    *,
    side: str = "",
    spacing_mm: float | None = None,
    shortest: int = SHORTEST_SIDE,
) -> ShownView:
    """The prepared image turned back, smoothly enlarged by a whole number.

    Args:
        image: ``[H, W]`` in [0, 1].
        geometry: raw to prepared pixels.
        side: of the body, where it is known.
        spacing_mm: distance of the original's pixel centres, across; None where it is not known.
        shortest: pixels of the longer side of the picture at least.
    """
    height, width = image.shape
    zoom = max(1, -(-shortest // max(height, width)))
    turned = image[:, ::-1] if geometry.flip else image
    return ShownView(
        image=_resized(np.ascontiguousarray(turned, dtype=np.float32), (height * zoom, width * zoom)),
        placement=ShownPlacement.on_prepared((height, width), flip=geometry.flip, zoom=zoom),
        side=side or ("R" if geometry.flip else ""),
        original=False,
        mm_per_pixel=spacing_mm / geometry.scale / zoom if spacing_mm else None,
    )


def view_words(side: str, view: str) -> str:
    """``R MLO``: side and view as radiographs are marked; the side once, also where the view's name has it."""
    name = view.upper().replace("_", " ")
    named = name.split(" ", 1)[0] in ("L", "R")
    return name if named or not side else f"{side} {name}"


def _zoom(side: int, longest: int, shortest: int) -> float:
    if side > longest:
        return longest / side
    return float(max(1, min(-(-shortest // side), longest // side)))


def _resized(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Without aliasing when it shrinks, bicubic when it grows."""
    if image.shape == shape:
        return image
    kind = Image.Resampling.LANCZOS if image.shape[0] > shape[0] else Image.Resampling.BICUBIC
    resized = Image.fromarray(image).resize((shape[1], shape[0]), kind)
    return np.asarray(np.clip(np.asarray(resized), 0, 1), dtype=np.float32)
