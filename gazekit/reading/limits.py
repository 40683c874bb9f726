"""Limit the size of images: refuse one that claims more before decoding anything."""

from math import prod
from pathlib import Path

from gazekit.errors import DataError

MOST_PIXELS = 150_000_000
"""Maximum pixels (ours): ten times the largest mammogram (4084 x 3328), below Pillow's limit."""
MOST_BYTES = 2 * MOST_PIXELS + 2**26
"""Maximum bytes of a file, after inflating: ``MOST_PIXELS`` pixels of 16 bits and 64 MiB for the rest."""


def check_pixels(path: Path, *shape: int) -> None:
    """Raise a DataError if an array of this shape is not an image, or too large."""
    if min(shape, default=0) < 1 or prod(shape) > MOST_PIXELS:
        raise DataError(
            f"{path}: claims {' x '.join(map(str, shape))} pixels; expected one image of at most "
            f"{MOST_PIXELS // 10**6} million; it is damaged, or not an image of this field"
        )


def check_bytes(path: Path, size: int) -> None:
    """Raise a DataError if a file is larger than the largest image."""
    if size > MOST_BYTES:
        raise DataError(
            f"{path}: larger than {MOST_BYTES // 2**20} MiB; expected one image; it is damaged, or holds more"
        )
