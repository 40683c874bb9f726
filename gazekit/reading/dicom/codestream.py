"""Read the frames and the size that compressed pixel data claims by itself, which may differ from the DICOM tags.

A decoder allocates memory by this header, and drops bits that the tags leave no room for, so it is compared with the
tags before decoding. Only the codestream of the transfer syntax is looked for, and only at the start of a frame: in ten
megabytes of other data every marker occurs by chance.
"""

from io import BytesIO
from itertools import pairwise

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

ClaimedSize = tuple[int, int, int, int]
"""Height, width, components and bits of a value."""

_JPEG = {
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1),
    *(JPEGLSLossless, JPEGLSNearLossless),
}
_JPEG_2000 = {
    *(JPEG2000, JPEG2000Lossless, JPEG2000MC, JPEG2000MCLossless),
    *(HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL),
}
_START_OF_IMAGE = b"\xff\xd8"
_START_AND_SIZE = b"\xff\x4f\xff\x51"
_SIGNATURE_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODESTREAM_BOX = b"jp2c"
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Start of frame of every JPEG process, and of JPEG-LS (0xF7). Source: ITU-T T.81 table B.1, T.87 C.1.1."""


def frames_held(dataset: Dataset) -> int:
    """Count the frames of encapsulated pixel data: by its offset table, else the fragments that begin as the first.

    A frame may go on in further fragments, but those do not begin with the start of an image.

    Source: DICOM PS3.5 A.4.
    """
    pixel_data = BytesIO(dataset.PixelData)
    if offsets := parse_basic_offsets(pixel_data):
        return len(offsets)
    starts = [fragment[:4] for fragment in generate_fragments(pixel_data)]
    return sum(start == starts[0] for start in starts)


def claimed_size(frame: bytes, transfer_syntax: str) -> ClaimedSize | None:
    """Return the size in the header of a JPEG, JPEG-LS or JPEG 2000 frame; None if it states none.

    Args:
        frame: the first frame, or its beginning.
        transfer_syntax: unique identifier; the result is None for one without an image header (RLE, uncompressed).

    Source: ITU-T T.81 B.2.2 (SOF), T.800 A.5.1 (SIZ) and I.4 (the boxes of a JP2 file).
    """
    if transfer_syntax in _JPEG_2000:
        at = _after_boxes(frame) if frame.startswith(_SIGNATURE_BOX) else 0
        is_codestream = frame[at : at + len(_START_AND_SIZE)] == _START_AND_SIZE
        return _of_siz(frame[at + 2 : at + 43]) if is_codestream else None
    if transfer_syntax in _JPEG and frame.startswith(_START_OF_IMAGE):
        return _of_frame(frame)
    return None


def _after_boxes(frame: bytes) -> int:
    """Find the codestream of a JP2 file by walking its boxes; the end of the data if there is none.

    A box consists of its length (these eight bytes included), its type and its content. Length 1 means that an
    eight-byte length follows the type; length 0 means the rest of the file.
    """
    at = 0
    while at + 8 <= len(frame):
        length, kind, head = int.from_bytes(frame[at : at + 4]), frame[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(frame[at + 8 : at + 16]), 16
        if kind == _CODESTREAM_BOX:
            return at + head
        if length < head:
            break
        at += length
    return len(frame)


def _of_siz(segment: bytes) -> ClaimedSize | None:
    """Read a SIZ segment: length, profile, corners of the grid, tiles, components, bits less one (and the sign)."""
    if len(segment) < 41:
        return None
    right, bottom, left, top = (int.from_bytes(segment[i : i + 4]) for i in range(6, 22, 4))
    return bottom - top, right - left, int.from_bytes(segment[38:40]), segment[40] % 128 + 1


def _of_frame(codestream: bytes) -> ClaimedSize | None:
    """Walk the segments up to the start of frame: length, precision, height, width, components."""
    at = 2
    while at + 10 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in _FRAME_MARKERS:
            height, width = (int.from_bytes(codestream[at + i : at + j]) for i, j in pairwise((5, 7, 9)))
            is_said = height > 0 and width > 0  # 0: a later segment states it
            return (height, width, codestream[at + 9], codestream[at + 4]) if is_said else None
        # a fill byte stands alone; a segment states its length
        at += 1 if marker == 0xFF else 2 + int.from_bytes(codestream[at + 2 : at + 4])
    return None
