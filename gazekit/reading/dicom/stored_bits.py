"""The values of a DICOM image: which bits of each pixel's cell they are.

A cell has BitsAllocated bits, and the value BitsStored of them, the highest of which is HighBit. Old files keep
overlays in the rest; a careless program writes more bits than it states.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazekit.reading.dicom.file import overlay_bits

Values = NDArray[Any]

_FAR_SMOOTHER = 0.5
"""Steps of an image read against the standard, as a part of those of the standard's reading (ours)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The stored values of an image.

    Args:
        values: ``[H, W]``.
        padding: the least and the greatest value that is no part of the image; None where there is none.
        warning: on bits that the header does not explain, a sentence without its subject, the image; else empty.
    """

    values: Values
    padding: tuple[int, int] | None
    warning: str = ""


def stored_values(cells: Values, dataset: Any, *, has_high_bit: bool) -> Stored:
    """Take the value out of each cell, and padding as the pixels are represented.

    Bits above the value go, as the standard says. Where no overlay is declared there and the image falls apart without
    them, BitsStored is too small, and they stay. Either comes with a warning.

    Args:
        cells: ``[H, W]`` integers of BitsAllocated bits, as decoded.
        dataset: tags of the image.
        has_high_bit: the cells are as the file stores them, so that HighBit says where the value lies; a codec of
            the JPEG family gives the value alone.

    Source: DICOM PS3.5 8.1.1 and 8.1.2; PS3.3 C.7.5.1.1.2.
    """
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    padding = _padding(dataset, bits, is_signed)
    shift = _shift(dataset, bits) if has_high_bit else 0
    if shift == 0 and _fits(cells, bits, is_signed):
        return Stored(cells, padding)
    values = _extract(cells, shift, bits, is_signed)
    if shift > 0:
        return Stored(values, padding)
    changed = values != cells  # [H, W]
    if padding is not None:
        changed &= (cells < padding[0]) | (cells > padding[1])
    if not changed.any():  # padding may lie beyond the values
        return Stored(cells, padding)
    above = int(np.bitwise_or.reduce(cells[changed].view(f"u{cells.itemsize}"))) >> bits << bits
    is_overlay = above and above & ~overlay_bits(dataset) == 0
    if not is_overlay and _step_between(cells, changed) < _FAR_SMOOTHER * _step_between(values, changed):
        return Stored(
            cells, padding, f"has values that BitsStored ({bits}) does not hold; they are read as they are"
        )
    warning = f"has bits above BitsStored ({bits}) where no overlay is declared; they are left out"
    padding = _extract_ends(padding, cells.dtype, bits, is_signed)
    return Stored(values, padding, warning if above and not is_overlay else "")


def _shift(dataset: Any, bits: int) -> int:
    """Bits below the value; 0 where HighBit is absent or impossible."""
    high = dataset.get("HighBit")
    is_possible = high is not None and bits - 1 <= high < dataset.BitsAllocated
    return int(high) - bits + 1 if is_possible else 0


def _fits(cells: Values, bits: int, is_signed: bool) -> bool:
    if bits == 8 * cells.itemsize:
        return True
    least, above = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if is_signed else (0, 2**bits)
    return bool(least <= cells.min() and cells.max() < above)


def _extract(cells: Values, shift: int, bits: int, is_signed: bool) -> Values:
    """Move the value to the top of the cell and down again, which drops all else and spreads the sign."""
    width = 8 * cells.itemsize
    top = cells.view(f"u{cells.itemsize}") << (width - bits - shift)
    kind = "i" if is_signed else "u"
    return np.asarray(top.view(f"{kind}{cells.itemsize}") >> (width - bits))


def _padding(dataset: Any, bits: int, is_signed: bool) -> tuple[int, int] | None:
    """In order, and read as the pixels are: among signed ones files hold it as unsigned (VR US), too."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", first)
    ends = [int(end) % 2**dataset.BitsAllocated for end in (first, limit)]
    if is_signed:
        # the sign fills the whole cell, or the value alone
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


def _step_between(values: Values, changed: NDArray[np.bool_]) -> float:
    """Sum of the steps from the pixels that a reading changes to their neighbours that it does not."""
    wide = values.astype(np.int32)
    return float(
        sum((np.abs(np.diff(wide, axis=axis)) * np.diff(changed, axis=axis)).sum() for axis in (0, 1))
    )
