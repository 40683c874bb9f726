"""Folders that may not be listed; a stand-in, because permissions do not bind root."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

CLOSED = "closed"
REASON = "the folder cannot be listed (Permission denied)"


def close_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to list folders called ``closed``."""
    scan = os.scandir

    def refuse(folder: Any = ".") -> Any:
        if Path(folder).name == CLOSED:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
