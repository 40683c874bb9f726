"""Decode RLE frames of DICOM; ``pylibjpeg-rle`` decodes the segments.

The frame decoder of that package panics if a damaged segment holds more than the image, and a panic cannot be caught
quietly. Here a segment that holds less than the image, or a row or column more, is an error; less is padding.
"""

import numpy as np
from rle.rle import decode_segment

from gazekit.errors import DataError
from gazekit.records.arrays import Array

_HEADER = 64
_LONGEST = 3
"""Maximum bytes of a segment per decoded byte: a run of one takes 2."""


def decode_rle(frame: bytes, rows: int, columns: int, dtype: str) -> Array:
    """Decode one frame of one sample per pixel to ``[rows, columns]``.

    Args:
        frame: 16 numbers of 32 bits (the number of segments and their offsets), then the segments, most significant
            bytes first.
        dtype: type of the values, such as ``"<u2"``.

    Raises:
        DataError: the frame holds more rows or columns.
        ValueError: the frame is damaged.

    Source: DICOM PS3.5, annex G.
    """
    pixels, segments = rows * columns, np.dtype(dtype).itemsize
    header = np.frombuffer(frame[:_HEADER], dtype="<u4")
    if len(header) < _HEADER // 4 or header[0] != segments:
        raise ValueError(f"an RLE frame without the {segments} segments of its values")
    starts = [*header[1 : 1 + segments].tolist(), len(frame)]
    planes = np.empty((pixels, segments), dtype=np.uint8)  # little-endian: the first segment comes last
    for number in range(segments):
        segment = frame[starts[number] : starts[number + 1]][: _LONGEST * pixels]
        decoded = decode_segment(segment) if segment else b""
        if len(decoded) < pixels:
            raise ValueError(f"segment {number + 1} holds {len(decoded)} of {pixels} bytes")
        if len(decoded) >= pixels + min(rows, columns):
            raise DataError(
                f"the compressed image has {len(decoded)} values, more than Rows x Columns ({rows} x {columns}); "
                "expected as many; export the file again"
            )
        planes[:, segments - 1 - number] = np.frombuffer(decoded, dtype=np.uint8)[:pixels]
    return planes.view(dtype).reshape(rows, columns)
