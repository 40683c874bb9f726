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


def is_regular_file(path: Path) -> bool:
    """Whether a path is a regular file, as far as it may be looked up."""
    try:
        require_regular_file(path)
    except (OSError, ValueError):
        return False
    return True


def is_there(path: Path) -> bool:
    """Whether something is at a path; one that may not be looked up counts, and whoever opens it says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True
