"""Find the bit depth of a data set whose files do not state it.

A 16-bit file may hold 12-bit values, and the brightest pixel of one image does not tell which. Guessed per image, the
scale would differ within a data set. So all images share one depth: the smallest that holds every image.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from PIL import Image

from gazekit.errors import DataError
from gazekit.reading.content import array_header, is_array, is_dicom, opened
from gazekit.reading.image import BIT_DEPTHS, FORMATS, least_depth, read_picture
from gazekit.reading.parallel import LIMITS, ordered_map


def find_depth(paths: Sequence[Path], jobs: int, *, colour: bool = False) -> int | None:
    """Find the smallest depth that holds every image; None if no image needs one (DICOM, 8 bits, real numbers).

    Only the heads are read of images that cannot need a depth. The others are decoded in child processes, up to the
    first that needs all 16 bits. Unreadable images are skipped here; the preparation reports them.

    Args:
        paths: image files of any format, which may be missing.
        jobs: child processes; 0 works in this process.
        colour: colour images count, too.
    """
    deep = [path for path in paths if _may_need_depth(path)]
    found, read = None, partial(largest_value, colour=colour)
    with closing(ordered_map(read, deep, jobs=jobs, limits=LIMITS, lost=lambda *_: None)) as results:
        for largest in results:
            if largest is not None:
                found = max(found or 0, least_depth(largest))
            if found == BIT_DEPTHS[-1]:
                break
    return found


def largest_value(path: Path, *, colour: bool = False) -> int | None:
    """Return the largest value of an image without a stated depth; None for any other or a damaged one."""
    try:
        picture = read_picture(path, colour=colour)
    except DataError:
        return None
    return int(picture.values.max()) if picture.needs_depth else None


def _may_need_depth(path: Path) -> bool:
    """Whether an image may need a depth, judged by the head of its file."""
    try:
        if is_dicom(path):
            return False
        with opened(path) as file:
            if not is_array(file):
                with Image.open(file, formats=FORMATS) as picture:
                    return picture.mode.startswith("I")
            _, dtype = array_header(file)
            return dtype.kind in "iu" and dtype.itemsize > 1
    except Exception:  # a parser may raise anything on a damaged head
        return False
