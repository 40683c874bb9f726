"""Recognise pictures stored next to the images that are not exams (lesion masks, heat maps, overlays)."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from gazekit.reading.content import is_array
from gazekit.reading.identifying.view_names import split_words
from gazekit.reading.limits import check_bytes, check_pixels
from gazekit.records.arrays import Array

_WORDS = {
    **dict.fromkeys(("mask", "masks", "segmentation", "segmentations", "seg", "roi", "rois"), "a mask"),
    **dict.fromkeys(("annotation", "annotations", "groundtruth"), "an annotation"),
    **dict.fromkeys(("heatmap", "heatmaps", "gaze", "saliency"), "a heat map"),
    **dict.fromkeys(("overlay", "overlays", "attention"), "an overlay"),
}
_FORMATS = ("PNG", "TIFF", "JPEG", "PPM")
_GREY_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L")
_DRAWN = 0.05
"""Bytes per pixel of a compressed file: scans contain noise and take more; drawings take less."""
_ALMOST = 0.01
"""Largest share of grey pixels in a mask; lossy compression leaves some along its borders."""


def by_product(path: Path, names: Iterable[str], *, colour: bool = False) -> str:
    """Say what a picture shows if it is not an image of a patient; else empty.

    Pixels are read only for the few files with a suspicious size or format. An unreadable file returns empty:
    the code that reads it later says why.

    Args:
        path: any image file except DICOM.
        names: of the file and of the folders that count; their words may name the kind of picture.
        colour: the images of patients are in colour.
    """
    words = {word for name in names for word in split_words(name)}
    named = next((what for word, what in _WORDS.items() if word in words), "")
    return f"{named}, by its name" if named else _by_content(path, colour=colour)


def _by_content(path: Path, *, colour: bool) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, lossy = _suspicious(path)
    except Exception:
        return ""
    if values is None or values.size == 0 or values.dtype.kind not in "biuf":
        return ""
    if values.ndim == 3 and colour:
        return ""
    if values.ndim == 3:
        is_grey = (values[:, :, :3] == values[:, :, :1]).all()
        return "" if is_grey else "in colour, like drawings over an image"
    return "black and white only, like a mask" if _is_black_and_white(values, lossy=lossy) else ""


def _suspicious(path: Path) -> tuple[Array | None, bool]:
    """Read the pixels of a file that may be a drawing, and whether its compression is lossy; else None."""
    check_bytes(path, path.stat().st_size)
    with path.open("rb") as file:
        is_npy = is_array(file)
    if is_npy:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return (array if array.ndim == 2 else None), False
    with Image.open(path, formats=_FORMATS) as picture:
        check_pixels(path, picture.height, picture.width)
        is_lossy = picture.format == "JPEG"
        if picture.mode == "1":
            return np.asarray(picture), is_lossy
        if picture.mode not in _GREY_MODES:
            return np.asarray(picture.convert("RGB")), is_lossy
        is_drawn = path.stat().st_size < _DRAWN * picture.width * picture.height
        return (np.asarray(picture) if is_drawn else None), is_lossy


def _is_black_and_white(values: Array, *, lossy: bool) -> bool:
    """Say whether there are exactly two values; a single value is an empty image, not a mask."""
    low, high = values.min(), values.max()
    if low == high:
        return False
    if lossy:
        reach = (float(high) - float(low)) / 8
        return bool(np.mean((values > low + reach) & (values < high - reach)) < _ALMOST)
    return bool(((values == low) | (values == high)).all())
