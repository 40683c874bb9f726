"""Paths that are written into files which people pass on: their home folder, which has their name, is ``~``."""

import os
from pathlib import Path


def without_home(path: Path | str) -> str:
    """Write ``~`` in the place of the home folder at the beginning of a path; anything else stays as it is."""
    text, home = os.fspath(path), str(Path("~").expanduser()).rstrip("/\\")
    below = text.removeprefix(home)
    return f"~{below}" if home and below != text and below[:1] in ("", "/", "\\") else text


def with_home(text: str) -> Path:
    """Undo ``without_home``."""
    return Path(text).expanduser() if text == "~" or text.startswith(("~/", "~\\")) else Path(text)
