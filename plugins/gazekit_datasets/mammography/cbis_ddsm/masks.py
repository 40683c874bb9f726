"""Which of an abnormality's two files is its mask and which the crop: told by content, for their names do not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.image import read_image
from gazekit.reading.image_size import image_size
from gazekit.records.arrays import Size
from gazekit.records.exam import Finding
from gazekit.records.lesions import MaskFile


def find_mask(
    name: str, files: Sequence[Path], image: Size, *, resize: bool
) -> tuple[MaskFile | None, Finding | None]:
    """The mask among the files of an abnormality, and what is to be said about it.

    The mask is the one file of its image's size; where there is not exactly one, the one file that is black and white.

    Args:
        name: of the abnormality, for findings.
        files: its mask and its crop.
        image: (height, width) of the full mammogram, pixels.
        resize: take a mask of another size too, to be stretched; otherwise it is left out.
    """
    if not files:
        return None, Finding("missing", name, "mask file not there: its view has no mask")
    try:
        same = [path for path in files if image_size(path) == image]
        masks = same if len(same) == 1 else [path for path in same or files if _is_black_and_white(path)]
    except DataError:
        return None, Finding("dropped", name, "mask unreadable: its view has no mask")
    if len(masks) != 1:
        return None, Finding("dropped", name, "mask not to be told from the crop: its view has no mask")
    if same:
        return MaskFile(masks[0]), None
    if resize:
        return MaskFile(masks[0], resize=True), Finding("note", name, "mask of another size: stretched")
    return None, Finding("dropped", name, "mask of another size than its image: its view has no mask")


def _is_black_and_white(path: Path) -> bool:
    """Whether next to no pixel is grey, as around the border of a mask that was compressed."""
    pixels = read_image(path).pixels
    return bool(np.mean((pixels > 0.1) & (pixels < 0.9)) < 0.02)
