"""Pictures of one view as layers that a page puts over each other: image, maps, lesion outline, scanpath."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import contourpy
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from gazekit.gaze.fixations import Fixations
from gazekit.measures.resizing import Array
from gazekit.reporting.drawing.numbering import Places
from gazekit.reporting.drawing.overlay import rectified

_LAYER_SIDE = 96
"""Pixels of a map's longer side: maps are smooth, the browser enlarges them."""
_LARGEST = 0.03
"""Radius of the longest fixation's disc, as a share of the image's longer side."""
_TEXT = 0.026
"""Height of the letters of a number, likewise."""
_DIGIT = 0.68
"""Width of a digit, as a share of its letters' height, in the widest of the fonts that a page may be shown in."""
_MOST_NUMBERS = 60
"""More fixations than these are too many to read: they get no numbers and no lines."""


def image_uri(image: Array, side: int) -> str:
    """A grey image ``[H, W]`` in [0, 1] as WebP, its longer side not above ``side``."""
    picture = Image.fromarray(np.round(np.asarray(image, dtype=np.float64) * 255).astype(np.uint8))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return webp(picture, quality=85)


def map_uri(heat: Array, colours: str, shape: tuple[int, int]) -> str:
    """A heat map ``[h, w]`` as WebP of its colours; the higher, the more of the image it covers.

    Opaque at its maximum, so at 80 % it is what ``overlay.overlay`` draws.

    Args:
        heat: any sign; what is not positive is clear.
        colours: a colour map of matplotlib.
        shape: ``(H, W)`` of the image.
    """
    shrink = min(_LAYER_SIDE / max(shape), 1)
    values = rectified(heat, (max(round(shape[0] * shrink), 1), max(round(shape[1] * shrink), 1)))
    layer = colormaps[colours](values)  # [h, w, 4]
    layer[..., 3] = np.sqrt(values)
    return webp(Image.fromarray(np.round(255 * layer).astype(np.uint8)), quality=75)


def legend_uri(colours: str) -> str:
    """The colours of a map from nothing to its maximum over mid grey, as a narrow picture."""
    heat = np.linspace(0, 1, 256)[None]
    opacity = 0.8 * np.sqrt(heat)[..., None]
    strip = (1 - opacity) * 0.3 + opacity * colormaps[colours](heat)[..., :3]
    return webp(Image.fromarray(np.round(255 * strip).astype(np.uint8)), quality=90)


def outline(mask: NDArray[np.bool_]) -> str:
    """The borders of a lesion mask ``[H, W]`` as an SVG path, in pixels with (0, 0) the image's corner."""
    padded = np.pad(np.asarray(mask, dtype=np.float64), 1)  # a lesion at the border is closed there
    lines = cast(list[NDArray[np.float64]], contourpy.contour_generator(z=padded).lines(0.5))
    # pixel i of the mask has its centre at i + 0.5 and is i + 1 in the padded grid
    return "".join(
        "M" + "L".join(f"{x - 0.5:.4g} {y - 0.5:.4g}" for x, y in line[:-1]) + "Z" for line in lines
    )


@dataclass(frozen=True, slots=True)
class Dot:
    """A fixation: centre and radius in pixels of the image, its place in the order, and that of its number.

    ``label`` is the middle of the number; None where it would cover another one.
    """

    number: int
    x: float
    y: float
    radius: float
    label: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Scanpath:
    """The fixations of one reader on one view, ready to be drawn.

    Args:
        line: through the fixations in their order, an SVG path; empty where they are too many to follow.
        dots: numbered fixations, the disc's area as long as the fixation; empty where they are too many.
        points: the places alone, an SVG path of points, where they are too many for dots.
    """

    line: str
    dots: tuple[Dot, ...]
    points: str


def scanpaths(readers: Sequence[Fixations], shape: tuple[int, int]) -> tuple[Scanpath, ...]:
    """One scanpath per reader; fixations outside the image ``(H, W)`` are left out."""
    places = Places(shape[1], shape[0])  # one for all readers: their numbers share the image
    return tuple(_scanpath(each, shape, places) for each in readers)


def text_size(shape: tuple[int, int]) -> float:
    """Height of the letters of a fixation's number, in pixels of the image ``(H, W)``."""
    return round(_TEXT * max(shape), 2)


def _scanpath(found: Fixations, shape: tuple[int, int], places: Places) -> Scanpath:
    inside = (found.x >= 0) & (found.y >= 0) & (found.x < shape[1]) & (found.y < shape[0])
    x, y, duration = found.x[inside], found.y[inside], found.duration_ms[inside]
    points = [f"{a:.4g} {b:.4g}" for a, b in zip(x, y, strict=True)]
    if len(points) > _MOST_NUMBERS:
        return Scanpath("", (), "".join(f"M{point}h0" for point in points))
    longest = np.nanmax(duration, initial=0) or 1.0
    radii = _LARGEST * max(shape) * np.sqrt(np.nan_to_num(duration, nan=longest) / longest)
    radii = np.maximum(radii, 0.008 * max(shape))
    dots = []
    for number, values in enumerate(zip(x, y, radii, strict=True), start=1):
        across, down, radius = (round(float(value), 2) for value in values)
        size = text_size(shape) * _DIGIT * len(str(number)), text_size(shape)
        label = places.find(across, down, radius, size)
        dots.append(Dot(number, across, down, radius, label and (round(label[0], 2), round(label[1], 2))))
    return Scanpath("M" + "L".join(points) if len(points) > 1 else "", tuple(dots), "")


def webp(picture: Image.Image, *, quality: int) -> str:
    """A picture as WebP in a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
