"""Put a caption below a picture: view, exam, prediction, colours and scale."""

import functools
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gazekit.reporting.drawing.overlay import overlay

RESEARCH_ONLY = "Research only. Not for diagnosis."
_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_NARROWEST = 380
"""Minimum width of a caption, px; a narrower picture is set on black."""
_WHITE, _GREY = (240, 243, 247), (166, 174, 186)


@dataclass(frozen=True, slots=True)
class Caption:
    """The contents of a caption.

    Args:
        view: side and view as radiographs are marked, ``R MLO``.
        exam: name of the exam.
        prediction: as text, ``P(malignant) = 0.83``.
        explained: the class that the map explains.
        note: about the picture, such as that it is the prepared image; empty for none.
        mm_per_pixel: across the picture; None leaves the scale bar out.
        positive: whether the map has positive values.
    """

    view: str
    exam: str
    prediction: str
    explained: str
    note: str = ""
    mm_per_pixel: float | None = None
    positive: bool = True


def captioned(picture: NDArray[np.uint8], caption: Caption) -> NDArray[np.uint8]:
    """Put a picture ``[H, W, 3]`` above its caption; the picture is unchanged."""
    height, width = picture.shape[:2]
    across = max(width, _NARROWEST)
    size = max(13, round(0.02 * max(height, across)))
    rows = _rows(caption, across, size)
    tall = sum(_line(size, large) for _, _, large in rows)
    band = round(0.6 * size) + tall + round(2.6 * size)
    canvas = Image.new("RGB", (across, height + band))
    canvas.paste(Image.fromarray(picture), ((across - width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    left, right, top = size // 2, across - size // 2, height + round(0.6 * size)
    for start, end, large in rows:
        font = _font(size * (1.35 if large else 1))
        draw.text((left, top), start, _WHITE if large else _GREY, font)
        draw.text((right, top), end, _WHITE if large else _GREY, font, anchor="ra")
        top += _line(size, large)
    _draw_scales(canvas, draw, caption, (left, right, top + size // 2), size)
    return np.asarray(canvas)


def _rows(caption: Caption, across: int, size: int) -> list[tuple[str, str, bool]]:
    """Arrange the text: left, right, and whether it is large; text that does not fit side by side goes below."""
    wanted = [
        (caption.view, caption.prediction, True),
        (caption.exam, RESEARCH_ONLY, False),
        (caption.note, "", False),
    ]
    rows: list[tuple[str, str, bool]] = []
    for start, end, large in wanted:
        font = _font(size * (1.35 if large else 1))
        if font.getlength(start) + font.getlength(end) + 2 * size <= across:
            rows.append((start, end, large))
        else:
            rows += [
                (_cut(start, font, across - size), "", large),
                (_cut(end, font, across - size), "", large),
            ]
    return [row for row in rows if row[0] or row[1]]


def _draw_scales(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    caption: Caption,
    place: tuple[int, int, int],
    size: int,
) -> None:
    """Draw the colour bar on the left and a length in millimetres on the right."""
    left, right, top = place
    font, thick = _font(0.9 * size), max(2, size // 6)
    long = (right - left) * 2 // 5
    bar = overlay(np.full((size // 2, long), 0.3), np.linspace(0, 1, long)[None])
    canvas.paste(Image.fromarray(bar), (left, top))
    words = f"attention for {caption.explained}: 0 to this map's highest"
    if not caption.positive:
        words = f"no attention for {caption.explained} on this view"
    below = top + size // 2 + size // 4
    length = scale_bar(caption.mm_per_pixel, (right - left) / 3)
    room = right - left
    if length:
        millimetres, pixels = length
        label = f"{millimetres} mm"
        middle = top + size // 4
        draw.line((right - pixels, middle, right, middle), _WHITE, thick)
        for end in (right - pixels, right):
            draw.line((end, middle - size // 3, end, middle + size // 3), _WHITE, thick)
        draw.text((right, below), label, _GREY, font, anchor="ra")
        room -= round(font.getlength(label)) + size
    draw.text((left, below), _cut(words, font, room), _GREY, font)


def scale_bar(mm_per_pixel: float | None, most: float) -> tuple[int, float] | None:
    """Return the longest round length within this many pixels, in millimetres and pixels; None if none fits."""
    if not mm_per_pixel:
        return None
    return next(((mm, mm / mm_per_pixel) for mm in _LENGTHS_MM if mm / mm_per_pixel <= most), None)


def _cut(words: str, font: ImageFont.FreeTypeFont, most: float) -> str:
    """Shorten text to fit."""
    if font.getlength(words) <= most:
        return words
    while words and font.getlength(f"{words}…") > most:
        words = words[:-1]
    return f"{words}…"


def _line(size: int, large: bool) -> int:
    return round(size * (1.35 if large else 1) * 1.35)


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans, which comes with matplotlib and has the letters of most scripts."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
