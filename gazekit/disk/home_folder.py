"""Replace the home folder by ``~`` in paths that are passed on: it contains the user's name."""

import os
import re
from pathlib import Path, PureWindowsPath

_ABSOLUTE = re.compile(r"[\\/~]|\.{1,2}[\\/]|[A-Za-z]:[\\/]")
"""The beginning of a path that is absolute, below a home folder, or relative to the folder of work."""
_FOLDERS = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:|~)?[\\/](?:[^\s\\/,;]+[\\/])*")
"""The folders of an absolute path within a text."""


def without_home(path: Path | str) -> str:
    """Replace the home folder at the start of a path by ``~``; leave any other path as it is."""
    text, home = os.fspath(path), _home()
    below = text.removeprefix(home)
    return f"~{below}" if home and below != text and below[:1] in ("", "/", "\\") else text


def without_home_within(text: str) -> str:
    """Replace the home folder by ``~`` wherever a path begins in a text: ``--data=/home/NAME/x``."""
    home = _home()
    return re.sub(rf"(?<![\w.~/\\-]){re.escape(home)}(?![\w.-])", "~", text) if home else text


def without_folders(value: str) -> str:
    """Keep the last part of a path, because folders name machines and users; keep a text that is no path."""
    return (PureWindowsPath(value).name or value) if _ABSOLUTE.match(value) else value


def without_folders_within(text: str) -> str:
    """Keep the last part of each absolute path in a text."""
    return _FOLDERS.sub("", text)


def with_home(text: str) -> Path:
    """Undo ``without_home``."""
    below_home = text == "~" or text.startswith(("~/", "~\\"))
    return Path(text).expanduser() if below_home and _home() else Path(text)


def _home() -> str:
    """Return the home folder; empty if there is none, as for a user of a container whom the system does not know."""
    try:
        return str(Path("~").expanduser()).rstrip("/\\")
    except RuntimeError:
        return ""
