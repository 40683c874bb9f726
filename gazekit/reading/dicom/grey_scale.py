"""Map the stored values of a DICOM image to the grey that a display shows.

An image has at most 65536 distinct values, so the look-up tables are applied once to those; the pixels are then
indexed.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_windowing

from gazekit.errors import DataError
from gazekit.reading.dicom.file import printable
from gazekit.reading.dicom.offered_windows import Offer, offers, pick
from gazekit.reading.window import FIRST, Choice
from gazekit.records.arrays import Array, Floats

_WINDOWED_BY = ("PhotometricInterpretation", "BitsStored", "PixelRepresentation", "VOILUTFunction")
"""Tags that the formula of a window needs besides centre and width."""
_ROWS = 64
"""Rows at once: numpy widens the index, which costs half as much if it stays in the cache."""
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""VOI LUT functions, the default first. Source: DICOM PS3.3 C.11.2.1.3."""


def grey_scale(
    dataset: Dataset, stored: Array, padding: tuple[int, int] | None, window: Choice = FIRST
) -> NDArray[np.float32]:
    """Return the grey in [0, 1] of every stored value from the least to the greatest in the image.

    Apply the Modality LUT, then the VOI LUT (as chosen; ``first`` is the LUT sequence, else the first window by its
    VOI LUT function, else the range of the image without padding), then 1 - grey for MONOCHROME1. Padding becomes 0.

    Args:
        dataset: a pydicom data set of one grey image.
        stored: ``[H, W]`` integers.
        padding: the least and the greatest padding value; None if there is no padding.
        window: which VOI LUT.

    Raises:
        DataError: the file lacks the chosen window, or its VOI LUT function is none of the standard's.

    Source: DICOM PS3.3 C.11.1, C.11.2, C.7.6.3.1.2 and C.7.5.1.1.2.
    """
    lowest, highest = int(stored.min()), int(stored.max())
    values = np.arange(lowest, highest + 1)  # [n]
    is_padding = _between_ends(values, padding)
    modality = _modality(dataset, values)
    if isinstance(window, tuple):
        grey = _by_window(_with_window(dataset, window), modality, 0)
    elif offer := pick(window, offers(dataset)):
        grey = _by_offer(dataset, modality, offer)
    else:
        present = np.zeros(len(values), dtype=bool)
        for top in range(0, len(stored), _ROWS):
            present[stored[top : top + _ROWS].astype(np.intp) - lowest] = True
        grey = _by_range(modality, present & ~is_padding)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    if not np.isfinite(grey).all():
        raise DataError(
            "its slope, intercept or window is not finite; expected numbers; choose another window, or export it again"
        )
    return np.where(is_padding, 0, np.clip(grey, 0, 1)).astype(np.float32)


def look_up(table: NDArray[np.float32], stored: Array) -> NDArray[np.float32]:
    """Look up the grey of every pixel ``[H, W]`` in a table of the values from least to greatest."""
    unsigned = stored.view(f"u{stored.itemsize}")
    lowest = int(stored.min())
    every = np.zeros(2 ** (8 * stored.itemsize), dtype=np.float32)
    every[np.arange(lowest, lowest + len(table)) % len(every)] = table  # as in two's complement
    grey = np.empty(stored.shape, dtype=np.float32)
    for top in range(0, len(stored), _ROWS):
        rows = slice(top, top + _ROWS)
        every.take(unsigned[rows], out=grey[rows], mode="clip")
    return grey


def _between_ends(values: Array, ends: tuple[int, int] | None) -> NDArray[np.bool_]:
    if ends is None:
        return np.zeros(len(values), dtype=bool)
    return np.asarray((values >= ends[0]) & (values <= ends[1]))


def _by_offer(dataset: Dataset, modality: Floats, offer: Offer) -> Floats:
    by = _by_table if offer.kind == "table" else _by_window
    return by(dataset, modality, offer.index)


def _modality(dataset: Dataset, values: Array) -> Floats:
    """Apply the Modality LUT: a table, or slope and intercept."""
    if tables := dataset.get("ModalityLUTSequence"):
        return _looked_up(tables[0], values, dataset)[0]
    return values * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))


def _by_table(dataset: Dataset, modality: Floats, index: int) -> Floats:
    """Apply a table of the VOI LUT sequence; its least and greatest entry become 0 and 1."""
    grey, entries = _looked_up(dataset.VOILUTSequence[index], np.rint(modality), dataset)
    return _between(grey, entries.min(), entries.max())


def _looked_up(table: Dataset, values: Array, dataset: Dataset) -> tuple[Floats, Floats]:
    """Look up values in a table, and return its entries too; values beyond its ends take the first or last entry.

    Entries of 8 bits come two to a word, or one. The first value is signed where values are. Files may store it
    unsigned, and one of 32768 or more is read as negative where pixels are signed: a table beside every value cannot be
    meant.

    Source: DICOM PS3.3 C.11.1.1.1 and C.11.2.1.1.
    """
    count, first, bits = (int(each) for each in table.LUTDescriptor)
    count = count or 2**16
    data = table.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        words = np.frombuffer(data, dtype=f"{order}u2")
    else:
        words = np.atleast_1d(np.array(data, dtype=np.uint16))
    if bits == 8 and len(words) < count:
        words = words.astype("<u2").view(np.uint8)  # the first entry is the lower byte
    entries = words[:count].astype(np.float64)
    if len(entries) < count:
        raise ValueError(f"a table of {len(entries)} entries; expected {count}")
    if first >= 2**15 and first > values.max():
        first -= 2**16
    elif first < 0 and first + count <= values.min():
        first += 2**16
    places = np.clip(values - first, 0, count - 1).astype(np.int64)
    return entries[places], entries


def _by_window(dataset: Dataset, modality: Floats, index: int) -> Floats:
    """Apply LINEAR, LINEAR_EXACT or SIGMOID, scaled by its outputs far below and far above the window."""
    function = str(dataset.get("VOILUTFunction", FUNCTIONS[0]))
    if function not in FUNCTIONS:
        raise DataError(
            f"VOILUTFunction is {printable(function)}; expected {', '.join(FUNCTIONS)}; choose the window range"
        )
    far = apply_windowing(np.array([-1e15, 1e15]), dataset, index)
    return _between(apply_windowing(modality, dataset, index), far[0], far[1])


def _with_window(dataset: Dataset, window: tuple[float, float]) -> Dataset:
    """Return the tags of a file with another centre and width."""
    other = Dataset()
    for keyword in _WINDOWED_BY:
        if keyword in dataset:
            other.add(dataset[keyword])
    other.WindowCenter, other.WindowWidth = window
    if window[1] < 1:
        other.VOILUTFunction = "LINEAR_EXACT"  # LINEAR allows no narrower window
    return other


def _by_range(modality: Floats, used: NDArray[np.bool_]) -> Floats:
    if not used.any():
        return np.zeros_like(modality)
    return _between(modality, modality[used].min(), modality[used].max())


def _between(values: Floats, low: float, high: float) -> Floats:
    """Map ``low`` to 0 and ``high`` to 1; return all 0 if the two are equal."""
    return np.zeros_like(values) if high == low else (values - low) / (high - low)
