"""Files that end: neither folders nor pipes nor devices."""

import errno
import stat
from pathlib import Path


def require_regular_file(path: Path) -> None:
    """Call before opening what a user names: opening a pipe waits until somebody writes to it, maybe forever.

    Raises:
        OSError: not there, or something else than a file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
