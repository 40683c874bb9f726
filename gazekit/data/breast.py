"""Where the breast lies in a mammogram."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""

MARGIN = 0.02
"""Margin around the breast as a fraction of the image's longer side (ours)."""
LEAST_AREA = 0.02
"""A component smaller than this part of the image is no breast (ours)."""
_COARSE = 384
"""Longer side in pixels of the reduced image in which the breast is sought."""


def breast_box(pixels: NDArray[np.float32]) -> Box:
    """Bounding box of the largest bright component with a margin; the whole image if there is none.

    The image is reduced by block means, cut at a threshold just above the background, opened by 3 x 3 (which
    parts labels and scratches from the breast), and its largest component is kept. Ours.

    Args:
        pixels: ``[H, W]`` in [0, 1], dark background.
    """
    height, width = pixels.shape
    whole = (0, 0, width, height)
    factor = max(1, round(max(height, width) / _COARSE))
    coarse = _block_means(pixels, factor)
    component = _largest_component(coarse > _threshold(coarse))
    if component.mean() < LEAST_AREA:
        return whole
    rows = np.flatnonzero(component.any(axis=1)) * factor
    columns = np.flatnonzero(component.any(axis=0)) * factor
    margin = round(MARGIN * max(height, width))
    return (
        max(int(columns[0]) - margin, 0),
        max(int(rows[0]) - margin, 0),
        min(int(columns[-1]) + factor + margin, width),
        min(int(rows[-1]) + factor + margin, height),
    )


def _block_means(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means of blocks of ``factor`` x ``factor``; those at the right and lower border may be smaller."""
    height, width = pixels.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    bands = np.stack(
        [pixels[row : row + factor].sum(axis=0) for row in rows]
    )  # reduceat is slow along axis 0
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width)).astype(np.float32)
    return np.asarray(np.add.reduceat(bands, columns, axis=1) / sizes)


def _threshold(image: NDArray[np.float32]) -> float:
    """Just above the background, and no higher than what parts the image best into two."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    background = float(np.percentile(border, 25))  # the breast touches at most two of the four sides
    noise = max(background - float(np.percentile(image, 1)), 0.0)
    above = background + max(3 * noise, 0.03 * float(np.percentile(image, 99)))
    return min(above, _otsu(image))


def _otsu(image: NDArray[np.float32]) -> float:
    """Threshold of the greatest variance between two classes. Source: DOI 10.1109/TSMC.1979.4310076."""
    counts, edges = np.histogram(image, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]  # [255]
    above = below[-1] + counts[-1] - below
    total = np.cumsum(counts * centres)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * np.square(mean_above - mean_below))])


def _largest_component(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # the edge is repeated outwards: a breast that leaves the image must not be eroded there
    padded = np.pad(foreground, 1, mode="edge")
    opened = ndimage.binary_opening(padded, np.ones((3, 3), dtype=bool))[1:-1, 1:-1]
    labels: NDArray[Any]
    labels, count = ndimage.label(opened)
    if count == 0:
        return np.zeros_like(foreground)
    sizes = np.bincount(labels.ravel())
    return np.asarray(labels == 1 + np.argmax(sizes[1:]))
