"""Image files of any supported format to images in [0, 1]."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gazekit.data.dicom import ImageHeader, read_dicom, read_image_header
from gazekit.data.dicom_file import PREFIX, PREFIX_AT
from gazekit.data.image_limits import check_bytes, check_pixels
from gazekit.data.raw_image import RawImage
from gazekit.data.window import FIRST, RANGE, Choice
from gazekit.errors import DataError

FORMATS = ("PNG", "TIFF", "JPEG")
BIT_DEPTHS = (8, 10, 12, 14, 16)
_DICOM_SUFFIXES = (".dcm", ".dicom")


def read_image(path: Path, window: Choice = FIRST) -> RawImage:
    """Read one grey image: DICOM, PNG, TIFF, JPEG or NPY, told apart by content.

    Whole numbers are scaled by the depth of the data and not of the type: divided by ``2^b - 1`` with the
    least b of 8, 10, 12, 14 and 16 that holds the largest value, for files called 16 bit hold 12-bit
    values as often as not. Truth values and real numbers within [0, 1] stay; other numbers are mapped
    from their range.

    Args:
        path: the file.
        window: of a DICOM file, which of its windows; of any other, its range or a (centre, width).

    Raises:
        DataError: the file is missing, damaged, of another format, not one grey image, larger than any image
            of the field, or without the chosen window.
    """
    path = Path(path)
    if is_dicom(path):
        return read_dicom(path, window)
    with path.open("rb") as file:
        is_array = file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
    check_bytes(path, path.stat().st_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of readers, on oddities that do not matter or end in an error
        values = _grey(_read_array(path) if is_array else _read_picture(path), path)
    return RawImage(stored=values, pixels=_scale(values, window, path))


def image_header(path: Path) -> ImageHeader | None:
    """What the header of a DICOM file says, without its pixels; None for other formats. Raises: DataError."""
    return read_image_header(path) if is_dicom(path) else None


def is_dicom(path: Path) -> bool:
    """By its prefix, or else its name. Raises: DataError."""
    try:
        with path.open("rb") as file:
            head = file.read(PREFIX_AT + len(PREFIX))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such image file; check the table of exams") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); expected an image file") from None
    return head[PREFIX_AT:] == PREFIX or path.suffix.lower() in _DICOM_SUFFIXES


def _read_array(path: Path) -> NDArray[Any]:
    try:
        shape = _whole_array_shape(path)
        if len(shape) > 1:
            check_pixels(path, *shape[:2])
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except DataError:
        raise
    except Exception:  # of the expression that a header is
        raise DataError(f"{path}: the NPY file is damaged or holds objects; save a plain array") from None
    return values


def _whole_array_shape(path: Path) -> tuple[int, ...]:
    """The shape in the header of an NPY file, which may claim any: it is compared with the size of the file."""
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    with path.open("rb") as file:
        shape, _, dtype = headers[npy.read_magic(file)](file)
        present = path.stat().st_size - file.tell()
    if dtype.hasobject or present < dtype.itemsize * np.prod(shape, dtype=float):
        raise ValueError("objects, or fewer values than the header claims")
    return tuple(shape)


def _read_picture(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            _check_one_page(picture, path)
            return np.asarray(picture.convert("RGB") if picture.mode in ("P", "RGBA", "LA") else picture)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a DICOM, PNG, TIFF, JPEG or NPY file; convert it first") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path}: more pixels than an image of this field has; expected one image") from None
    except Exception:  # Pillow raises whatever its parsing of a damaged header runs into
        raise DataError(f"{path}: the image is damaged or truncated; copy it again from its source") from None


def _check_one_page(picture: Image.Image, path: Path) -> None:
    check_pixels(path, picture.height, picture.width)
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        raise DataError(f"{path}: holds {frames} pages; expected one image; save them one by one")


def _grey(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: values of type {values.dtype}; expected whole or real numbers")
    if values.ndim == 3 and values.shape[2] == 3:
        if not (values == values[:, :, :1]).all():
            raise DataError(f"{path}: the image is in colour; expected grey; convert it first")
        values = values[:, :, 0]
    if values.ndim != 2 or values.size == 0:
        shape = " x ".join(map(str, values.shape))
        raise DataError(f"{path}: an array of {shape}; expected one grey image, height x width")
    return values


def _scale(values: NDArray[Any], window: Choice, path: Path) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise DataError(f"{path}: NaN or infinite pixel values; expected finite ones")
    if isinstance(window, tuple):
        centre, width = window
        low, high = centre - width / 2, centre + width / 2
    elif window == FIRST:
        low, high = _full_scale(values.dtype, low, high)
    elif window != RANGE:
        raise DataError(f"{path}: no window '{window}'; only DICOM files have windows; choose first or range")
    exact = np.float32 if values.itemsize <= 2 else np.float64
    grey = values.astype(exact)
    np.subtract(grey, exact(low), out=grey)
    np.divide(grey, exact(high - low or 1), out=grey)
    return np.asarray(np.clip(grey, 0, 1, out=grey), dtype=np.float32)


def _full_scale(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    """The values that become 0 and 1, from the least and the greatest in the image."""
    if dtype.kind in "bf":
        return (0, 1) if low >= 0 and high <= 1 else (low, high)
    depth = next((bits for bits in BIT_DEPTHS if low >= 0 and high < 2**bits), None)
    return (low, high) if depth is None else (0, 2**depth - 1)
