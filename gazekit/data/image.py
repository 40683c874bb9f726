"""Image files of any supported format to images in [0, 1]."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gazekit.data.dicom import read_dicom
from gazekit.data.raw_image import RawImage
from gazekit.errors import DataError

FORMATS = ("PNG", "TIFF", "JPEG")
BIT_DEPTHS = (8, 10, 12, 14, 16)
_DICOM_SUFFIXES = (".dcm", ".dicom")
_NPY = b"\x93NUMPY"


def read_image(path: Path) -> RawImage:
    """Read one grey image: DICOM, PNG, TIFF, JPEG or NPY, told apart by content.

    Whole numbers are scaled by the depth of the data and not of the type: divided by ``2^b - 1`` with the
    least b of 8, 10, 12, 14 and 16 that holds the largest value, for files called 16 bit hold 12-bit
    values as often as not. Truth values and real numbers within [0, 1] stay; other numbers are mapped
    from their range.

    Args:
        path: the file.

    Raises:
        DataError: the file is missing, damaged, of another format, or not one grey image.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such image file; check the table of exams") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); expected an image file") from None
    if head[128:] == b"DICM" or path.suffix.lower() in _DICOM_SUFFIXES:
        return read_dicom(path)
    values = _read_array(path) if head.startswith(_NPY) else _read_picture(path)
    return RawImage(_scale(_grey(values, path), path))


def _read_array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise DataError(f"{path}: the NPY file is damaged or holds objects; save a plain array") from None
    return values


def _read_picture(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            frames = getattr(picture, "n_frames", 1)
            if frames != 1:
                raise DataError(f"{path}: holds {frames} pages; expected one image; save them one by one")
            return np.asarray(picture.convert("RGB") if picture.mode in ("P", "RGBA", "LA") else picture)
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a DICOM, PNG, TIFF, JPEG or NPY file; convert it first") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more pixels than an image of this field has; expected one image") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        raise DataError(f"{path}: the image is damaged or truncated; copy it again from its source") from None


def _grey(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if values.ndim == 3 and values.shape[2] == 3:
        if not (values == values[:, :, :1]).all():
            raise DataError(f"{path}: the image is in colour; expected grey; convert it first")
        values = values[:, :, 0]
    if values.ndim != 2 or values.size == 0:
        shape = " x ".join(map(str, values.shape))
        raise DataError(f"{path}: an array of {shape}; expected one grey image, height x width")
    return values


def _scale(values: NDArray[Any], path: Path) -> NDArray[np.float32]:
    if values.dtype == bool:
        return values.astype(np.float32)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{path}: values of type {values.dtype}; expected whole or real numbers")
    low, high = values.min(), values.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise DataError(f"{path}: NaN or infinite pixel values; expected finite ones")
    depth = next((bits for bits in BIT_DEPTHS if high < 2**bits), None)
    if values.dtype.kind != "f" and low >= 0 and depth is not None:
        return (values / np.float32(2**depth - 1)).astype(np.float32)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return values.astype(np.float32)
    span = float(high) - float(low)
    return ((values - float(low)) / (span or 1.0)).astype(np.float32)
