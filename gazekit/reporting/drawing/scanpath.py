"""Draw gaze over its image: the heat map, and the order, places and durations of the fixations."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gazekit.gaze.heat_map import heat_map
from gazekit.preparing.validating.image_check import Drawing
from gazekit.records.arrays import Floats
from gazekit.reporting.drawing.colours import INK, OUTLINE
from gazekit.reporting.drawing.numbering import Places
from gazekit.reporting.drawing.overlay import overlay

_LARGEST = 0.03
"""Radius of the longest fixation's disc, as a share of the picture's longer side."""
_MOST_NUMBERS = 200
"""Maximum number of fixations drawn with numbers and lines; more are samples, or unreadable."""
_HALO = 2
"""Width of the dark outline of a number, px, to make it legible on any grey."""


def gaze_overlay(drawing: Drawing) -> Image.Image:
    """Draw the heat map and the scanpath of a recording over its image.

    Raises: DataError if no fixation lies on the image.
    """
    found, pixels = drawing.fixations, drawing.pixels
    shape = (pixels.shape[0], pixels.shape[1])
    heat = heat_map(found.x, found.y, found.duration_ms, shape=shape, sigma=drawing.sigma)
    picture = Image.fromarray(overlay(pixels, heat))
    draw_scanpath(picture, found.x, found.y, found.duration_ms)
    return picture


def draw_scanpath(picture: Image.Image, x: Floats, y: Floats, duration: Floats) -> None:
    """Draw fixations as numbered discs joined by lines in their order; the disc's area is the duration.

    Args:
        picture: RGB; it is modified.
        x, y: ``[n]`` pixels of the picture, (0, 0) its outer corner; parts outside are cut off.
        duration: ``[n]`` >= 0, any unit.
    """
    draw = ImageDraw.Draw(picture)
    longest = float(duration.max(initial=0)) or 1.0
    far = max(picture.size)
    largest = _LARGEST * far
    # ImageDraw counts from pixel centres, we from outer corners; far points would overflow
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
    """Draw the order of the fixations, each number on its disc or next to it; skip a number without space."""
    places = Places(*size)
    for number, (point, radius) in enumerate(zip(points, radii, strict=True), start=1):
        left, top, right, bottom = draw.textbbox((0, 0), str(number), font, anchor="mm", stroke_width=_HALO)
        place = places.find(*point, radius, (right - left, bottom - top))
        if place is not None:
            draw.text(place, str(number), "white", font, anchor="mm", stroke_width=_HALO, stroke_fill=INK)
