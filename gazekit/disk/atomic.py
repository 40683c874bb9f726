"""Files that are there whole or not at all, and that never go where a link leads.

A folder of ours may come from others. So nothing in it is written through a link: a new file has a name that nobody
could know, comes into being under it, and then replaces what has its name, link or file; what is appended to is a
regular file with no second name; a folder inside is a folder and no link.
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
"""Suffix of what is being written; a name without it is whole."""
_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),  # full, too large, failing
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ETXTBSY),  # not ours to write
    *(
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENXIO,
        errno.EINVAL,
        errno.ENAMETOOLONG,
    ),  # no place for a file
}
_STALE = 3600
"""Seconds after which what was being written is taken for what a kill has left."""


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
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with disk_errors(path, len(data)), beside(path) as temporary:
        write_through(temporary, data)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a new name in the folder of a file; what is written under it takes the file's place in the end.

    Whatever fails within, nothing is left under the new name and the file stays as it was.
    """
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
    """Yield a new folder beside a file, for what will take its place; in the end the folder is gone."""
    folder = _partial(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _partial(path: Path) -> Path:
    """A name beside a file that nobody could know, and that says what it is part of."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def write_through(path: Path, content: bytes) -> None:
    """Write a new file down to the disk. Raises OSError: there is something of that name, a link included."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, down to the disk. Raises StorageError: not possible, or it is no regular file."""
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    with disk_errors(path, len(data)), _opened_at_end(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _opened_at_end(path: Path) -> BinaryIO:
    """Open a regular file to append to it; one that has a second name somewhere is copied first."""
    file = os.fdopen(_descriptor(path, os.O_WRONLY | os.O_APPEND), "ab")
    if os.fstat(file.fileno()).st_nlink == 1:
        return file
    file.close()
    write_atomically(path, path.read_bytes())
    return _opened_at_end(path)


def opened_to_change(path: Path) -> io.FileIO:
    """Open a regular file, made if there is none, to read and to write it.

    Raises:
        OSError: it is another thing, or has a second name somewhere.
    """
    file = io.FileIO(_descriptor(path, os.O_RDWR), "r+")
    if os.fstat(file.fileno()).st_nlink == 1:
        return file
    file.close()
    raise OSError(
        errno.EINVAL, "The file has a second name (a hard link), and would change there too", str(path)
    )


def _descriptor(path: Path, flags: int) -> int:
    """Open without following a link, and without waiting for the other end of a pipe."""
    flags |= os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def own_folder(path: Path) -> Path:
    """Make a folder inside one of ours, or check the one that is there.

    Raises:
        DataError: it is a link or no folder: what is written or removed in it would be so elsewhere.
        StorageError: it cannot be made.
    """
    with disk_errors(path), suppress(FileExistsError):
        path.mkdir(parents=True)
    check_folder(path)
    return path


def check_folder(path: Path) -> None:
    """Raise DataError if a folder inside one of ours is a link or no folder; one that is not there is fine."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise DataError(
            f"{path}: is {'a link' if path.is_symlink() else 'no folder'}; expected a folder, which gazekit makes "
            "itself; nothing in it was changed; remove it"
        )


def empty_folder(folder: Path, *, but: str) -> None:
    """Remove everything from a folder but one name; links are removed and not followed. Raises StorageError."""
    with disk_errors(folder):
        for path in folder.iterdir():
            if path.name == but:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def forget_partial(folder: Path, *, now: float, of: str = "") -> None:
    """Remove what processes that were killed an hour ago or earlier were writing.

    Args:
        folder: that they were writing into.
        now: seconds since the epoch.
        of: the name of the file that was being written; empty: any, in a folder of ours.
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
    """The name that a file will have, of one that is being written: ``.run.json.0a1b2c3d.partial`` → ``run.json``."""
    if not name.endswith(PARTIAL):
        return name
    plain = name.removeprefix(".").removesuffix(PARTIAL)
    stem, dot, token = plain.rpartition(".")
    return stem if dot and len(token) == 8 and set(token) <= set("0123456789abcdef") else plain


def sync_file(path: Path) -> None:
    """Bring what was written into a file down to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
