"""Show a view as in the original: its orientation, and its resolution if the file is available."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gazekit.records.geometry import Geometry
from gazekit.records.raw_image import RawImage
from gazekit.reporting.drawing.originals.placement import ShownPlacement

LONGEST_SIDE = 2048
"""Default maximum of a picture's longer side, px: a mammogram has four to six thousand."""
SHORTEST_SIDE = 512
"""Size to which a smaller picture is enlarged by a whole number, within the maximum, px."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownView:
    """A view ready to draw on.

    Args:
        image: ``[H, W]`` in [0, 1], left and right as in the original.
        placement: of prepared pixels on the picture.
        side: ``"L"`` or ``"R"`` if known, else empty.
        original: whether it is the original rather than the prepared image.
        mm_per_pixel: across the picture; None if the spacing is unknown.
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
    """Show the whole original, scaled as a whole.

    Args:
        raw: the image as read.
        geometry: raw to prepared pixels.
        side: side of the body, if known from elsewhere than the file.
        longest, shortest: maximum and minimum of the picture's longer side, px; it is enlarged by a whole number.
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
    """Show the prepared image unflipped, smoothly enlarged by a whole number.

    Args:
        image: ``[H, W]`` in [0, 1].
        geometry: raw to prepared pixels.
        side: side of the body, if known.
        spacing_mm: horizontal distance of the original's pixel centres; None if unknown.
        shortest: minimum of the picture's longer side, px.
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


def view_words(side: str, view: str, *, missing: bool = False) -> str:
    """Return ``R MLO``: side and view as radiographs are marked, with the side only once; ``MLO, missing``."""
    name = view.upper().replace("_", " ")
    named = name.split(" ", 1)[0] in ("L", "R")
    words = name if named or not side else f"{side} {name}"
    return f"{words}, missing" if missing else words


def _zoom(side: int, longest: int, shortest: int) -> float:
    if side > longest:
        return longest / side
    return float(max(1, min(-(-shortest // side), longest // side)))


def _resized(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize without aliasing when it shrinks, bicubic when it grows."""
    if image.shape == shape:
        return image
    kind = Image.Resampling.LANCZOS if image.shape[0] > shape[0] else Image.Resampling.BICUBIC
    resized = Image.fromarray(image).resize((shape[1], shape[0]), kind)
    return np.asarray(np.clip(np.asarray(resized), 0, 1), dtype=np.float32)
