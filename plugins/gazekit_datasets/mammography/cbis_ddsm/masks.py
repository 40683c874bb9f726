"""Tell an abnormality's mask from its crop by content, because their file names do not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gazekit.errors import DataError
from gazekit.reading.image import read_values
from gazekit.reading.image_size import image_size
from gazekit.records.arrays import Size
from gazekit.records.exam import Finding
from gazekit.records.lesions import MaskFile


def find_mask(
    name: str, files: Sequence[Path], image: Size, *, resize: bool
) -> tuple[MaskFile | None, Finding | None]:
    """Find the mask among the files of an abnormality, with remarks about it.

    The mask is the only file of its image's size; if there is not exactly one, the only black and white file.

    Args:
        name: of the abnormality, for findings.
        files: its mask and its crop.
        image: (height, width) of the full mammogram, pixels.
        resize: also take a mask of another size, to be stretched; otherwise it is left out.
    """
    if not files:
        return None, Finding("missing", name, "mask file not there: its view has no mask")
    try:
        same = [path for path in files if image_size(path) == image]
        masks = same if len(same) == 1 else [path for path in same or files if _is_black_and_white(path)]
    except DataError:
        return None, Finding("dropped", name, "mask unreadable: its view has no mask")
    if len(masks) != 1:
        return None, Finding("dropped", name, "mask cannot be told from the crop: its view has no mask")
    if same:
        return MaskFile(masks[0]), None
    if resize:
        return MaskFile(masks[0], resize=True), Finding("note", name, "mask of another size: stretched")
    return None, Finding("dropped", name, "mask of another size than its image: its view has no mask")


def _is_black_and_white(path: Path) -> bool:
    """Say whether hardly any stored value is grey; compression leaves some along the border of a mask."""
    values, _ = read_values(path)
    white = float(values.max())
    return bool(np.mean((values > 0.1 * white) & (values < 0.9 * white)) < 0.02)
