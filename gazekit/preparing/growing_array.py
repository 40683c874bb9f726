"""Write an ``.npy`` file that grows by rows and is valid once closed.

NumPy pads the header so that the number of rows can be rewritten in place. Rows are written, not mapped:
a full disk then raises an error that can be reported, not a bus error.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gazekit.disk.atomic import disk_errors, opened_to_change


class GrowingArray:
    """An array ``[N, …]`` on disk to which rows are appended.

    Args:
        path: the file; existing rows stay.
        shape: of one row.
        dtype: of its values.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.row_bytes = int(np.prod(shape)) * dtype.itemsize
        with disk_errors(path):
            self._file = opened_to_change(path)
        written = path.stat().st_size - len(self._header(0))
        self.rows = max(written // self.row_bytes, 0)

    def row(self, number: int) -> NDArray[Any]:
        """Read a written row."""
        with disk_errors(self.path):
            self._file.seek(len(self._header(0)) + number * self.row_bytes)
            content = bytearray(self.row_bytes)
            view = memoryview(content)
            while view and (count := self._file.readinto(view)):
                view = view[count:]
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape)

    def keep(self, rows: int) -> None:
        """Drop all rows after the first ``rows``, complete or torn."""
        self.rows = rows
        with disk_errors(self.path):
            self._file.seek(0)
            self._write(self._header(rows))
            self._file.truncate(self._end())

    def append(self, row: NDArray[Any]) -> None:
        """Append one row. Raises: StorageError if the disk is full."""
        with disk_errors(self.path):
            self._file.seek(self._end())
            self._write(np.ascontiguousarray(row, dtype=self.dtype).tobytes())
        self.rows += 1

    def close(self) -> None:
        """Write the number of rows into the header and close the file."""
        with disk_errors(self.path), self._file:
            self._file.seek(0)
            self._write(self._header(self.rows))

    def abandon(self) -> None:
        """Close the file without updating the header."""
        self._file.close()

    def _end(self) -> int:
        return len(self._header(self.rows)) + self.rows * self.row_bytes

    def _header(self, rows: int) -> bytes:
        buffer = BytesIO()
        description = npy.dtype_to_descr(self.dtype)
        shape = (rows, *self.shape)
        npy.write_array_header_1_0(buffer, {"descr": description, "fortran_order": False, "shape": shape})
        return buffer.getvalue()

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:  # an unbuffered write may be partial
            view = view[self._file.write(view) :]
