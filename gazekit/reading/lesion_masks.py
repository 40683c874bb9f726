"""Draw lesion masks from image files and outlines."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from gazekit.errors import DataError
from gazekit.reading.image import read_values
from gazekit.records.arrays import Mask
from gazekit.records.lesions import Lesion, MaskFile, Outline


def lesion_mask(lesions: Iterable[Lesion], shape: tuple[int, int]) -> Mask:
    """Draw all lesions of a view as one mask ``[H, W]``; a lesion smaller than a pixel marks the pixel it lies in.

    Args:
        lesions: files and outlines.
        shape: (H, W) of the original image.

    Raises:
        DataError: a file cannot be read, or has another size than the image.
    """
    mask = np.zeros(shape, dtype=bool)
    for lesion in lesions:
        mask |= _outlined(lesion, shape) if isinstance(lesion, Outline) else _from_file(lesion, shape)
    return mask


def _from_file(lesion: MaskFile, shape: tuple[int, int]) -> Mask:
    mask = _marked(lesion.path)
    if mask.shape == shape:
        return mask
    if not lesion.resize:
        raise DataError(
            f"{lesion.path}: the mask has {mask.shape[0]} x {mask.shape[1]} pixels, its image "
            f"{shape[0]} x {shape[1]}; expected the same size"
        )
    height, width = shape
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _marked(path: Path) -> Mask:
    """Return the pixels that are not 0 as stored: the header of a mask may have the window of its mammogram.

    Lossy compression leaves values around the border of a lesion, so there the limit is half of the greatest.
    """
    values, is_lossy = read_values(path)  # [H, W] or [H, W, 3]
    if not np.isfinite(values).all():
        raise DataError(f"{path}: NaN or infinite values in a mask; expected 0 outside the lesions")
    mask = values > values.max() / 2 if is_lossy else values != 0
    return np.asarray(mask.any(axis=2) if mask.ndim == 3 else mask)


def _outlined(lesion: Outline, shape: tuple[int, int]) -> Mask:
    """Return the pixels whose centre lies inside, by the even-odd rule."""
    height, width = shape
    start = np.asarray(lesion.points, dtype=np.float64).reshape(-1, 2)  # [n, (x, y)]
    end = np.roll(start, -1, axis=0)
    top, bottom = np.clip([start[:, 1].min() - 1, start[:, 1].max() + 1], 0, height).astype(np.int64)
    centres = np.arange(top, bottom)[:, None] + 0.5  # [rows, 1]
    row, edge = np.nonzero((start[:, 1] > centres) != (end[:, 1] > centres))
    (x1, y1), (x2, y2) = start[edge].T, end[edge].T
    crossing = x1 + (centres[row, 0] - y1) * (x2 - x1) / (y2 - y1)
    # a pixel is inside if an odd number of crossings lies to its right
    left_of = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    crossings = np.zeros((bottom - top, width + 1), dtype=np.int32)
    np.add.at(crossings, (row, left_of), 1)
    to_the_right = np.cumsum(crossings[:, ::-1], axis=1)[:, ::-1]
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom] = to_the_right[:, 1:] % 2 == 1
    if not mask.any():
        x, y = start.mean(axis=0)
        if 0 <= x < width and 0 <= y < height:
            mask[int(y), int(x)] = True
    return mask
