"""One process at a time in a folder, as far as its file system has locks."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gazekit.disk.atomic import disk_errors
from gazekit.errors import ConfigurationError, DataError

LOCK = ".lock"
"""Name of the file that is locked; empty."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Answers of a file system that cannot lock: NFS without its lock service, some FUSE and cluster file systems."""


@contextmanager
def locked(folder: Path, *, busy: str, needed: str = "") -> Iterator[None]:
    """Hold the lock of a folder, ``FOLDER/.lock``, while the block runs; never wait for it.

    Where the file system has no locks, a warning names the file and the cause, and the block runs unguarded.

    Args:
        folder: that is there.
        busy: the error when another process holds the lock.
        needed: the error, after file and cause, where there are no locks and going on without one could destroy
            another process's work; empty where it could not.

    Raises:
        ConfigurationError: another process holds the lock, or it is needed and cannot be had.
        DataError: there is a link, a pipe or a folder of that name.
        StorageError: the disk is full or read-only.
    """
    path = folder / LOCK
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(f"{path}: is no regular file; expected the empty file that gazekit makes; remove it")
    lock = FileLock(path, timeout=0, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        with disk_errors(path):
            lock.acquire()
    except Timeout:
        raise ConfigurationError(busy) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        cause = f"{path}: this file system has no locks ({os.strerror(error.errno)})"
        if needed:
            raise ConfigurationError(f"{cause}; {needed}") from None
        warnings.warn(
            f"{cause}; going on without: take care that no other process works in this folder", stacklevel=3
        )
        yield
        return
    try:
        yield
    finally:
        lock.release()
