"""Files that are there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gazekit.errors import StorageError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def disk_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn a failing disk into one line that names the path, and the bytes if they are known. Raises StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        amount = "" if size is None else f" {size} bytes"
        raise StorageError(
            f"{path}: cannot write{amount}: {error.strerror}{_free(path, error)}; free some space or choose another "
            "folder"
        ) from error


def _free(path: Path, error: OSError) -> str:
    """How much is left, where that is what is wrong."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            folder = next(parent for parent in path.absolute().parents if parent.exists())
            return f" ({shutil.disk_usage(folder).free} bytes are free)"
    return ""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to the disk, then rename over it. Raises StorageError."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.partial")
    with disk_errors(path, len(data)):
        try:
            write_through(temporary, data)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_through(path: Path, content: bytes) -> None:
    """Write a file down to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, down to the disk. Raises StorageError."""
    data = f"{line}\n".encode()
    with disk_errors(path, len(data)), path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
