"""Check that a path is a regular file: not a folder, a pipe or a device."""

import errno
import stat
from pathlib import Path


def require_regular_file(path: Path) -> None:
    """Check a path from the user before opening it: opening a pipe may wait forever.

    Raises:
        OSError: missing, or not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
