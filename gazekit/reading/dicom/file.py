"""Open DICOM files that may be damaged or hostile: one grey image of a plausible size, or a clear error."""

import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from gazekit.errors import DataError
from gazekit.reading.content import PREAMBLE, opened, with_preamble
from gazekit.reading.dicom.functional_groups import FUNCTIONAL_GROUPS, lift_functional_groups
from gazekit.reading.limits import MOST_BYTES, check_bytes, check_pixels

_IMAGE = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel")
_GREY = (
    *("HighBit", "PlanarConfiguration", "NumberOfFrames", "PhotometricInterpretation"),
    *(
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "ModalityLUTSequence",
        "RescaleSlope",
        "RescaleIntercept",
    ),
    *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"),
)
_ABOUT = (*("ImageLaterality", "Laterality", "PixelSpacing", "ImagerPixelSpacing", "Modality"),)
_WORDS = ("PhotometricInterpretation", "VOILUTFunction", "ImageLaterality", "Laterality")
_PIXELS = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_OVERLAY_BITS = tuple(BaseTag(group << 16 | 0x0102) for group in range(0x6000, 0x6020, 2))
"""OverlayBitPosition of each of sixteen overlays. Source: DICOM PS3.3 C.9.2."""
_UNCOMPRESSED: dict[tuple[bool | None, bool | None], UID] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
"""(implicit value representation, little-endian) → transfer syntax."""


def open_dicom(path: Path) -> Dataset:
    """Read the tags and undecoded pixel data of one grey image; skip patients' names and dates.

    Raises:
        DataError: the file is missing, damaged, not DICOM, not one grey image, or too large.
    """
    with damage(path, "cannot be read as DICOM"):
        dataset = _read(path, (*_IMAGE, *_GREY, *_ABOUT, *_PIXELS, *_OVERLAY_BITS, *FUNCTIONAL_GROUPS))
        _drop_empty(dataset)
        lift_functional_groups(dataset)
        _spell_words(dataset)
        _complete_grey_scale(dataset)
        _check_is_grey_image(dataset, path)
    return dataset


def overlay_bits(dataset: Dataset) -> int:
    """Return a mask of the bits in a pixel cell that the header assigns to overlays."""
    positions = (int(dataset[tag].value) for tag in _OVERLAY_BITS if tag in dataset)
    return sum({1 << at for at in positions if 0 < at < 16})  # 0: the overlay is stored separately


def open_tags(path: Path, tags: Sequence[str]) -> Dataset:
    """Read only these tags of a DICOM file. Raises: DataError."""
    with damage(path, "cannot be read as DICOM"):
        return _read(path, tags)


def text_of(dataset: Dataset, name: str) -> str:
    """Return a value as text without spaces around it; empty if there is none."""
    return str(dataset.get(name) or "").strip()


def printable(value: object) -> str:
    """Shorten a value of a possibly damaged file to fit into a one-line message."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))[:60]


@contextmanager
def damage(path: Path, what: str) -> Iterator[None]:
    """Turn any exception of pydicom or a decoder into a DataError that names no patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings may quote patients' names
        try:
            yield
        except DataError as error:
            raise error if str(path) in str(error) else DataError(f"{path}: {error}") from None
        except MemoryError:
            raise DataError(f"{path}: {what}: it needs more memory than available, or claims to") from None
        except Exception as error:
            raise DataError(
                f"{path}: {what} ({type(error).__name__}); it is damaged or truncated; "
                "copy it again from its source"
            ) from None


def _read(path: Path, tags: Iterable[str | BaseTag]) -> Dataset:
    # a missing end of file is only a warning to pydicom
    with warnings.catch_warnings(record=True) as caught, opened(path) as content:
        warnings.simplefilter("always")
        file = with_preamble(content)
        if file is None:
            raise DataError(
                f"{path}: not a DICOM file (no DICM prefix); export it again as DICOM, PNG or NPY"
            )
        file.seek(len(PREAMBLE))
        meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 0x0002)
        if meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            raise DataError(
                f"{path}: a DICOMDIR, which only indexes other files; give those files, or the folder that they are in"
            )
        is_deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        file.seek(0)
        whole = _inflated(path, file, meta) if is_deflated else file
        dataset = pydicom.dcmread(whole, specific_tags=[Tag(tag) for tag in tags])
    if any("End of file" in str(warning.message) for warning in caught):
        raise DataError(f"{path}: the DICOM file is truncated; copy it again from its source")
    return dataset


