"""How large an image may be: what claims to be larger is refused before anything is decoded."""

from math import prod
from pathlib import Path

from gazekit.errors import DataError

MOST_PIXELS = 150_000_000
"""Ten times the largest mammogram (4084 x 3328), and under the limit of Pillow (ours)."""
MOST_BYTES = 2 * MOST_PIXELS + 2**26
"""Of a file, and of a deflated one when inflated: so many pixels of 16 bits and 64 MiB of whatever else."""


def check_pixels(path: Path, *shape: int) -> None:
    """Raise a DataError when an image of this shape is none, or larger than any of this field."""
    if min(shape, default=0) < 1 or prod(shape) > MOST_PIXELS:
        raise DataError(
            f"{path}: claims {' x '.join(map(str, shape))} pixels; expected one image of at most "
            f"{MOST_PIXELS // 10**6} million; it is damaged, or no image of this field"
        )


def check_bytes(path: Path, size: int) -> None:
    """Raise a DataError when a file is larger than the largest image."""
    if size > MOST_BYTES:
        raise DataError(
            f"{path}: larger than {MOST_BYTES // 2**20} MiB; expected one image; it is damaged, or holds more"
        )
