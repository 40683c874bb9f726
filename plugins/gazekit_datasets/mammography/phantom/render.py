"""Render one view of a scene: brightness in [0, 1] with background exactly 0, and the lesion mask."""

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.geometry import FIELD_MM, in_pectoral, project, skin_distance
from gazekit_datasets.mammography.phantom.lesions import draw_finding
from gazekit_datasets.mammography.phantom.parenchyma import fibres, glandular_share, power_law, towards_nipple
from gazekit_datasets.mammography.phantom.scene import BreastOutline, Scene, View
from gazekit_datasets.mammography.phantom.strokes import draw_lines

FAT = 0.24
GLAND = 0.40
MUSCLE = 0.60
SUBCUTANEOUS = 0.05
"""Depth of the fat under the skin, in fractions of the image height."""

ROUNDING = 0.11
"""Distance from the skin at which the compressed breast reaches its full thickness."""
QUANTUM_NOISE = 0.010
SATURATION = 1.6
"""Steepness s of the display curve (1 - exp(-s v)) / (1 - exp(-s))."""


def render(
    scene: Scene, view: View, shape: tuple[int, int], *, difficulty: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw one view.

    Args:
        scene: what to draw.
        view: which projection.
        shape: (rows, columns) in pixels.
        difficulty: 0 to 1; strength of the tissue texture.
        rng: for the tissue, which two projections do not share.

    Returns:
        The image ``[H, W]`` float32 in [0, 1] and the lesion's mask ``[H, W]``.
    """
    outline = scene.outlines[view]
    x, y = _grid(shape)
    image = _tissue(scene, outline, x, y, difficulty, rng)
    image += _vessels(scene, view, shape)
    mask = np.zeros(shape, dtype=bool)
    for finding in scene.findings:
        if view in finding.views:
            patch = draw_finding(finding, view, outline, shape)
            image[patch.rows, patch.columns] += patch.brightness
            if finding.role == "lesion":
                mask[patch.rows, patch.columns] |= patch.mask
    developed = _develop(image, x, y, outline, rng)
    mask &= developed > 0
    if scene.laterality == "R":
        return np.ascontiguousarray(developed[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return developed, mask


def _grid(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return pixel centres ``[H, W]`` in fractions of the image height."""
    y, x = (np.indices(shape) + 0.5) / shape[0]
    return x, y


def _tissue(
    scene: Scene, outline: BreastOutline, x: Floats, y: Floats, difficulty: float, rng: np.random.Generator
) -> Floats:
    """Draw fat, glandular tissue, fibres and the pectoral muscle, ``[H, W]``."""
    shape = (x.shape[0], x.shape[1])
    texture = towards_nipple(power_law(shape, rng, beta=3.6, stretch=1.7), outline).astype(np.float64)
    gland = glandular_share(x, y, outline, scene.density, texture)
    gland *= np.clip(skin_distance(x, y, outline) / SUBCUTANEOUS, 0.0, 1.0) ** 0.7
    fine = power_law(shape, rng).astype(np.float64)
    strands = fibres(shape, rng, outline)
    strength = 0.02 + 0.04 * difficulty
    image = FAT + GLAND * gland * (0.85 + 0.1 * texture)
    image += strength * (0.55 + gland) * fine + 0.08 * (0.2 + 0.8 * gland) * strands
    muscle = np.clip(in_pectoral(x, y, outline) / 0.03, 0.0, 1.0) ** 0.8
    return image * (1.0 - muscle) + muscle * (MUSCLE - 0.25 * y + 0.03 * fine + 0.04 * strands)


def _vessels(scene: Scene, view: View, shape: tuple[int, int]) -> Floats:
    """Draw a few winding vessels from the chest wall to the nipple, ``[H, W]``, the same in both views."""
    outline = scene.outlines[view]
    rng = np.random.default_rng(scene.findings[0].shape_seed + 1)
    along = np.linspace(0.0, 1.0, 40)
    image = np.zeros(shape)
    for _ in range(int(rng.integers(3, 6))):
        root = rng.uniform(-0.75, 0.75, 2) * outline.below
        winding = rng.normal(0.0, 0.012, (2, 2)) @ np.sin(np.outer([1.3, 3.1], np.pi * along))
        sideways = root[:, None] * (1.0 - along) ** 0.7 + winding
        behind = outline.depth * (1.0 - 0.85 * along)
        path = np.column_stack([behind, *sideways])
        peaks = 0.11 * (1.0 - 0.8 * along)[None]
        points = project(path, view, outline)[None] * shape[0]
        image += draw_lines(points, peaks, rng.uniform(0.0025, 0.0045) * shape[0], shape)
    return image


def _develop(
    image: Floats, x: Floats, y: Floats, outline: BreastOutline, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Apply compressed thickness, skin line, nipple, quantum noise and black air."""
    depth = skin_distance(x, y, outline)
    thickness = np.sqrt(np.clip(1.0 - (1.0 - np.clip(depth / ROUNDING, 0.0, 1.0)) ** 2, 0.0, 1.0))
    skin = np.exp(-(((depth * FIELD_MM - 1.2) / 1.2) ** 2))
    nipple = _nipple(x, y, outline)
    tissue = (depth > 0) | (nipple > 0)
    body = image * (0.12 + 0.88 * thickness) + 0.13 * skin
    body = np.maximum(np.where(depth > 0, body, 0.0), 0.28 * nipple)
    body += QUANTUM_NOISE * rng.standard_normal(image.shape, dtype=np.float32)
    bright = (1.0 - np.exp(-SATURATION * np.maximum(body, 0.0))) / (1.0 - np.exp(-SATURATION))
    return np.where(tissue, np.clip(bright, 1e-3, 1.0), 0.0).astype(np.float32)


def _nipple(x: Floats, y: Floats, outline: BreastOutline) -> Floats:
    """Draw a small bump on the skin, ``[H, W]`` in [0, 1]."""
    form = ((x - outline.depth + 0.004) / 0.020) ** 2 + ((y - outline.nipple) / 0.024) ** 2
    return np.asarray(np.clip(1.0 - form, 0.0, 1.0) ** 0.7)
