"""Draw random scenes: the patient, the shape of the breast, and its findings."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.geometry import in_pectoral, inside, project
from gazekit_datasets.mammography.phantom.scene import (
    VIEWS,
    BreastOutline,
    Role,
    Scene,
    SceneFinding,
    Settings,
    View,
    generator,
)

BOTH_BREASTS = 0.35
"""Share of exam pairs that are the two breasts of one patient."""
MALIGNANT = 0.45
MONOCHROME1 = 0.25
LESION_CONTRAST = 0.32
"""At difficulty 0.5; the brightest tissue is about 0.9."""
CLUSTER_SIZE = 0.6
"""Diameter of a cluster over that of a mass's core."""
MARGIN = 0.65
"""Least distance of a finding's centre from the skin, in its diameters."""
CLEARANCE = 1.6
"""Wanted distance of a finding's centre from the border of another, in its own diameters."""
CANDIDATES = 500


def draw_scene(settings: Settings, seed: int, index: int) -> Scene:
    """Draw the scene of exam ``index``; it depends only on the settings, the seed and the index."""
    first = index - index % 2
    both = generator(seed, first, "pair").random() < BOTH_BREASTS
    number = first if both else index
    patient = generator(seed, number, "patient")
    laterality: Literal["L", "R"] = "L" if (patient.random() < 0.5) == (index == number) else "R"
    bits, inverted = int(patient.choice([12, 14])), bool(patient.random() < MONOCHROME1)
    density = float(patient.uniform(0.25, 0.75))
    outlines = _outlines(patient)
    with_look_alike = bool(generator(seed, index, "look-alike").random() < settings.look_alikes)
    rng = generator(seed, index, "scene")
    malignant = bool(rng.random() < MALIGNANT)
    return Scene(
        exam_id=f"P{number + 1:05d}_{laterality}",
        patient_id=f"P{number + 1:05d}",
        laterality=laterality,
        malignant=malignant,
        density=density,
        outlines=outlines,
        findings=_findings(settings, rng, malignant, outlines, with_look_alike=with_look_alike),
        bits=bits,
        inverted=inverted,
        has_gaze=bool(generator(seed, index, "recording").random() >= settings.without_gaze),
    )


def _outlines(rng: np.random.Generator) -> dict[View, BreastOutline]:
    depth = rng.uniform(0.40, 0.56)
    half = rng.uniform(0.34, 0.42)
    nipple = rng.uniform(0.47, 0.53)
    low = rng.uniform(0.56, 0.64)
    return {
        "cc": BreastOutline(depth, nipple, half, half * rng.uniform(0.92, 1.08)),
        "mlo": BreastOutline(
            depth * rng.uniform(0.98, 1.06),
            low,
            low * rng.uniform(1.08, 1.25),
            min(half * rng.uniform(0.85, 1.0), 0.95 - low),
            (rng.uniform(0.16, 0.27), rng.uniform(0.40, 0.60)),
        ),
    }


def _findings(
    settings: Settings,
    rng: np.random.Generator,
    malignant: bool,
    outlines: dict[View, BreastOutline],
    *,
    with_look_alike: bool,
) -> tuple[SceneFinding, ...]:
    """Draw the lesion, one look-alike of the other kind in one view, and harmless densities.

    A look-alike that is left out is still drawn first, so that the rest of the scene does not change.
    """
    kind: Literal["mass", "calcifications"] = (
        "calcifications" if rng.random() < settings.calcifications else "mass"
    )
    level = settings.contrast * (1.15 - 0.3 * settings.difficulty)
    found: list[SceneFinding] = []

    def add(role: Role, looks_malignant: bool, strength: float, views: tuple[View, ...]) -> None:
        diameter = float(rng.uniform(*settings.lesion_size)) * (1.0 if kind == "mass" else CLUSTER_SIZE)
        contrast = float(level * strength * rng.uniform(0.85, 1.15))
        position = _free_position(rng, outlines, diameter, views, found)
        shape_seed = int(rng.integers(2**31))
        found.append(
            SceneFinding(role, kind, looks_malignant, position, diameter, contrast, views, shape_seed)
        )

    add("lesion", malignant, LESION_CONTRAST, VIEWS)
    superposed = VIEWS[int(rng.random() < 0.5)]
    add("look_alike", not malignant, LESION_CONTRAST * (0.5 + 0.5 * settings.difficulty), (superposed,))
    for _ in range(int(rng.integers(0, 1 + round(2 * settings.difficulty)))):
        add("density", False, float(rng.uniform(0.08, 0.18)), VIEWS)
    return tuple(finding for finding in found if finding.role != "look_alike" or with_look_alike)


def _free_position(
    rng: np.random.Generator,
    outlines: dict[View, BreastOutline],
    diameter: float,
    views: tuple[View, ...],
    others: list[SceneFinding],
) -> tuple[float, float, float]:
    """Find a place inside the breast in both views, off the pectoral muscle and clear of other findings.

    This is the first clear candidate, or the clearest one if the breast is too small.
    """
    low = np.array([0.18 * outlines["cc"].depth, -outlines["cc"].above, -outlines["cc"].above])
    high = np.array([0.88 * outlines["cc"].depth, outlines["cc"].above, outlines["cc"].above])
    candidates = rng.uniform(low, high, (CANDIDATES, 3))
    fits = np.logical_and(*(_fits(candidates, view, outlines[view], diameter) for view in VIEWS))
    gap = np.full(CANDIDATES, CLEARANCE * diameter)
    for view in views:
        places = project(candidates, view, outlines[view])
        for other in others:
            if view in other.views:
                away = np.linalg.norm(places - project(other.position, view, outlines[view]), axis=1)
                gap = np.minimum(gap, away - other.diameter / 2)
    behind, lateral, cranial = candidates[np.argmax(np.where(fits, gap, -1.0))].tolist()
    return behind, lateral, cranial


def _fits(positions: Floats, view: View, outline: BreastOutline, diameter: float) -> NDArray[np.bool_]:
    x, y = project(positions, view, outline).T
    return np.asarray(
        (inside(x, y, outline) * min(outline.depth, outline.above, outline.below) > MARGIN * diameter)
        & (x > 0.5 * diameter)
        & (in_pectoral(x, y, outline) < -0.5 * diameter)
        & (diameter < y)
        & (y < 1.0 - diameter)
    )
