"""Write self-contained HTML pages that need no other file and no network."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from gazekit.disk.atomic import write_atomically
from gazekit.reporting.drawing.colours import INK, MUTED

LIMITS = (
    "The results hold for the exams they were measured on. Other scanners, readers and patients may differ.",
    "An interval shows how far the random choice of patients can move a result. It does not cover the choice of "
    "training data, of seeds or of the epoch.",
    "An attention map shows what the score depends on near the end of the network. It explains no diagnosis, and "
    "a map in the right place does not make the answer right.",
    "Gaze shows where a reader looked, which is not the same as where the finding is.",
)
"""Limits of every model."""

IN_PAGE = 100
"""Dots per inch of pictures inside a page's figures, about that of a screen."""
_FAST_PNG = {"compress_level": 3}
"""With it a figure of images takes two thirds of the time, in a file up to a fifth larger (measured)."""
_PNG = re.compile(rb"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_FOLLOW_THE_PAGE = (
    f"<style>:root{{--ink:{INK};--muted:{MUTED}}}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--muted:#a0abba}}</style>"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A figure on a page.

    Args:
        title: heading.
        figure: a drawing.
        alt: alternative text for readers who cannot see the figure.
        text: a sentence next to the figure.
    """

    title: str
    figure: Figure
    alt: str
    text: str = ""

    def shown(self) -> dict[str, str]:
        """Return the values for the templates."""
        image = data_uri("image/svg+xml", themed_svg(self.figure))
        return {"title": self.title, "text": self.text, "alt": self.alt, "image": image}


def write_html(path: Path, template: str, **values: Any) -> None:
    """Write a page from a template of ``report/templates``.

    Its content security policy allows embedded images and, by hash, this style and this script; nothing else.

    Args:
        path: the file; replaced if it exists.
        template: name of the file.
        values: values for the template; they are escaped.

    Raises:
        StorageError: the page cannot be written.
    """
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    environment = Environment(
        loader=PackageLoader("gazekit.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    embedded = {"style": Markup(style), "script": Markup(script)}
    hashes = {"style_hash": _hash(style), "script_hash": _hash(script)}
    write_atomically(path, environment.get_template(template).render(**embedded, **hashes, **values))


def data_uri(kind: str, content: bytes) -> str:
    """Embed bytes of a MIME type in a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def rendered(figure: Figure, kind: str, *, transparent: bool = False, dpi: int | None = None) -> bytes:
    """Render a figure as ``png`` or ``svg``; equal figures give equal bytes."""
    buffer = io.BytesIO()
    by_kind: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {"pil_kwargs": _FAST_PNG}
    with matplotlib.rc_context({"svg.hashsalt": "gazekit", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, transparent=transparent, dpi=dpi or figure.dpi, **by_kind)
    return buffer.getvalue()


def themed_svg(figure: Figure) -> bytes:
    """Render a figure as SVG whose text follows the reader's light or dark mode."""
    drawing = (
        light_svg(rendered(figure, "svg", transparent=True, dpi=IN_PAGE))
        .decode()
        .replace(INK, "var(--ink)")
        .replace(MUTED, "var(--muted)")
    )
    head, tail = drawing.split("<defs>", 1)
    return f"{head}{_FOLLOW_THE_PAGE}<defs>{tail}".encode()


def light_svg(drawing: bytes) -> bytes:
    """Re-encode the opaque pictures of an SVG as JPEG: a tenth of the PNG size for textured images."""

    def encoded(found: re.Match[bytes]) -> bytes:
        with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
            if np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
                return found[0]
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=80)
        return data_uri("image/jpeg", buffer.getvalue()).encode()

    return _PNG.sub(encoded, drawing)


def plain(facts: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, str]]:
    """Format facts as text."""
    return {group: {key: _plain(value) for key, value in values.items()} for group, values in facts.items()}


def _plain(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    return str(value)


def _text(name: str) -> str:
    return resources.files("gazekit.reporting").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
