"""Read DICOM files into images: Modality LUT, VOI LUT, then inversion of MONOCHROME1."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from gazekit.errors import DataError
from gazekit.reading.dicom.codestream import claimed_size, frames_held
from gazekit.reading.dicom.file import damage, open_dicom, printable, text_of
from gazekit.reading.dicom.grey_scale import grey_scale, look_up
from gazekit.reading.dicom.offered_windows import too_narrow
from gazekit.reading.dicom.run_length import decode_rle
from gazekit.reading.dicom.stored_bits import StoredValues, stored_values
from gazekit.reading.window import FIRST, Choice
from gazekit.records.arrays import Array
from gazekit.records.raw_image import RawImage

_DECODERS = (
    dict.fromkeys((JPEG2000, JPEG2000Lossless), "pylibjpeg")
    | dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls")
    | dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "pillow")
)
"""Transfer syntax → pydicom's decoder: the fastest that gazekit always installs (measured, see
``docs/pixels.md``); others are tried only if it fails."""
ALWAYS_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
"""Transfer syntaxes that change values."""
_LOSSY = (*ALWAYS_LOSSY, JPEG2000, JPEG2000MC, HTJ2K)
"""Transfer syntaxes that may change values."""


def read_dicom(path: Path, window: Choice = FIRST) -> RawImage:
    """Read a single-frame grey DICOM image as a display would show it, in [0, 1].

    Args:
        path: a DICOM file of any transfer syntax for which a decoder is installed.
        window: the window or VOI LUT to apply.

    Raises:
        DataError: the file is missing, damaged, not DICOM, not one grey image, larger than any image of the
            field, or without the chosen window.
    """
    dataset = open_dicom(path)
    stored = _decode(dataset, path)
    table = _grey_scale(dataset, stored, window, path)  # [highest - lowest + 1]
    with damage(path, "its tags cannot be read"):
        texts = (_excess(dataset), stored.warning, too_narrow(dataset, window))
        return RawImage(
            stored=stored.values,
            pixels=look_up(table, stored.values),
            laterality=_laterality(dataset),
            pixel_spacing_mm=_spacing(dataset),
            modality=text_of(dataset, "Modality"),
            warnings=tuple(text for text in texts if text),
        )


def read_dicom_values(path: Path) -> tuple[Array, bool]:
    """Read the stored values ``[H, W]`` of a grey DICOM image, and whether its compression may have changed them.

    Raises:
        DataError: as :func:`read_dicom` does, except about windows.
    """
    dataset = open_dicom(path)
    return _decode(dataset, path).values, dataset.file_meta.TransferSyntaxUID in _LOSSY


def _decode(dataset: Dataset, path: Path) -> StoredValues:
    """Decode the stored values, integers of 8 or 16 bits."""
    with damage(path, "its TransferSyntaxUID cannot be read"):
        _check_decoder(dataset, path)
    syntax = dataset.file_meta.TransferSyntaxUID
    with damage(path, f"the pixel data ({_name(syntax)}) cannot be decoded"):
        _check_frames(dataset, path)
        if syntax.is_encapsulated:
            _check_codestream(dataset, path)
        cells = decoded(dataset)
        if cells.shape != (dataset.Rows, dataset.Columns) or cells.itemsize > 2:
            raise DataError(f"{path}: the pixel data does not decode to one image of Rows x Columns")
        as_stored = not syntax.is_encapsulated or syntax == RLELossless
        return stored_values(cells, dataset, has_high_bit=as_stored)


def decoded(dataset: Dataset) -> Array:
    """Decode the pixel data ``[H, W]`` by the first of ``decoders``; the others are tried only if it fails."""
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    if RLELossless == decoder.UID:
        kind = "i" if dataset.PixelRepresentation else "u"
        dtype = f"<{kind}{dataset.BitsAllocated // 8}"
        cells = decode_rle(_first_frame(dataset), dataset.Rows, dataset.Columns, dtype)
    else:
        options: dict[str, Any] = {"correct_unused_bits": False}  # pydicom cuts them off regardless
        try:
            cells, _ = decoder.as_array(dataset, decoding_plugin=_DECODERS.get(decoder.UID, ""), **options)
        except RuntimeError:  # of that decoder
            cells, _ = decoder.as_array(dataset, **options)
    return np.ascontiguousarray(cells, dtype=cells.dtype.newbyteorder("="))


def decoders(syntax: UID) -> tuple[str, ...]:
    """Return the installed decoders of a compressed transfer syntax in the order in which they are tried.

    The first is the same whatever else is installed. For RLE it is the only one.
    """
    if syntax == RLELossless:
        return ("pylibjpeg-rle",)
    first = _DECODERS.get(syntax)
    return tuple(sorted(get_decoder(syntax).available_plugins, key=lambda name: name != first))


def _first_frame(dataset: Dataset) -> bytes:
    return bytes(next(generate_frames(dataset.PixelData, number_of_frames=1)))


def _excess(dataset: Dataset) -> str:
    """Say that uncompressed pixel data holds a row or column more than the image, without a subject; empty if not."""
    rows, columns = dataset.Rows, dataset.Columns
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return ""
    more = len(dataset.PixelData) - get_expected_length(dataset)
    if more < max(2, min(rows, columns) * dataset.BitsAllocated // 8):  # one byte may make the length even
        return ""
    return (
        f"has {more} bytes of pixel data more than Rows x Columns ({rows} x {columns}) need; they are dropped: if the "
        "image looks cut off or slanted, these are wrong"
    )


def _check_decoder(dataset: Dataset, path: Path) -> None:
    """Raise DataError if no decoder is installed for the transfer syntax."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
        raise DataError(
            f"{path}: no decoder for 12-bit lossy JPEG ({syntax.name}); convert the file to JPEG 2000 or uncompressed"
        )
    if not _has_decoder(syntax):
        remedy = "convert the file to JPEG 2000 or uncompressed"
        if syntax in (JPEGLossless, JPEGLosslessSV1):
            remedy = f"install python-gdcm, or {remedy}"
        raise DataError(
            f"{path}: no decoder for its transfer syntax, {_name(syntax)}, is installed; {remedy}"
        )


