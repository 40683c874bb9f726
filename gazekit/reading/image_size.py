"""Read the size of an image from the head of its file, without decoding pixels."""

import warnings
from pathlib import Path

from PIL import Image

from gazekit.errors import DataError
from gazekit.reading.content import array_header, is_array, is_dicom, opened
from gazekit.reading.dicom.file import open_tags
from gazekit.reading.image import FORMATS


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width in pixels of a DICOM, PNG, TIFF, JPEG or NPY file, told apart by content.

    Args:
        path: the file; its pixels are not checked.

    Raises:
        DataError: the file is missing, or its head gives no size.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns about decoding large images; nothing is decoded here
            warnings.simplefilter("ignore")
            size = _of_dicom(path) if is_dicom(path) else _of_picture(path)
    except DataError:
        raise
    except Exception as error:  # a parser may raise anything on a damaged head
        raise DataError(
            f"{path}: its size cannot be read ({type(error).__name__}); expected a DICOM, PNG, TIFF, JPEG, PGM or NPY "
            "image"
        ) from None
    if min(size) < 1:
        raise DataError(f"{path}: an image of {size[0]} x {size[1]} pixels; expected at least one")
    return size


def _of_dicom(path: Path) -> tuple[int, int]:
    tags = open_tags(path, ("Rows", "Columns"))
    return int(tags.Rows), int(tags.Columns)


def _of_picture(path: Path) -> tuple[int, int]:
    with opened(path) as file:
        if not is_array(file):
            with Image.open(file, formats=FORMATS) as picture:
                return picture.height, picture.width
        (height, width, *_), _ = array_header(file)
        return height, width
