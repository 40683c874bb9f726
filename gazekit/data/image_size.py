"""The size of an image without its pixels, from the head of its file."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from gazekit.data.image import FORMATS
from gazekit.errors import DataError


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of a DICOM, PNG, TIFF, JPEG or NPY file, told apart by content.

    Args:
        path: the file; that its pixels can be read is not checked.

    Raises:
        DataError: the file is missing, or its head says no size.
    """
    try:
        with path.open("rb") as file:
            head = file.read(132)
        with warnings.catch_warnings():
            # pydicom's warnings may quote patients' names; Pillow's concern the decoding of large images
            warnings.simplefilter("ignore")
            size = _of_array(path) if head.startswith(b"\x93NUMPY") else _of_picture(path, head)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such image file; check the table of exams") from None
    except Exception as error:  # a parser may raise anything on a damaged head
        raise DataError(
            f"{path}: its size cannot be read ({type(error).__name__}); expected a DICOM, PNG, TIFF, JPEG or NPY image"
        ) from None
    if min(size) < 1:
        raise DataError(f"{path}: an image of {size[0]} x {size[1]} pixels; expected at least one")
    return size


def _of_array(path: Path) -> tuple[int, int]:
    height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
    return int(height), int(width)


def _of_picture(path: Path, head: bytes) -> tuple[int, int]:
    if head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom"):
        tags = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(tags.Rows), int(tags.Columns)
    with Image.open(path, formats=FORMATS) as picture:
        return picture.height, picture.width
