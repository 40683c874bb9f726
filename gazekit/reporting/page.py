"""Write self-contained HTML pages that need no other file and no network."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from gazekit.disk.atomic import write_atomically
from gazekit.reporting.drawing.rendering import light_svg, on_white, rendered, smaller_png, themed_svg

LIMITS = (
    "The results hold for the exams they were measured on. Other scanners, readers and patients may differ.",
    "An interval shows how far the random choice of patients can move a result. It does not cover the choice of "
    "training data, of seeds or of the epoch.",
    "An attention map shows what the score depends on near the end of the network. It explains no diagnosis, and "
    "a map in the right place does not make the answer right.",
    "Gaze shows where a reader looked, which is not the same as where the finding is.",
)
"""Limits of every model."""
SINGLE_TRAINING = "This is a single training. Another seed or split would give other results."
FEW_PATIENTS = 100
"""Patients below which a page says that they are too few to show small differences (ours)."""

_IN_PAGE, _IN_PNG = 100, 75
"""Dots per inch of the pictures inside a page's figures, about that of a screen, and of a figure saved from a page."""


@dataclass(frozen=True)
class Section:
    """A figure on a page, rendered once for all its uses.

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

    @cached_property
    def png(self) -> bytes:
        """The figure with its own dots per inch."""
        return rendered(self.figure, "png")

    @cached_property
    def _drawing(self) -> bytes:
        return rendered(self.figure, "svg", transparent=True)

    @cached_property
    def _light(self) -> bytes:
        return light_svg(self._drawing, _IN_PAGE / self.figure.dpi)

    @property
    def svg(self) -> bytes:
        """The figure on white."""
        return on_white(self._drawing)

    def shown(self) -> dict[str, str]:
        """Return the values for the templates."""
        image = data_uri("image/svg+xml", themed_svg(self._light))
        return {"title": self.title, "text": self.text, "alt": self.alt, "image": image}

    def downloads(self, name: str) -> dict[str, str]:
        """Return the figure to save from a page, as file name → data URI, lighter than ``png`` and ``svg``."""
        picture = smaller_png(self.png, _IN_PNG / self.figure.dpi)
        return {
            f"{name}.png": data_uri("image/png", picture),
            f"{name}.svg": data_uri("image/svg+xml", on_white(self._light)),
        }


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