def _check_frames(dataset: Dataset, path: Path) -> None:
    """Raise DataError if the pixel data holds less than one frame, or several, whatever NumberOfFrames says."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = frames_held(dataset)
    else:
        present, expected = len(dataset.PixelData), get_expected_length(dataset)
        if present < expected:
            raise DataError(
                f"{path}: the pixel data is truncated: {present} of {expected} bytes; copy the file again"
            )
        frames = 1 if present % expected else present // expected
    if frames > 1:
        raise DataError(
            f"{path}: the pixel data holds {frames} frames, more than NumberOfFrames says; expected one; export "
            "single images"
        )


def _check_codestream(dataset: Dataset, path: Path) -> None:
    """Raise DataError if the compressed image claims another size than the tags, or more bits than they allow."""
    claimed = claimed_size(_first_frame(dataset), dataset.file_meta.TransferSyntaxUID)
    tags = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    if claimed is None:
        return
    *size, bits = claimed
    if tuple(size) != tags:
        raise DataError(
            f"{path}: the compressed image claims {size[0]} x {size[1]} x {size[2]} values, the tags "
            f"{tags[0]} x {tags[1]} x {tags[2]}; expected the same; export the file again"
        )
    if bits > dataset.BitsAllocated:
        raise DataError(
            f"{path}: the compressed image has values of {bits} bits, BitsAllocated is {dataset.BitsAllocated}; "
            "expected room for them all; export the file again"
        )


def _has_decoder(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:  # a private or retired transfer syntax
        return False


def _name(syntax: UID) -> str:
    """Name a transfer syntax as the standard does; a private one has only a number."""
    return f"the private {printable(syntax)}" if syntax.is_private else printable(syntax.name)


def _grey_scale(dataset: Dataset, stored: StoredValues, window: Choice, path: Path) -> NDArray[np.float32]:
    with (
        damage(path, "its LUTs (RescaleSlope, WindowCenter, WindowWidth, the sequences) cannot be applied"),
        np.errstate(all="ignore"),
    ):
        return grey_scale(dataset, stored.values, stored.padding, window)


def _laterality(dataset: Dataset) -> str | None:
    for name in ("ImageLaterality", "Laterality"):
        if dataset.get(name) in ("L", "R"):
            return str(dataset.get(name))
    return None


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = dataset.get(name)
        if isinstance(value, Sequence) and len(value) == 2 and "" not in value:
            down, across = map(float, value)
            if 0 < down < math.inf and 0 < across < math.inf:
                return down, across
    return None
