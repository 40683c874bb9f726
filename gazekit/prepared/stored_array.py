"""Map our ``.npy`` files, if header and file length are as expected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from gazekit.disk.own_files import FileKind, opened
from gazekit.errors import DataError
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.stored_masks import packed_width
from gazekit.records.arrays import Array

HEAT_MAPS = "heat_maps"
"""The array of the heat maps that the data bring finished."""
FORMER_HEAT_MAPS = "gaze"
"""The array of the heat maps in sets of earlier versions, which kept no sigma of fixations."""
LAYOUT = 5
"""Version of the arrays and of the table of fixations; earlier ones are not noted in the settings."""
AGAIN = "the prepared data set is damaged; copy it again, or prepare it again with --overwrite"
"""Remedy for a file of a prepared data set that is not what was written."""
_KIND = FileKind("an array of a prepared data set", 2**62, AGAIN)
_LONGEST_HEADER = 2**12


def arrays_of(preparation: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the arrays of a set with these settings, in the order in which they are hashed."""
    if "layout" not in preparation:
        return ("images", FORMER_HEAT_MAPS, "masks")
    return ("images", "masks", HEAT_MAPS) if preparation.get(HEAT_MAPS) else ("images", "masks")


def shape_of(name: str, settings: PreparationSettings, *, earlier: bool = False) -> tuple[int, ...]:
    """Return the shape of one exam in an array: ``[V, H, W]``, colour images ``[V, 3, H, W]``.

    Masks have eight pixels a byte, but for earlier sets.
    """
    height, width = settings.size
    if name == "images" and settings.colour:
        return (len(settings.views), settings.channels, height, width)
    return (len(settings.views), height, packed_width(width) if name == "masks" and not earlier else width)


def stored_array(path: Path, shape: tuple[int, ...], dtype: str) -> Array:
    """Map an array read-only.

    Args:
        path: of the file.
        shape, dtype: that it must have.

    Raises:
        DataError: another shape or type, or a file that is longer or shorter than that.
    """
    with opened(path, _KIND) as file:
        try:
            readers = {(1, 0): npy.read_array_header_1_0}
            found, in_columns, stored = readers[npy.read_magic(file)](file, max_header_size=_LONGEST_HEADER)
        except Exception:  # evaluating the header's expression may raise anything
            raise DataError(f"{path}: is not an array in NPY format; {AGAIN}") from None
        if (found, stored, in_columns) != (shape, np.dtype(dtype), False):
            raise DataError(
                f"{path}: {stored} {str(list(found))[:80]}; expected {dtype} {list(shape)}, as the manifest has it; "
                f"{AGAIN}"
            )
        begin, size = file.tell(), file.seek(0, 2)
        expected = begin + stored.itemsize * int(np.prod([int(side) for side in shape], dtype=object))
        if size != expected:
            raise DataError(f"{path}: has {size} bytes, its header says {expected}; {AGAIN}")
        try:
            return np.asarray(np.memmap(file, mode="r", dtype=stored, shape=shape, offset=begin))
        except (OSError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: cannot be mapped into memory ({error}); {AGAIN}") from None
