"""Make Markdown from plain text, tables and docstrings."""

import re
from collections.abc import Iterable, Sequence

from sphinx.ext.napoleon import Config, GoogleDocstring

_CODE = re.compile(r"(--[a-z][\w-]*|GAZEKIT_\w+(?:=\w+)?|``[^`]+``)")
_NAPOLEON = Config(napoleon_use_param=False, napoleon_use_rtype=False)


def plain(text: str) -> str:
    """Escape a sentence for Markdown, and set only options and ``code`` as code."""
    parts = _CODE.split(text)
    return "".join(
        f"`{part.strip('`')}`" if number % 2 else re.sub(r"([\\`*_\[\]<>|{}$#])", r"\\\1", part)
        for number, part in enumerate(parts)
    )


def code(text: object) -> str:
    """Set text as code that fits the cell of a table."""
    return "`{}`".format(str(text).replace("|", "\\|"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table, or nothing if it has no rows."""
    lines = ["| " + " | ".join(" ".join(cell.split()) for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines]) + "\n"


def block(language: str, text: str) -> str:
    """Make a block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def restructured(text: str) -> str:
    """Make a block in reStructuredText, the language of docstrings."""
    return f"````{{eval-rst}}\n{text.rstrip()}\n````\n"


def docstring(text: str) -> str:
    """Render a docstring in Google's form."""
    return restructured(str(GoogleDocstring(text, _NAPOLEON)).replace("** -- ", "** – "))


def page(title: str, *parts: str) -> str:
    """Join the parts of a page, without empty ones."""
    return "\n".join([f"# {title}\n", *filter(None, parts)])


def contents(*names: str) -> str:
    """List the pages below a page, for the navigation only."""
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```", ""])


def first_sentence(text: str) -> str:
    """Take the first paragraph of a docstring, in one line."""
    return " ".join(text.strip().partition("\n\n")[0].split())
