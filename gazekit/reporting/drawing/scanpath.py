"""Gaze drawn over its image: the heat map, and the order, places and durations of the fixations."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gazekit.gaze.heat_map import heat_map
from gazekit.preparing.image_check import Drawing
from gazekit.records.arrays import Floats
from gazekit.reporting.drawing.colours import INK, OUTLINE
from gazekit.reporting.drawing.numbering import Places
from gazekit.reporting.drawing.overlay import overlay

_LARGEST = 0.03
"""Radius of the longest fixation's disc, as a share of the picture's longer side."""
_MOST_NUMBERS = 200
"""More fixations than these are samples, or too many to read: they get no numbers and no lines."""
_HALO = 2
"""Pixels of dark around a number, so that it can be read on any grey."""


def gaze_overlay(drawing: Drawing) -> Image.Image:
    """The heat map and the scanpath of a recording over its image.

    Raises: DataError when no fixation lies on the image.
    """
    found, pixels = drawing.fixations, drawing.pixels
    shape = (pixels.shape[0], pixels.shape[1])
    heat = heat_map(found.x, found.y, found.duration_ms, shape=shape, sigma=drawing.sigma)
    picture = Image.fromarray(overlay(pixels, heat))
    draw_scanpath(picture, found.x, found.y, found.duration_ms)
    return picture


def draw_scanpath(picture: Image.Image, x: Floats, y: Floats, duration: Floats) -> None:
    """Draw fixations as numbered discs, joined by lines in their order; the disc's area is the duration.

    Args:
        picture: RGB, drawn upon.
        x, y: ``[n]`` pixels of the picture, (0, 0) its outer corner; what lies outside is cut off.
        duration: ``[n]`` >= 0, any unit.
    """
    draw = ImageDraw.Draw(picture)
    longest = float(duration.max(initial=0)) or 1.0
    far = max(picture.size)
    largest = _LARGEST * far
    # a draw coordinate is its pixel's centre, ours its outer corner; far points would overflow the drawing
    across, down = (np.clip(values - 0.5, -far, 2 * far).tolist() for values in (x, y))
    points = list(zip(across, down, strict=True))
    numbered = len(points) <= _MOST_NUMBERS
    width = max(round(largest / 12), 1)
    if numbered and len(points) > 1:
        draw.line(points, fill=OUTLINE, width=width)
    radii = [max(largest * float(share) ** 0.5, 2) if numbered else 1.5 for share in duration / longest]
    for point, radius in zip(points, radii, strict=True):
        draw.circle(point, radius, outline=OUTLINE, width=width)
    if numbered:
        _draw_numbers(draw, points, radii, ImageFont.load_default(max(largest * 0.7, 6)), picture.size)


def _draw_numbers(
    draw: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    radii: Sequence[float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """The order of the fixations, each number on its disc or beside it; one that finds no room is left out."""
    places = Places(*size)
    for number, (point, radius) in enumerate(zip(points, radii, strict=True), start=1):
        left, top, right, bottom = draw.textbbox((0, 0), str(number), font, anchor="mm", stroke_width=_HALO)
        place = places.find(*point, radius, (right - left, bottom - top))
        if place is not None:
            draw.text(place, str(number), "white", font, anchor="mm", stroke_width=_HALO, stroke_fill=INK)
