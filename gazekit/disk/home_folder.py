"""Replace the home folder by ``~`` in paths that are passed on: it contains the user's name."""

import os
from pathlib import Path


def without_home(path: Path | str) -> str:
    """Replace the home folder at the start of a path by ``~``; leave any other path as it is."""
    text, home = os.fspath(path), str(Path("~").expanduser()).rstrip("/\\")
    below = text.removeprefix(home)
    return f"~{below}" if home and below != text and below[:1] in ("", "/", "\\") else text


def with_home(text: str) -> Path:
    """Undo ``without_home``."""
    return Path(text).expanduser() if text == "~" or text.startswith(("~/", "~\\")) else Path(text)
