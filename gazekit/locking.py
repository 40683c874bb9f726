"""One process at a time in a folder, as far as its file system has locks."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gazekit.atomic import disk_errors
from gazekit.errors import ConfigurationError

NAME = ".lock"
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
        StorageError: the disk is full or read-only.
    """
    path = folder / NAME
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
