"""Word counts, lists and long texts in messages."""

import shlex
from collections.abc import Iterable
from pathlib import Path


def counted(number: int, what: str) -> str:
    """Format as ``1 fold``, ``5 folds``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def in_command(path: Path | str) -> str:
    """Quote a path, or another argument, where a command to type needs it: ``'My Exams'``."""
    return shlex.quote(str(path))


def first_few(names: Iterable[object], most: int = 3) -> str:
    """List the first names, and count the others: ``a, b, c and 4 more``."""
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def without_middle(text: str, most: int) -> str:
    """Leave out the middle of a text of more than ``most`` characters, which may quote a whole file."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-(most // 2) :]}"
