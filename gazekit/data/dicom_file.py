"""Opening DICOM files that may be damaged or hostile: one grey image, of a size that can be, or a clear error."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from gazekit.data.image_limits import MOST_BYTES, check_bytes, check_pixels
from gazekit.errors import DataError

PREFIX = b"DICM"
PREFIX_AT = 128

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
_ABOUT = (
    *("ImageLaterality", "Laterality", "ViewCodeSequence", "ViewPosition", "PixelSpacing"),
    *("ImagerPixelSpacing", "Modality"),
)
_WHOSE = ("PatientID", "StudyInstanceUID", "StudyDate")
_PIXELS = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def open_dicom(path: Path) -> Any:
    """Read the tags and the undecoded pixel data of one grey image; patients' names and dates are skipped.

    Raises:
        DataError: the file is missing, damaged, not DICOM, not one grey image, or larger than any image.
    """
    with damage(path, "cannot be read as DICOM"):
        dataset = _read(path, (*_IMAGE, *_GREY, *_ABOUT, *_PIXELS))
        _check_is_grey_image(dataset, path)
    return dataset


def open_identity(path: Path) -> Any:
    """The tags that say which view an image is, its size, whose it is and of which visit. Raises: DataError."""
    return open_tags(path, (*_IMAGE, *_ABOUT, *_WHOSE))


def open_tags(path: Path, tags: tuple[str, ...]) -> Any:
    """These tags of a DICOM file and no others. Raises: DataError."""
    with damage(path, "cannot be read as DICOM"):
        return _read(path, tags)


def printable(value: object) -> str:
    """A value of a file that may be damaged, fit for a message of one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))[:60]


@contextmanager
def damage(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a damaged file makes pydicom or a decoder raise into a DataError that names no patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings may quote patients' names
        try:
            yield
        except DataError:
            raise
        except MemoryError:
            raise DataError(f"{path}: {what}: it needs more memory than there is, or claims to") from None
        except Exception as error:
            raise DataError(
                f"{path}: {what} ({type(error).__name__}); it is damaged or truncated; "
                "copy it again from its source"
            ) from None


def _read(path: Path, tags: tuple[str, ...]) -> Any:
    # a missing end of file is only a warning to pydicom
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_bytes(path, path.stat().st_size)
            meta = read_file_meta_info(path)
            deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            source = _inflated(path, meta) if deflated else path
            dataset = pydicom.dcmread(source, specific_tags=list(tags))
        except FileNotFoundError:
            raise DataError(f"{path}: there is no such file; expected a DICOM image") from None
        except InvalidDicomError:
            raise DataError(
                f"{path}: not a DICOM file (no DICM prefix); export it again as DICOM, PNG or NPY"
            ) from None
    if any("End of file" in str(warning.message) for warning in caught):
        raise DataError(f"{path}: the DICOM file is truncated; copy it again from its source")
    return dataset


def _inflated(path: Path, meta: Any) -> BytesIO:
    """A deflated file as a plain one, its growth bounded: a few kilobytes may inflate to gigabytes."""
    # the prefix, the element that holds the length of the file meta information, and that information
    start = PREFIX_AT + len(PREFIX) + 12 + meta.FileMetaInformationGroupLength
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflate.decompress(path.read_bytes()[start:], MOST_BYTES + 1)
    check_bytes(path, len(content))
    if not inflate.eof:
        raise DataError(f"{path}: the deflated DICOM file is truncated; copy it again from its source")
    plain = FileMetaDataset()
    plain.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    buffer.write(bytes(PREFIX_AT) + PREFIX)
    write_file_meta_info(buffer, plain, enforce_standard=False)
    buffer.write(content)
    buffer.seek(0)
    return buffer


def _check_is_grey_image(dataset: Any, path: Path) -> None:
    if "PixelData" not in dataset:
        raise DataError(
            f"{path}: the DICOM file has no pixel data (or is truncated before it); expected one grey image"
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise DataError(f"{path}: the DICOM file meta names no transfer syntax; export the file again")
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
    if dataset.BitsAllocated > 16:
        raise DataError(f"{path}: {dataset.BitsAllocated} bits per pixel; at most 16 are supported")
    check_pixels(path, int(dataset.Rows), int(dataset.Columns))
