"""The size that a compressed image claims in its own header, which need not be the one in the DICOM tags.

A decoder allocates by this header, so it is compared with the tags before one is called.
"""

from itertools import pairwise

_JPEG_2000 = b"\xff\x4f\xff\x51"
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Start of frame of every JPEG process, and of JPEG-LS (0xF7). Source: ITU-T T.81 table B.1, T.87 C.1.1."""


def claimed_size(codestream: bytes) -> tuple[int, int, int] | None:
    """Height, width and components as a JPEG, JPEG-LS or JPEG 2000 header has them; None where there is none.

    Args:
        codestream: the first frame, or its beginning.

    Source: ITU-T T.81 B.2.2 (SOF), T.800 A.5.1 (SIZ).
    """
    at = codestream.find(_JPEG_2000)  # after the boxes of a JP2 file, where a writer has left them
    if at >= 0:
        return _of_siz(codestream[at + 2 :])
    return _of_frame(codestream) if codestream[:2] == b"\xff\xd8" else None


def _of_siz(segment: bytes) -> tuple[int, int, int] | None:
    """After the marker: length and profile, then the far corner of the grid and the near one, tiles, components."""
    if len(segment) < 40:
        return None
    right, bottom, left, top = (int.from_bytes(segment[i : i + 4]) for i in range(6, 22, 4))
    return bottom - top, right - left, int.from_bytes(segment[38:40])


def _of_frame(codestream: bytes) -> tuple[int, int, int] | None:
    """From segment to segment up to the start of frame: length, precision, height, width, components."""
    at = 2
    while at + 10 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in _FRAME_MARKERS:
            height, width = (int.from_bytes(codestream[at + i : at + j]) for i, j in pairwise((5, 7, 9)))
            return height, width, codestream[at + 9]
        # a filling byte stands alone, a segment is as long as it says
        at += 1 if marker == 0xFF else 2 + int.from_bytes(codestream[at + 2 : at + 4])
    return None
