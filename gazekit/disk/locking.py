"""Let one process at a time work in a folder, where the file system supports locks."""

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
"""Name of the (empty) file that is locked."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Errors of a file system without locks: NFS without its lock service, some FUSE and cluster file systems."""


class FolderInUse(ConfigurationError):
    """Another process holds the lock of a folder."""


@contextmanager
def locked(folder: Path, *, busy: str, needed: str = "") -> Iterator[None]:
    """Hold the lock of a folder, ``FOLDER/.lock``, while the block runs; do not wait for it.

    If the file system has no locks, a warning names the file and the cause, and the block runs without a lock.

    Args:
        folder: an existing folder.
        busy: the error when another process holds the lock.
        needed: the end of the error message (after file and cause) if running without a lock could destroy another
            process's work; empty if it could not.

    Raises:
        FolderInUse: another process holds the lock.
        ConfigurationError: the lock is needed, and the file system has none.
        DataError: a link, a pipe or a folder has that name.
        StorageError: the disk is full or read-only.
    """
    path = folder / LOCK
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(
            f"{path}: is not a regular file; expected the empty file that gazekit makes; remove it"
        )
    lock = FileLock(path, timeout=0, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        with disk_errors(path):
            lock.acquire()
    except Timeout:
        raise FolderInUse(busy) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        cause = f"{path}: this file system has no locks ({os.strerror(error.errno)})"
        if needed:
            raise ConfigurationError(f"{cause}; {needed}") from None
        warnings.warn(
            f"{cause}; continuing without a lock: make sure that no other process works in this folder",
            stacklevel=3,
        )
        yield
        return
    try:
        yield
    finally:
        lock.release()
