"""Extract the values of a DICOM image from the bits of its pixel cells.

A cell has BitsAllocated bits. The value has BitsStored of them, the highest of which is HighBit. Old files keep
overlays in the other bits; a careless program writes more bits than it states.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gazekit.reading.dicom.file import overlay_bits
from gazekit.records.arrays import Array

_FAR_SMOOTHER = 0.5
"""Limit (ours) on the steps between pixels, as a fraction of the standard reading's, to read against the standard."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredValues:
    """The stored values of an image.

    Args:
        values: ``[H, W]``.
        padding: the least and the greatest padding value; None if there is no padding.
        warning: about bits that the header does not explain, a sentence without its subject, the image; else empty.
    """

    values: Array
    padding: tuple[int, int] | None
    warning: str = ""


def stored_values(cells: Array, dataset: Dataset, *, has_high_bit: bool) -> StoredValues:
    """Extract the value from each cell, and the padding in the same representation as the pixels.

    Bits above the value are dropped, as the standard says. If no overlay is declared there and the image falls apart
    without them, BitsStored is too small and they are kept. Either case gives a warning.

    Args:
        cells: ``[H, W]`` integers of BitsAllocated bits, as decoded.
        dataset: tags of the image.
        has_high_bit: whether the cells are as stored, so that HighBit applies; codecs of the JPEG family return the
            value alone.

    Source: DICOM PS3.5 8.1.1 and 8.1.2; PS3.3 C.7.5.1.1.2.
    """
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    padding = _padding(dataset, bits, is_signed)
    shift = _shift(dataset, bits) if has_high_bit else 0
    if shift == 0 and _fits(cells, bits, is_signed):
        return StoredValues(cells, padding)
    values = _extract(cells, shift, bits, is_signed)
    if shift > 0:
        return StoredValues(values, padding)
    dropped = cells.astype(np.int32) - values.astype(np.int32)  # [H, W]: what the bits above say
    if padding is not None:
        dropped[(cells >= padding[0]) & (cells <= padding[1])] = 0
    changed = dropped != 0
    if not changed.any():  # padding may lie outside the range of the values
        return StoredValues(cells, padding)
    above = int(np.bitwise_or.reduce(cells[changed].view(f"u{cells.itemsize}"))) >> bits << bits
    is_overlay = above and above & ~overlay_bits(dataset) == 0
    if not is_overlay and _steps(cells, dropped) < _FAR_SMOOTHER * _steps(values, dropped):
        return StoredValues(
            cells, padding, f"has values that BitsStored ({bits}) does not allow; they are kept"
        )
    warning = f"has bits above BitsStored ({bits}) where no overlay is declared; they are dropped"
    padding = _extract_ends(padding, cells.dtype, bits, is_signed)
    return StoredValues(values, padding, warning if above and not is_overlay else "")


def _shift(dataset: Dataset, bits: int) -> int:
    """Return the number of bits below the value; 0 if HighBit is absent or impossible."""
    high = dataset.get("HighBit")
    is_possible = high is not None and bits - 1 <= high < dataset.BitsAllocated
    return int(high) - bits + 1 if is_possible else 0


def _fits(cells: Array, bits: int, is_signed: bool) -> bool:
    if bits == 8 * cells.itemsize:
        return True
    least, above = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if is_signed else (0, 2**bits)
    return bool(least <= cells.min() and cells.max() < above)


def _extract(cells: Array, shift: int, bits: int, is_signed: bool) -> Array:
    """Shift the value to the top of the cell and back down, which drops other bits and extends the sign."""
    width = 8 * cells.itemsize
    top = cells.view(f"u{cells.itemsize}") << (width - bits - shift)
    kind = "i" if is_signed else "u"
    return np.asarray(top.view(f"{kind}{cells.itemsize}") >> (width - bits))


def _padding(dataset: Dataset, bits: int, is_signed: bool) -> tuple[int, int] | None:
    """Return the padding in order, signed like the pixels: files with signed pixels may store it unsigned (VR US)."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", first)
    ends = [int(end) % 2**dataset.BitsAllocated for end in (first, limit)]
    if is_signed:
        # the sign fills the whole cell or only the value
        widths = [bits if end < 2**bits else int(dataset.BitsAllocated) for end in ends]
        ends = [
            end - 2**width if end >= 2 ** (width - 1) else end
            for end, width in zip(ends, widths, strict=True)
        ]
    return min(ends), max(ends)


def _extract_ends(
    padding: tuple[int, int] | None, dtype: np.dtype[Any], bits: int, is_signed: bool
) -> tuple[int, int] | None:
    if padding is None:
        return None
    ends = _extract(np.array(padding).astype(dtype), 0, bits, is_signed)
    return int(ends.min()), int(ends.max())


def _steps(values: Array, dropped: NDArray[np.int32]) -> float:
    """Sum the steps between neighbours from which a reading drops different bits."""
    wide = values.astype(np.int32)
    return float(
        sum((np.abs(np.diff(wide, axis=axis)) * (np.diff(dropped, axis=axis) != 0)).sum() for axis in (0, 1))
    )
