"""Open the content of an image file, unpacked from gzip, and tell whether it is DICOM or NPY."""

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from pydicom.valuerep import VR

from gazekit.disk.regular_file import require_regular_file
from gazekit.errors import DataError
from gazekit.reading.limits import MOST_BYTES, check_bytes

PREFIX = b"DICM"
PREFIX_AT = 128
PREAMBLE = bytes(PREFIX_AT) + PREFIX
DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = (*DICOM_SUFFIXES, ".png", ".tif", ".tiff", ".npy", ".jpg", ".jpeg", ".pgm")
"""Suffixes of image files; each may be followed by ``.gz``."""

_GZIP = b"\x1f\x8b"
_PADDING = b"\0 "
_VRS = frozenset(vr.value.encode() for vr in VR)
_FIRST_GROUPS = (0x0002, 0x0008)
"""Groups that a file may begin with: its file meta information or, if that was cut off, the identifying group."""
_LONGEST_FIRST = 1024
"""Maximum bytes of a data set's first element (ours): a length, a character set or an identifier."""


def has_image_suffix(name: str) -> bool:
    """Whether a file has the suffix of an image: ``a.dcm``, ``a.PNG``, ``a.dcm.gz``."""
    return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def is_dicom_index(path: Path) -> bool:
    """Whether a file is named like the index of a medium, which is DICOM but not an image."""
    return path.name.upper().partition(".")[0] == "DICOMDIR"


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its prefix, its first elements, or else its name. Raises: DataError."""
    head = _head(path)
    named = path.name.lower().removesuffix(".gz").endswith(DICOM_SUFFIXES)
    return _dicom_at(head) is not None or named


def is_array(file: BinaryIO) -> bool:
    """Whether the content of a file, from its start, is NPY; the file stands at its start again."""
    start = file.read(len(npy.MAGIC_PREFIX))
    file.seek(0)
    return start == npy.MAGIC_PREFIX


def array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the shape and the type that an NPY file claims, and stop where its values begin.

    A damaged header may raise any exception.
    """
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = headers[npy.read_magic(file)](file)
    return tuple(shape), np.dtype(dtype)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if necessary, with a limit on the unpacked size. Raises: DataError."""
    with _readable(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        check_bytes(path, size)
        _check_not_empty(path, size)
        if not _is_packed(file):
            yield file
            return
        with _unpacking(path):
            content = GzipFile(fileobj=file).read(MOST_BYTES + 1)  # a few kilobytes can inflate to gigabytes
        check_bytes(path, len(content))
        _check_not_empty(path, len(content))
        yield BytesIO(content)


def _check_not_empty(path: Path, size: int) -> None:
    if size == 0:
        raise DataError(f"{path}: the file is empty; copy it again from its source")


def with_preamble(content: BinaryIO) -> BinaryIO | None:
    """Return DICOM content as a complete file, from its start; None if it is not DICOM.

    Some programs cut off the preamble, or the file meta information too. The data set that is left is recognised by its
    first element; a padding byte of the last value that was cut off may precede it.
    """
    start = _dicom_at(content.read(len(PREAMBLE)))
    content.seek(0)
    if start is None or start == len(PREAMBLE):
        return None if start is None else content
    return BytesIO(PREAMBLE + content.read()[start:])


def _head(path: Path) -> bytes:
    """Read the first bytes, unpacked if necessary."""
    with _readable(path), path.open("rb") as file, _unpacking(path):
        return (GzipFile(fileobj=file) if _is_packed(file) else file).read(len(PREAMBLE))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of a disk, on opening a file and on reading it, into a DataError."""
    try:
        require_regular_file(path)
        yield
    except OSError as error:
        if error.errno is None:  # of a parser
            raise
        if error.errno == errno.ENOENT and not path.is_symlink():
            raise DataError(
                f"{path}: there is no such image file; check its path or the table that names it"
            ) from None
        if isinstance(error, PermissionError):
            raise DataError(f"{path}: cannot be read ({error.strerror}); get permission to read it") from None
        to_nothing = error.errno in (errno.ENOENT, errno.ELOOP)
        found = "is a link to nothing" if to_nothing else f"cannot be read ({error.strerror})"
        raise DataError(f"{path}: {found}; expected an image file; copy it again from its source") from None


def _is_packed(file: BinaryIO) -> bool:
    start = file.read(len(_GZIP))
    file.seek(0)
    return start == _GZIP


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, BadGzipFile, zlib.error):
        raise DataError(
            f"{path}: the gzip file is damaged or truncated; copy it again from its source"
        ) from None


def _dicom_at(head: bytes) -> int | None:
    """Find the start of a DICOM data set, after the preamble if there is one; None if the content is anything else."""
    if head[PREFIX_AT:] == PREFIX:
        return len(PREAMBLE)
    starts = (0, 1) if head[:1] and head[:1] in _PADDING else (0,)
    return next((start for start in starts if _is_first_element(head[start : start + 12])), None)


def _is_first_element(head: bytes) -> bool:
    """Whether these bytes are the tag, value representation (maybe implicit) and length of a first element."""
    if len(head) < 12:
        return False
    for order in "<>":
        group, number = struct.unpack(f"{order}HH", head[:4])
        explicit = head[4:6] in _VRS
        (length,) = (
            struct.unpack(f"{order}H", head[6:8]) if explicit else struct.unpack(f"{order}I", head[4:8])
        )
        if group in _FIRST_GROUPS and number < 0x0100 and length <= _LONGEST_FIRST:
            return True
    return False
