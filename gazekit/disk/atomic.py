"""Write files whole or not at all, and never through a link.

A gazekit folder may have come from someone else, so nothing in it is written through a link. A new file is written
under a random name and then replaces whatever has its final name, link or file; a device or a pipe is an error. Only a
regular file without a second name is appended to. A subfolder must be a real folder, not a link.
"""

import errno
import glob
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gazekit.errors import DataError, StorageError

PARTIAL = ".partial"
"""Suffix of a file still being written; a file without it is complete."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EINVAL)
"""A link, a pipe, a device or a second name stands there."""
_DISK = {
    *(*_FULL, errno.EFBIG, errno.EIO, errno.ESTALE),  # full, too large, failing
    *_NO_FILE,
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ETXTBSY),  # not ours to write
    *(errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),  # no place for a file
}
_STALE = 3600
"""Seconds after which a partial file counts as left over from a killed process."""


@contextmanager
def disk_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn a disk error into a StorageError: one line with the path, the cause and, if known, the size."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        amount = "" if size is None else f" {size} bytes"
        cause = "it is a link" if error.errno == errno.ELOOP and path.is_symlink() else error.strerror
        raise StorageError(
            f"{path}: cannot write{amount}: {cause}{_free(path, error)}; {_remedy(error)}choose another folder"
        ) from error


def _remedy(error: OSError) -> str:
    """Say what helps against a full disk, a place that others own, or what stands in the way."""
    if error.errno in _FULL:
        return "free some space or "
    if error.errno in _NO_FILE:
        return "remove it or "
    return "get permission to write there or " if isinstance(error, PermissionError) else ""


def _free(path: Path, error: OSError) -> str:
    """Describe the space left, if the disk is full."""
    if error.errno in _FULL:
        with suppress(OSError):
            folder = next(parent for parent in path.absolute().parents if parent.exists())
            return f" ({shutil.disk_usage(folder).free} bytes are free)"
    return ""


def check_place(path: Path, *, makes_folder: bool = False) -> None:
    """Check, best before the work, that a file can be written at a path.

    Args:
        path: the file.
        makes_folder: whether its folder will be made if it is missing.

    Raises:
        StorageError: a folder, device or pipe stands there, or its folder is missing, no folder, or not ours to write.
    """
    if not path.name or (path.is_dir() and not path.is_symlink()):
        raise StorageError(f"{path}: is a folder; name a file in it")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise StorageError(f"{path}: is a device or a pipe, which a file would replace; name a file")
    folder = path.parent
    while makes_folder and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.exists():
        raise StorageError(
            f"{folder}: there is no such folder to write {path.name} in; make it, or choose another"
        )
    if not folder.is_dir():
        raise StorageError(f"{folder}: is no folder to write {path.name} in; choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder}: you may not write {path.name} in this folder; choose another")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to the disk, then rename over it. Raises StorageError."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with disk_errors(path, len(data)), beside(path) as temporary:
        write_through(temporary, data)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to a file; on success the new file replaces the old one.

    If the block fails, the temporary file is removed and the old file is unchanged. Raises as ``check_place``.
    """
    check_place(path)
    temporary = _partial(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to a file, for its replacement; remove the folder at the end.

    Raises as ``check_place``.
    """
    check_place(path)
    folder = _partial(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _partial(path: Path) -> Path:
    """Return a random name next to a file that shows which file it belongs to."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def write_through(path: Path, content: bytes) -> None:
    """Write a new file and sync it to the disk. Raises OSError: the name exists, if only as a link."""
    with written_through(path) as file:
        file.write(content)


@contextmanager
def written_through(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file, and sync it to the disk after the block. Raises OSError: the name exists, if only as a link."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def append_line(path: Path, line: str) -> None:
    """Append a line to a file and sync it to the disk. Raises StorageError: not possible, or not a regular file."""
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    with disk_errors(path, len(data)), _opened_at_end(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _opened_at_end(path: Path) -> BinaryIO:
    """Open a regular file for appending; if it has a second name (a hard link), copy it first."""
    file = os.fdopen(_descriptor(path, os.O_WRONLY | os.O_APPEND), "ab")
    if os.fstat(file.fileno()).st_nlink == 1:
        return file
    file.close()
    write_atomically(path, path.read_bytes())
    return _opened_at_end(path)


def opened_to_change(path: Path) -> io.FileIO:
    """Open a regular file for reading and writing; create it if it does not exist.

    Raises:
        OSError: it is not a regular file, or has a second name (a hard link).
    """
    file = io.FileIO(_descriptor(path, os.O_RDWR), "r+")
    if os.fstat(file.fileno()).st_nlink == 1:
        return file
    file.close()
    raise OSError(
        errno.EINVAL, "The file has a second name (a hard link), and would change there too", str(path)
    )


def _descriptor(path: Path, flags: int) -> int:
    """Open without following a link and without waiting for the other end of a pipe."""
    flags |= os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def own_folder(path: Path) -> Path:
    """Create a subfolder in a gazekit folder, or check the existing one.

    Raises:
        DataError: it is a link or not a folder; writing or removing there would change something elsewhere.
        StorageError: it cannot be created.
    """
    with disk_errors(path), suppress(FileExistsError):
        path.mkdir(parents=True)
    check_folder(path)
    return path


def check_folder(path: Path) -> None:
    """Raise DataError if a subfolder of a gazekit folder is a link or not a folder; it may be missing."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise DataError(
            f"{path}: is {'a link' if path.is_symlink() else 'not a folder'}; expected a folder, which gazekit makes "
            "itself; nothing in it was changed; remove it"
        )


def empty_folder(folder: Path, *, but: str) -> None:
    """Remove everything from a folder except one name; never follow links. Raises StorageError."""
    with disk_errors(folder):
        for path in folder.iterdir():
            if path.name == but:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def forget_partial(folder: Path, *, now: float, of: str = "") -> None:
    """Remove partial files left by processes that were killed at least an hour ago.

    Args:
        folder: where the partial files are.
        now: seconds since the epoch.
        of: remove only partial files of this name; empty: of any name, for folders made by gazekit.
    """
    for path in folder.glob(f".{glob.escape(of)}*{PARTIAL}"):
        if of and whole_name(path.name) != of:
            continue
        with suppress(OSError):
            about = path.lstat()
            if now - about.st_mtime <= _STALE:
                continue
            if stat.S_ISREG(about.st_mode):
                path.unlink()
            elif stat.S_ISDIR(about.st_mode):
                shutil.rmtree(path)


def whole_name(name: str) -> str:
    """Return the final name of a partial file: ``run.json.0a1b2c3d.partial`` → ``run.json``."""
    if not name.endswith(PARTIAL):
        return name
    plain = name.removeprefix(".").removesuffix(PARTIAL)
    stem, dot, token = plain.rpartition(".")
    return stem if dot and len(token) == 8 and set(token) <= set("0123456789abcdef") else plain


def sync_file(path: Path) -> None:
    """Sync a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
