"""Gaze drawn over its image: the heat map, and the order, places and durations of the fixations."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gazekit.gaze.heatmap import heat_map
from gazekit.gaze.image_check import Drawing
from gazekit.report.colours import INK, OUTLINE
from gazekit.report.overlay import overlay

Floats = NDArray[np.float64]

_LARGEST = 0.03
"""Radius of the longest fixation's disc, as a share of the picture's longer side."""
_MOST_NUMBERS = 200
"""More fixations than these are samples, or too many to read: they get no numbers and no lines."""


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
    font = ImageFont.load_default(max(largest * 0.7, 6))
    for number, (point, share) in enumerate(zip(points, duration / longest, strict=True), start=1):
        radius = max(largest * float(share) ** 0.5, 2) if numbered else 1.5
        draw.circle(point, radius, outline=OUTLINE, width=width)
        if numbered:
            text = str(number)
            draw.text(point, text, "white", font, anchor="mm", stroke_width=2, stroke_fill=INK)
