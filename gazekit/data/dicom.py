"""DICOM files to images: Modality LUT, VOI LUT, then the inversion of MONOCHROME1."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import get_expected_length

from gazekit.data.grey_scale import grey_scale
from gazekit.data.raw_image import RawImage
from gazekit.errors import DataError

VIEW_CODES = {"R-10242": "CC", "399162004": "CC", "R-10226": "MLO", "399368009": "MLO"}
"""Codes of ViewCodeSequence (SRT and SNOMED CT). Source: DICOM PS3.16, CID 4014."""


def read_dicom(path: Path) -> RawImage:
    """Read a single-frame grey DICOM image as a display would show it, in [0, 1].

    Args:
        path: a DICOM file of any transfer syntax for which a decoder is installed.

    Raises:
        DataError: the file is missing, damaged, not DICOM, or not one grey image.
    """
    dataset = _read(path)
    _check_is_grey_image(dataset, path)
    stored = _decode(dataset, path)
    lowest = int(stored.min())
    table = _grey_scale(dataset, stored, path)  # [highest - lowest + 1]
    return RawImage(
        pixels=table[stored.astype(np.int32) - lowest],  # [H, W]
        laterality=_laterality(dataset),
        view=_view(dataset),
        pixel_spacing_mm=_spacing(dataset),
    )


def _read(path: Path) -> Any:
    # pydicom's warnings may quote patients' names, and a missing end of file is only a warning to it
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = pydicom.dcmread(path)
        except FileNotFoundError:
            raise DataError(f"{path}: there is no such file; expected a DICOM image") from None
        except InvalidDicomError:
            raise DataError(f"{path}: not a DICOM file (no DICM prefix); give DICOM, PNG or NPY") from None
        except Exception as error:
            raise DataError(
                f"{path}: cannot be read as DICOM ({type(error).__name__}); it is damaged or truncated; "
                "copy it again from its source"
            ) from None
    if any("End of file" in str(warning.message) for warning in caught):
        raise DataError(f"{path}: the DICOM file is truncated; copy it again from its source")
    return dataset


def _check_is_grey_image(dataset: Any, path: Path) -> None:
    if "PixelData" not in dataset:
        raise DataError(
            f"{path}: the DICOM file has no pixel data (or is truncated before it); expected one grey image"
        )
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise DataError(f"{path}: the DICOM file meta names no transfer syntax; export the file again")
    needed = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel")
    missing = [name for name in (*needed, "PhotometricInterpretation") if dataset.get(name) in (None, "")]
    if missing:
        raise DataError(f"{path}: the DICOM file lacks {', '.join(missing)}, without which it has no image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: the DICOM file holds {frames} frames; expected one; export single images")
    photometric = str(dataset.PhotometricInterpretation)
    if dataset.SamplesPerPixel != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(f"{path}: the DICOM image is in colour ({photometric}); expected MONOCHROME1 or 2")
    if dataset.BitsAllocated > 16:
        raise DataError(f"{path}: {dataset.BitsAllocated} bits per pixel; at most 16 are supported")


def _decode(dataset: Any, path: Path) -> NDArray[Any]:
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        present, expected = len(dataset.PixelData), get_expected_length(dataset)
        if present < expected:
            raise DataError(
                f"{path}: the pixel data is truncated: {present} of {expected} bytes; copy the file again"
            )
    elif not _has_decoder(syntax):
        raise DataError(
            f"{path}: no decoder for its transfer syntax, {syntax.name}, is installed; install python-gdcm, "
            "or convert the file to JPEG 2000 or uncompressed"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored: NDArray[Any] = dataset.pixel_array  # [H, W]
    except Exception as error:
        raise DataError(
            f"{path}: the pixel data ({syntax.name}) cannot be decoded ({type(error).__name__}); it is "
            "damaged or of a variant that the installed decoders do not know"
        ) from None
    return stored


def _has_decoder(syntax: Any) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:  # a private or retired transfer syntax
        return False


def _grey_scale(dataset: Any, stored: NDArray[Any], path: Path) -> NDArray[np.float32]:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return grey_scale(dataset, stored)
    except Exception as error:
        raise DataError(
            f"{path}: the Modality or VOI LUT of the DICOM file cannot be applied ({type(error).__name__}); "
            "check RescaleSlope, WindowCenter, WindowWidth and the LUT sequences"
        ) from None


def _laterality(dataset: Any) -> str | None:
    for name in ("ImageLaterality", "Laterality"):
        if dataset.get(name) in ("L", "R"):
            return str(dataset.get(name))
    return None


def _view(dataset: Any) -> str | None:
    codes = dataset.get("ViewCodeSequence") or ()
    coded = next((VIEW_CODES[code.CodeValue] for code in codes if code.get("CodeValue") in VIEW_CODES), None)
    return coded or str(dataset.get("ViewPosition") or "").strip().upper() or None


def _spacing(dataset: Any) -> tuple[float, float] | None:
    value = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    if not value or len(value) != 2 or not all(side > 0 for side in value):
        return None
    return float(value[0]), float(value[1])
