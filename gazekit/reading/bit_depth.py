"""How many bits the whole numbers of a data set use, where their files do not say it.

A file of 16 bits may hold values of 12, and its brightest pixel does not tell: guessed image by image, the scale would
differ between two images of one data set. So it is one for all, the least that holds every image.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from gazekit.errors import DataError
from gazekit.reading.content import is_dicom, opened
from gazekit.reading.image import BIT_DEPTHS, FORMATS, least_depth, read_picture
from gazekit.reading.parallel import LIMITS, ordered_map


def find_depth(paths: Sequence[Path], jobs: int) -> int | None:
    """The least depth that holds every image; None where no image needs one (DICOM, 8 bits, real numbers).

    Images that may need one are decoded in child processes, up to the first that needs all 16 bits; the heads of the
    others are read. An image that cannot be read does not count: the preparation will say why.

    Args:
        paths: image files of any format, there or not.
        jobs: child processes; 0 works in this one.
    """
    deep = [path for path in paths if _may_need_depth(path)]
    found = None
    with closing(ordered_map(largest_value, deep, jobs=jobs, limits=LIMITS, lost=lambda *_: None)) as results:
        for largest in results:
            if largest is not None:
                found = max(found or 0, least_depth(largest))
            if found == BIT_DEPTHS[-1]:
                break
    return found


def largest_value(path: Path) -> int | None:
    """The largest value of an image whose file does not say its depth; None for any other, and for a damaged one."""
    try:
        picture = read_picture(path)
    except DataError:
        return None
    return int(picture.values.max()) if picture.needs_depth else None


def _may_need_depth(path: Path) -> bool:
    """By the head of its file."""
    try:
        if is_dicom(path):
            return False
        with opened(path) as file:
            is_array = file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
            file.seek(0)
            if not is_array:
                with Image.open(file, formats=FORMATS) as picture:
                    return picture.mode.startswith("I")
            headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            _, _, dtype = headers[npy.read_magic(file)](file)
            return np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize > 1
    except Exception:  # a parser may raise anything on a damaged head
        return False
