"""Text from outside, made harmless for a terminal, a log or a spreadsheet."""

import re

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def visible(text: str, *, keep: str = "") -> str:
    r"""Replace every character that steers a terminal, or hides, by its escape: ``\x1b``, ``\n``, ``\u202e``.

    Args:
        text: any; half surrogates, which file names in other encodings become, are replaced too.
        keep: control characters that stay, such as ``"\n\t"``.
    """
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def has_controls(text: str) -> bool:
    """Whether ``visible`` would change a text."""
    return _CONTROL.search(text) is not None


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def to_cell(text: str) -> str:
    """Escape what a spreadsheet would carry out: ``=1+1`` becomes ``'=1+1``; numbers stay as they are."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def from_cell(text: str) -> str:
    """Undo ``to_cell``; a text that was never escaped stays as it is."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
