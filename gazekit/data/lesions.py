"""Lesion masks as data sets hold them: image files and outlines, several per view."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gazekit.data.image import read_image
from gazekit.errors import DataError

Mask = NDArray[np.bool_]

_LOSSY = (".jpg", ".jpeg")
"""Compressed with loss: a mask in such a file has grey around its border, so half of white is the limit."""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """An image file that is not 0 in the lesion (in a JPEG: more than half of white).

    Args:
        path: the file.
        resize: stretch a mask of another size to its image; otherwise that is an error.
    """

    path: Path
    resize: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed polygon, or a single point.

    Args:
        points: (x, y) in pixels of the original image, (0, 0) the outer corner of the first pixel; may lie outside.
    """

    points: tuple[tuple[float, float], ...]


Lesion = MaskFile | Outline


def lesion_mask(lesions: Iterable[Lesion], shape: tuple[int, int]) -> Mask:
    """All lesions of a view as one mask ``[H, W]``; a lesion smaller than a pixel marks the pixel it lies in.

    Args:
        lesions: files and outlines.
        shape: (H, W) of the original image.

    Raises:
        DataError: a file that cannot be read, or of another size than the image.
    """
    mask = np.zeros(shape, dtype=bool)
    for lesion in lesions:
        mask |= _outlined(lesion, shape) if isinstance(lesion, Outline) else _from_file(lesion, shape)
    return mask


def _from_file(lesion: MaskFile, shape: tuple[int, int]) -> Mask:
    limit = 0.5 if lesion.path.suffix.lower() in _LOSSY else 0.0
    mask = read_image(lesion.path).pixels > limit
    if mask.shape == shape:
        return mask
    if not lesion.resize:
        raise DataError(
            f"{lesion.path}: the mask has {mask.shape[0]} x {mask.shape[1]} pixels, its image "
            f"{shape[0]} x {shape[1]}; expected the same size"
        )
    height, width = shape
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _outlined(lesion: Outline, shape: tuple[int, int]) -> Mask:
    height, width = shape
    points = np.asarray(lesion.points, dtype=np.float64).reshape(-1, 2)
    canvas = Image.new("1", (width, height))
    # a draw coordinate is the centre of its pixel, ours its outer corner; far points would overflow the drawing
    inside = np.clip(points - 0.5, -4 * max(shape), 5 * max(shape))
    if len(points) > 2:
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in inside.tolist()], fill=1)
    mask = np.array(canvas, dtype=bool)
    for x, y in np.floor(points).astype(np.int64).tolist() if len(points) < 3 else ():
        if 0 <= x < width and 0 <= y < height:
            mask[y, x] = True
    return mask
