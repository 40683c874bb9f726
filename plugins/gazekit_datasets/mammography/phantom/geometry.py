"""Map a scene to a view: projection, outline and pectoral muscle.

Images are drawn as a left breast, with the chest wall on the left and the armpit side on top; those of a right breast
are mirrored at the end.
"""

from math import cos, radians, sin

import numpy as np

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.scene import BreastOutline, View

ASPECT = 0.8
"""Image width over height, as for a 24 x 29 cm detector."""
FIELD_MM = 233.0
"""Height of the field of view in mm."""
OBLIQUITY = radians(45.0)
"""Tilt of the MLO projection, from the head towards the armpit side."""
EXPONENT = 2.2
"""Exponent of the superellipse that outlines a compressed breast."""

# Rows: right and down in the image, for a position (behind, lateral, cranial).
PROJECTION: dict[View, Floats] = {
    "cc": np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
    "mlo": np.array([[-1.0, 0.0, 0.0], [0.0, -sin(OBLIQUITY), -cos(OBLIQUITY)]]),
}


def image_shape(height: int) -> tuple[int, int]:
    """Return (rows, columns) of an image with a given height in pixels."""
    return height, round(ASPECT * height)


def project(position: tuple[float, float, float] | Floats, view: View, outline: BreastOutline) -> Floats:
    """Project positions ``[..., 3]`` to (x, y) ``[..., 2]``, in fractions of the image height."""
    return np.asarray(np.asarray(position) @ PROJECTION[view].T + np.array([outline.depth, outline.nipple]))


def inside(x: Floats, y: Floats, outline: BreastOutline) -> Floats:
    """Measure how far inside the outline a point is: 1 at nipple level on the chest wall, 0 at the skin.

    ``1 - (|x / depth|^p + |(y - nipple) / half|^p)^(1/p)`` with half = above or below; negative outside.
    """
    rise = y - outline.nipple
    half = np.where(rise < 0, outline.above, outline.below)
    radius = (np.abs(x / outline.depth) ** EXPONENT + np.abs(rise / half) ** EXPONENT) ** (1 / EXPONENT)
    return np.asarray(1.0 - radius)


def skin_distance(x: Floats, y: Floats, outline: BreastOutline) -> Floats:
    """Estimate the distance to the skin, positive inside, to first order as F / |grad F|; exact at the skin."""
    value = inside(x, y, outline)
    step = float(x[0, 1] - x[0, 0])
    along_y, along_x = np.gradient(value, step)
    return np.asarray(value / np.maximum(np.hypot(along_x, along_y), 0.5))


def in_pectoral(x: Floats, y: Floats, outline: BreastOutline) -> Floats:
    """Compute the signed depth in the pectoral muscle, positive inside: a convex triangle at the upper chest wall."""
    if outline.pectoral is None:
        return np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), -1.0)
    width, length = outline.pectoral
    down = np.clip(y / length, 0.0, 1.5)
    return np.asarray(width * (1.0 - down + 0.35 * down * (1.0 - down)) - x)
