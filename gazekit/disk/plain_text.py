"""Make text from outside harmless for a terminal, a log or a spreadsheet."""

import re

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
_NOT_STORABLE = re.compile("\r|[\ud800-\udfff]")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def visible(text: str, *, keep: str = "") -> str:
    r"""Escape every character that controls a terminal or hides text: ``\x1b``, ``\n``, ``\u202e``.

    Args:
        text: any text; lone surrogates, which come from file names in other encodings, are escaped too.
        keep: control characters to leave as they are, such as ``"\n\t"``.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def has_controls(text: str) -> bool:
    """Whether a text contains characters that ``visible`` escapes."""
    return _CONTROL.search(text) is not None


def storable(text: str) -> str:
    r"""Escape what a CSV file in UTF-8 cannot hold within a cell: a lone ``\r``, and lone surrogates."""
    return _NOT_STORABLE.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def to_cell(text: str) -> str:
    """Escape a cell that a spreadsheet would run as a formula: ``=1+1`` becomes ``'=1+1``; keep numbers."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(text: str) -> str:
    """Undo ``to_cell``; leave a text that was never escaped as it is."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
