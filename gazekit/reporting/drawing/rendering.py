"""Render a figure as PNG or SVG, and make what is rendered fit for a page."""

import base64
import io
import re
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from gazekit.reporting.drawing.colours import INK, MUTED

_FAST_PNG = {"compress_level": 3}
"""With it a figure of images takes two thirds of the time, in a file up to a fifth larger (measured)."""
_PNG = re.compile(rb"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_DEFINITIONS, _CONTENT = b"<defs>", b'<g id="figure_1">'
"""Elements that matplotlib writes first."""
_WHITE = b'<rect width="100%" height="100%" fill="#ffffff"/>'
_FOLLOW_THE_PAGE = (
    f"<style>:root{{--ink:{INK};--muted:{MUTED}}}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--muted:#a0abba}}</style>"
).encode()


def rendered(figure: Figure, kind: str, *, transparent: bool = False) -> bytes:
    """Render a figure as ``png`` or ``svg``; equal figures give equal bytes."""
    buffer = io.BytesIO()
    by_kind: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"pil_kwargs": _FAST_PNG}
    plain = {"svg.hashsalt": "gazekit", "svg.fonttype": "path", "text.parse_math": False}
    for text in figure.findobj(Text):  # made while formulas were read; a name with two dollar signs is none
        text.set_parse_math(False)
    with matplotlib.rc_context(plain):
        figure.savefig(buffer, format=kind, transparent=transparent, dpi=figure.dpi, **by_kind)
    return buffer.getvalue()


def as_png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **_FAST_PNG)
    return buffer.getvalue()


def smaller_png(picture: bytes, share: float) -> bytes:
    """Give a PNG a share of its pixels in each direction, if that is less than all."""
    if share >= 1:
        return picture
    with Image.open(io.BytesIO(picture)) as full:
        buffer, dpi = io.BytesIO(), tuple(share * each for each in full.info.get("dpi", ()))
        _smaller(full, share).save(buffer, "PNG", **_FAST_PNG, **({"dpi": dpi} if dpi else {}))
    return buffer.getvalue()


def light_svg(drawing: bytes, share: float = 1.0) -> bytes:
    """Make the pictures of an SVG smaller, and opaque ones JPEG: a tenth of the PNG size for textured images.

    Args:
        drawing: from ``rendered``.
        share: of their pixels in each direction that they keep.
    """

    def encoded(found: re.Match[bytes]) -> bytes:
        content = base64.b64decode(found[1])
        with Image.open(io.BytesIO(content)) as picture:
            if np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
                return b"data:image/png;base64," + base64.b64encode(smaller_png(content, share))
            buffer = io.BytesIO()
            _smaller(picture.convert("RGB"), min(share, 1)).save(buffer, "JPEG", quality=80)
        return b"data:image/jpeg;base64," + base64.b64encode(buffer.getvalue())

    return _PNG.sub(encoded, drawing)


def _smaller(picture: Image.Image, share: float) -> Image.Image:
    width, height = (max(int(side * share), 1) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def on_white(drawing: bytes) -> bytes:
    """Put an SVG that was rendered transparent on white."""
    return drawing.replace(_CONTENT, _WHITE + _CONTENT, 1)


def themed_svg(drawing: bytes) -> bytes:
    """Let the text of an SVG that was rendered transparent follow the reader's light or dark mode."""
    for colour, name in ((INK, b"ink"), (MUTED, b"muted")):
        drawing = drawing.replace(colour.encode(), b"var(--%s)" % name)
    return drawing.replace(_DEFINITIONS, _FOLLOW_THE_PAGE + _DEFINITIONS, 1)
