"""Draw one view as layers that a page stacks: image, maps, lesion outline, scanpath."""

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
from gazekit.records.arrays import Array
from gazekit.reporting.drawing.numbering import Places
from gazekit.reporting.drawing.overlay import rectified

_LAYER_SIDE = 96
"""Longer side of a map, px: maps are smooth, and the browser enlarges them."""
_LARGEST = 0.03
"""Radius of the longest fixation's disc, as a share of the image's longer side."""
_TEXT = 0.026
"""Height of the digits of a number, as a share of the image's longer side."""
_DIGIT = 0.68
"""Width of a digit, as a share of its height, in the widest font of a page."""
_MOST_NUMBERS = 60
"""Maximum number of fixations drawn with numbers and lines; more would be unreadable."""


def image_uri(image: Array, side: int) -> str:
    """Encode a grey image ``[H, W]`` in [0, 1] as WebP, its longer side at most ``side``."""
    picture = Image.fromarray(np.round(np.asarray(image, dtype=np.float64) * 255).astype(np.uint8))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return webp(picture, quality=85)


def map_uri(heat: Array, colours: str, shape: tuple[int, int]) -> str:
    """Encode a heat map ``[h, w]`` as coloured WebP; higher values are more opaque.

    It is opaque at its maximum, so at 80 % opacity it looks as ``overlay.overlay`` draws it.

    Args:
        heat: any sign; values that are not positive are transparent.
        colours: a colour map of matplotlib.
        shape: ``(H, W)`` of the image.
    """
    shrink = min(_LAYER_SIDE / max(shape), 1)
    values = rectified(heat, (max(round(shape[0] * shrink), 1), max(round(shape[1] * shrink), 1)))
    layer = colormaps[colours](values)  # [h, w, 4]
    layer[..., 3] = np.sqrt(values)
    return webp(Image.fromarray(np.round(255 * layer).astype(np.uint8)), quality=75)


def legend_uri(colours: str) -> str:
    """Encode the colour bar of a map, from nothing to its maximum over mid grey, as a narrow picture."""
    heat = np.linspace(0, 1, 256)[None]
    opacity = 0.8 * np.sqrt(heat)[..., None]
    strip = (1 - opacity) * 0.3 + opacity * colormaps[colours](heat)[..., :3]
    return webp(Image.fromarray(np.round(255 * strip).astype(np.uint8)), quality=90)


def outline(mask: NDArray[np.bool_]) -> str:
    """Return the border of a lesion mask ``[H, W]`` as an SVG path, in pixels with (0, 0) the image's corner."""
    padded = np.pad(np.asarray(mask, dtype=np.float64), 1)  # close a lesion at the border
    lines = cast(list[NDArray[np.float64]], contourpy.contour_generator(z=padded).lines(0.5))
    # pixel i of the mask has its centre at i + 0.5 and is i + 1 in the padded grid
    return "".join(
        "M" + "L".join(f"{x - 0.5:.4g} {y - 0.5:.4g}" for x, y in line[:-1]) + "Z" for line in lines
    )


@dataclass(frozen=True, slots=True)
class Dot:
    """A drawn fixation: centre and radius in pixels of the image, its number, and the place of the number.

    ``label`` is the centre of the number; None if it would cover another number.
    """

    number: int
    x: float
    y: float
    radius: float
    label: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Scanpath:
    """The fixations of one reader on one view, ready to draw.

    Args:
        line: SVG path through the fixations of each recording in order; empty if there are too many to follow.
        dots: numbered fixations, the disc's area proportional to duration; empty if there are too many.
        points: SVG path of the places alone, if there are too many for dots.
    """

    line: str
    dots: tuple[Dot, ...]
    points: str


def scanpaths(readers: Sequence[Fixations], shape: tuple[int, int]) -> tuple[Scanpath, ...]:
    """Build one scanpath per reader, without fixations outside the image ``(H, W)``."""
    places = Places(shape[1], shape[0])  # shared by all readers: their numbers share the image
    return tuple(_scanpath(each, shape, places) for each in readers)


def text_size(shape: tuple[int, int]) -> float:
    """Return the height of a fixation's number, in pixels of the image ``(H, W)``."""
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
    recording = np.repeat(np.arange(len(found.recordings())), list(map(len, found.recordings())))[inside]
    begins = np.diff(recording, prepend=-1) > 0  # no saccade leads to another recording
    line = "".join(f"{'M' if first else 'L'}{point}" for first, point in zip(begins, points, strict=False))
    return Scanpath(line if len(points) > 1 else "", tuple(dots), "")


def webp(picture: Image.Image, *, quality: int) -> str:
    """Encode a picture as WebP in a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
