"""The part of an image that preparation cuts out."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gazekit.records.arrays import Mask
from gazekit.records.geometry import Geometry
from gazekit.records.resampling import interpolate_rows

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""

_SPECK = 0.01
"""A part of a lesion mask smaller than this share of the whole does not count."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The region found in an image.

    Args:
        image: the whole image.
        box: of the region with a margin; the whole image where there is a doubt.
        outline: ``[h, w]`` the region in the image reduced by blocks of ``factor`` x ``factor``; all true where there
            is a doubt.
        factor: side of a block in raw pixels.
        doubt: why the image is kept whole, in words without names; empty where the region was found.
        side: ``"L"`` or ``"R"``, as its place in the image suggests; empty where it suggests neither.
    """

    image: PixelBox
    box: PixelBox
    outline: Mask = field(repr=False)
    factor: int = 1
    doubt: str = ""
    side: str = ""

    def boxed(self) -> Mask:
        """Mark the pixels of the image ``[H, W]`` in the box."""
        left, top, right, bottom = self.box
        mask = np.zeros((self.image[3], self.image[2]), dtype=bool)
        mask[top:bottom, left:right] = True
        return mask

    def inside(self, geometry: Geometry) -> Mask:
        """Mark pixels of a prepared image ``[height, width]`` with their centre in the region, edge interpolated."""
        across, down = (
            np.arange(geometry.width, dtype=np.float64),
            np.arange(geometry.height, dtype=np.float64),
        )
        x, y = geometry.inverse(across + 0.5, down + 0.5)
        rows = interpolate_rows(self.outline.astype(np.float32), y / self.factor)  # [height, w]
        return np.asarray(interpolate_rows(rows.T, x / self.factor).T >= 0.5)

    def holds(self, lesions: Mask) -> bool:
        """Say whether every connected lesion of ``[H, W]`` lies in the outline by half or more; specks do not count."""
        if not lesions.any():
            return True
        share = block_means(lesions.astype(np.float32), self.factor)  # [h, w]
        labels, count = ndimage.label(share > 0, np.ones((3, 3)))
        every = np.arange(1, count + 1)
        areas = ndimage.sum_labels(share, labels, every)
        within = ndimage.sum_labels(share * self.outline, labels, every)
        return bool(np.all((within >= areas / 2) | (areas < _SPECK * areas.sum())))


def whole_image(shape: tuple[int, ...], doubt: str = "") -> Region:
    """Keep a whole image ``[H, W]``."""
    height, width = shape
    return Region(
        (0, 0, width, height), (0, 0, width, height), np.ones((1, 1), dtype=bool), max(shape), doubt
    )


def block_means(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Reduce an image to the means of blocks of ``factor`` x ``factor``; those at the last edges may be smaller."""
    height, width = pixels.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    bands = np.stack(
        [pixels[row : row + factor].sum(axis=0) for row in rows]
    )  # reduceat is slow along axis 0
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width)).astype(np.float32)
    return np.asarray(np.add.reduceat(bands, columns, axis=1) / sizes)