def _inflated(path: Path, file: BinaryIO, meta: Dataset) -> BytesIO:
    """Inflate a deflated file, with a limit: a few kilobytes can inflate to gigabytes."""
    # the prefix, the element with the length of the file meta information, and that information
    file.seek(len(PREAMBLE) + 12 + meta.FileMetaInformationGroupLength)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflate.decompress(file.read(), MOST_BYTES + 1)
    check_bytes(path, len(content))
    if not inflate.eof:
        raise DataError(f"{path}: the deflated DICOM file is truncated; copy it again from its source")
    plain = FileMetaDataset()
    plain.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    buffer.write(PREAMBLE)
    write_file_meta_info(DicomIO(buffer), plain, enforce_standard=False)
    buffer.write(content)
    buffer.seek(0)
    return buffer


def _drop_empty(dataset: Dataset) -> None:
    """Delete elements without a value, and sequence items that are left empty: empty means absent."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value or ():
                _drop_empty(item)
            element.value = [item for item in element.value or () if len(item)]
        if element.is_empty:
            del dataset[element.tag]


def _spell_words(dataset: Dataset) -> None:
    """Write words in capitals, as they must be, without the blanks around them. Source: DICOM PS3.5 6.2, CS."""
    for name in _WORDS:
        if isinstance(dataset.get(name), str):
            setattr(dataset, name, text_of(dataset, name).upper())


def _complete_grey_scale(dataset: Dataset) -> None:
    """Drop empty tables; complete a slope without an intercept and an intercept without a slope."""
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        if name in dataset:
            tables = [item for item in dataset[name].value if "LUTDescriptor" in item and "LUTData" in item]
            dataset[name].value = tables
            if not tables:
                del dataset[name]
    if "RescaleSlope" in dataset or "RescaleIntercept" in dataset:
        dataset.RescaleSlope = dataset.get("RescaleSlope") or 1  # 0 would make every pixel the same grey
        dataset.RescaleIntercept = dataset.get("RescaleIntercept", 0)


def _check_is_grey_image(dataset: Dataset, path: Path) -> None:
    if "PixelData" not in dataset:
        raise DataError(
            f"{path}: the DICOM file has no pixel data (or is truncated before it); expected one grey image"
        )
    if not dataset.file_meta.get("TransferSyntaxUID"):
        if dataset["PixelData"].is_undefined_length:
            raise DataError(
                f"{path}: the pixel data is compressed, and no file meta names the transfer syntax; "
                "export the file again"
            )
        dataset.file_meta.TransferSyntaxUID = _UNCOMPRESSED[dataset.original_encoding]
    missing = [name for name in (*_IMAGE, "PhotometricInterpretation") if dataset.get(name) in (None, "")]
    if missing:
        raise DataError(f"{path}: the DICOM file lacks {', '.join(missing)}, without which it has no image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: the DICOM file holds {frames} frames; expected one; export single images")
    photometric = str(dataset.PhotometricInterpretation)
    if dataset.SamplesPerPixel != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(
            f"{path}: the DICOM image is in colour ({printable(photometric)}); expected MONOCHROME1 or 2"
        )
    if dataset.BitsAllocated not in (1, 8, 16):
        raise DataError(f"{path}: {dataset.BitsAllocated} bits per pixel; expected 1, 8 or 16")
    if not 1 <= dataset.BitsStored <= dataset.BitsAllocated:
        raise DataError(
            f"{path}: BitsStored is {dataset.BitsStored}; expected 1 to {dataset.BitsAllocated} (BitsAllocated)"
        )
    check_pixels(path, int(dataset.Rows), int(dataset.Columns))
