"""Draw masses and clusters of calcifications: shaped in three dimensions, projected into a view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.geometry import PROJECTION, project
from gazekit_datasets.mammography.phantom.scene import BreastOutline, SceneFinding, View
from gazekit_datasets.mammography.phantom.strokes import draw_dots, draw_lines

REACH = 1.8
"""Half the width of the drawn patch, in core diameters; the longest spicule ends within it."""
GRAIN = 0.035
ROD = 0.025
"""Standard deviations of benign and malignant calcifications across, in diameters of their cluster: wider than real
ones (1 mm and 0.7 mm in a cluster of 28 mm), so that an image of 128 pixels still shows them."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A finding drawn in one view.

    Args:
        rows, columns: its position in the image.
        brightness: added to the image, ``[h, w]``.
        mask: its core ``[h, w]``.
    """

    rows: slice
    columns: slice
    brightness: Floats
    mask: NDArray[np.bool_]


def draw_finding(finding: SceneFinding, view: View, outline: BreastOutline, shape: tuple[int, int]) -> Patch:
    """Project a finding into a view of a left breast and draw it.

    Args:
        finding: seen in this view.
        view, outline: of the breast.
        shape: (rows, columns) of the image.
    """
    height = shape[0]
    centre = project(finding.position, view, outline) * height
    reach = REACH * finding.diameter * height
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), shape[::-1]).astype(int)
    size = (int(high[1] - low[1]), int(high[0] - low[0]))
    scale = finding.diameter * height
    rng = np.random.default_rng(finding.shape_seed)
    draw = _draw_mass if finding.kind == "mass" else _draw_cluster
    brightness, mask = draw(finding.malignant, rng, PROJECTION[view] * scale, centre - low, size)
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    return Patch(rows, columns, finding.contrast * brightness, mask)


def _draw_mass(
    malignant: bool, rng: np.random.Generator, matrix: Floats, centre: Floats, size: tuple[int, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw a mass. Benign: a smooth ellipsoid with sharp margin. Malignant: irregular, blurred core with spicules."""
    pixels = float(np.linalg.norm(matrix[0]))  # of one diameter
    if not malignant:
        radii = rng.uniform(0.42, 0.58, 3)
        core = _chord(np.zeros(3), np.diag(radii**2), rng, matrix, centre, size)
        return ndimage.gaussian_filter(core**0.8, 0.03 * pixels), core > 0
    core = np.zeros(size)
    for _ in range(6):
        offset, radii = rng.normal(0.0, 0.15, 3), rng.uniform(0.18, 0.36, 3)
        core = np.maximum(core, _chord(offset, np.diag(radii**2), rng, matrix, centre, size))
    soft = ndimage.gaussian_filter(core, 0.06 * pixels)
    spicules = _spicules(rng, matrix, centre, size, pixels)
    return np.maximum(soft / max(float(soft.max()), 0.5), 0.0) + (1.0 - soft) * spicules, core > 0


def _chord(
    offset: Floats,
    squared: Floats,
    rng: np.random.Generator,
    matrix: Floats,
    centre: Floats,
    size: tuple[int, int],
) -> Floats:
    """Compute an ellipsoid's relative thickness along the ray, ``sqrt(1 - u' S^-1 u)``, S its projected shape matrix.

    The ellipsoid's axes ``squared`` (radii squared, in diameters) are rotated at random; ``matrix`` ``[2, 3]``
    maps diameters to pixels.
    """
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    projected = matrix @ turn @ squared @ turn.T @ matrix.T  # [2, 2]
    inverse = np.linalg.inv(projected)
    at = centre + matrix @ offset
    x = np.arange(size[1]) + 0.5 - at[0]
    y = (np.arange(size[0]) + 0.5 - at[1])[:, None]
    form = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    return np.asarray(np.sqrt(np.maximum(1.0 - form, 0.0)))


def _spicules(
    rng: np.random.Generator, matrix: Floats, centre: Floats, size: tuple[int, int], pixels: float
) -> Floats:
    """Draw thin, slightly bent, fading lines that radiate from the core in all directions."""
    number = int(rng.integers(22, 32))
    direction = rng.standard_normal((number, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    bend = 0.15 * rng.standard_normal((number, 1, 3))
    length = rng.uniform(0.55, 1.15, (number, 1, 1))
    along = np.linspace(0.0, 1.0, 9)[None, :, None]
    points = direction[:, None, :] * (0.25 + length * along) + bend * along**2  # [N, 9, 3], in diameters
    peaks = rng.uniform(0.5, 1.0, (number, 1)) * (1.0 - along[..., 0]) ** 0.6
    return np.minimum(draw_lines(points @ matrix.T + centre, peaks, 0.030 * pixels, size), 0.9)


def _draw_cluster(
    malignant: bool, rng: np.random.Generator, matrix: Floats, centre: Floats, size: tuple[int, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw a cluster. Benign: a few scattered round grains of one size. Malignant: many crowded rods and specks."""
    pixels = float(np.linalg.norm(matrix[0]))
    footprint = _chord(np.zeros(3), np.diag([0.25, 0.25, 0.25]), rng, matrix, centre, size) > 0
    if not malignant:
        grains = _in_ball(rng, int(rng.integers(5, 9)), 0.5)
        peaks = np.full(len(grains), 1.6)
        return draw_dots(grains @ matrix.T + centre, peaks, GRAIN * pixels, size), footprint
    number = int(rng.integers(22, 36))
    start = _in_ball(rng, number, 0.42)
    rods = np.stack([start, start + 0.07 * rng.standard_normal((number, 3))], axis=1)  # [N, 2, 3]
    peaks = np.repeat(rng.uniform(0.7, 2.4, (number, 1)), 2, axis=1)
    return np.minimum(draw_lines(rods @ matrix.T + centre, peaks, ROD * pixels, size), 2.4), footprint


def _in_ball(rng: np.random.Generator, number: int, radius: float) -> Floats:
    """Draw points ``[N, 3]`` uniformly in a ball."""
    points = rng.standard_normal((number, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(radius * rng.random((number, 1)) ** (1 / 3) * points)
