"""Extend Sphinx for gazekit's docs: write the reference from the code, copy the notebook, draw into pages."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from _extension.reference import pages

FOLDER = "reference"
NOTEBOOK = "examples/quickstart.ipynb"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything; Sphinx calls this."""
    app.connect("config-inited", lambda app, _config: write_pages(Path(app.srcdir) / FOLDER))
    app.connect("config-inited", lambda app, _config: copy_notebook(Path(app.srcdir)))
    app.connect("source-read", list_folder)
    app.connect("html-page-context", keep_options_whole)
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", leave_constructors_out)
    app.add_post_transform(DrawingsInPage)
    app.add_lexer("csv", TextLexer)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path) -> None:
    """Write the reference pages, leave unchanged ones untouched, and remove obsolete ones."""
    wanted = {folder / name: text for name, text in pages().items()}
    for old in set(folder.rglob("*.md")) - set(wanted):
        old.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def copy_notebook(docs: Path) -> None:
    """Copy the notebook of ``examples/`` into the tutorials and shorten its links to them."""
    text = (docs.parent / NOTEBOOK).read_text(encoding="utf-8").replace("(../docs/tutorials/", "(")
    target = docs / "tutorials" / Path(NOTEBOOK).name
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def list_folder(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Put a folder's other pages below its README, without an entry in its text."""
    if docname.endswith("/README"):
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def leave_constructors_out(_app: Sphinx, what: str, name: str, *_rest: object) -> tuple[str, None] | None:
    """Show no constructor that a reader never calls: of an interface, or of what gazekit makes."""
    is_made = name in ("gazekit.PreparedDataset", "gazekit.Trained")
    if what == "class" and (is_made or name.startswith("gazekit.contracts.interfaces.")):
        return "", None
    return None


def keep_options_whole(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Keep options such as ``--look-alikes`` from breaking at their hyphens when code wraps."""
    block = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
    option = re.compile(r"(?<![\w-])--?[a-z][a-z-]*(?=[^<>]*<)")  # in the text, and in no tag
    kept = r'<span class="option">\g<0></span>'
    context["body"] = block.sub(lambda found: option.sub(kept, found[0]), context.get("body", ""))


class DrawingsInPage(SphinxPostTransform):
    """Put SVG images into the HTML page, so that they take the colours of the theme, light or dark."""

    default_priority = 5
    formats = ("html",)

    def run(self, **_kwargs: Any) -> None:
        """Replace the images of one page."""
        for image in list(self.document.findall(nodes.image)):
            if image["uri"].endswith(".svg") and "://" not in image["uri"]:
                svg = (Path(self.app.srcdir) / image["uri"]).read_text(encoding="utf-8")
                image.replace_self(nodes.raw("", svg, format="html"))
