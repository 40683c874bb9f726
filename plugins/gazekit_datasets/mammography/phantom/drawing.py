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
PATIENTS = 100_000
"""Patients of one seed with distinct names: those of other seeds are other patients."""
MALIGNANT = 0.45
MONOCHROME1 = 0.25
LESION_CONTRAST = 0.32
"""At difficulty 0.5; the brightest tissue is about 0.9."""
CLUSTER_SIZE = 0.9
"""Diameter of a cluster over that of a mass's core."""
MARGIN = 0.65
"""Least distance of a finding's centre from the skin, in its diameters."""
CLEARANCE = 1.6
"""Wanted distance of a finding's centre from the border of another, in its own diameters."""
APART = 0.07
"""Wanted difference in distance behind the nipple, 16 mm, between findings of two views that do not match."""
CANDIDATES = 2000


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
    look_alikes = _look_alikes(settings, generator(seed, index, "look-alike"))
    rng = generator(seed, index, "scene")
    malignant = bool(rng.random() < MALIGNANT)
    name = f"P{PATIENTS * seed + number + 1:05d}"
    return Scene(
        exam_id=f"{name}_{laterality}",
        patient_id=name,
        laterality=laterality,
        malignant=malignant,
        density=density,
        outlines=outlines,
        findings=_findings(settings, rng, malignant, outlines, look_alikes=look_alikes),
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
    look_alikes: int,
) -> tuple[SceneFinding, ...]:
    """Draw the lesions, a look-alike of the other kind in ``look_alikes`` (0 to 2) views, and harmless densities.

    The look-alikes of two views lie at different distances behind the nipple, where no lesion lies either, so they
    cannot be projections of one mass. A finding that is left out is still drawn, so that the rest does not change.
    """
    kind: Literal["mass", "calcifications"] = (
        "calcifications" if rng.random() < settings.calcifications else "mass"
    )
    level = settings.contrast * (1.15 - 0.3 * settings.difficulty)
    found: list[SceneFinding] = []

    def add(role: Role, looks_malignant: bool, strength: float, views: tuple[View, ...]) -> None:
        diameter = float(rng.uniform(*settings.lesion_size)) * (1.0 if kind == "mass" else CLUSTER_SIZE)
        contrast = float(level * strength * rng.uniform(0.85, 1.15))
        taken = [f.position[0] for f in found] if role == "look_alike" else []
        position = _free_position(rng, outlines, diameter, views, found, taken)
        shape_seed = int(rng.integers(2**31))
        found.append(
            SceneFinding(role, kind, looks_malignant, position, diameter, contrast, views, shape_seed)
        )

    for _ in range(int(rng.integers(*settings.findings, endpoint=True))):
        add("lesion", malignant, LESION_CONTRAST, VIEWS)
    lesions = len(found)
    first = int(rng.random() < 0.5)
    for view in (VIEWS[first], VIEWS[1 - first]):
        add("look_alike", not malignant, LESION_CONTRAST * settings.look_alike_contrast, (view,))
    for _ in range(int(rng.integers(0, 1 + round(2 * settings.difficulty)))):
        add("density", False, float(rng.uniform(0.08, 0.18)), VIEWS)
    return tuple(found[: lesions + look_alikes] + found[lesions + len(VIEWS) :])


def _look_alikes(settings: Settings, rng: np.random.Generator) -> int:
    """Draw the number of views that show a look-alike: 0, 1, or 2 at places that do not match."""
    there, both = rng.random(2)
    return int(there < settings.look_alikes) * (1 + int(both < settings.unmatched))


def _free_position(
    rng: np.random.Generator,
    outlines: dict[View, BreastOutline],
    diameter: float,
    views: tuple[View, ...],
    others: list[SceneFinding],
    taken: list[float],
) -> tuple[float, float, float]:
    """Find a place inside the breast in both views, off the pectoral muscle and clear of other findings.

    This is the first clear candidate, or the clearest one if the breast is too small. ``taken`` lists distances
    behind the nipple to keep away from.
    """
    low = np.array([0.18 * outlines["cc"].depth, -outlines["cc"].above, -outlines["cc"].above])
    high = np.array([0.88 * outlines["cc"].depth, outlines["cc"].above, outlines["cc"].above])
    candidates = rng.uniform(low, high, (CANDIDATES, 3))
    fits = np.logical_and(*(_fits(candidates, view, outlines[view], diameter) for view in VIEWS))
    gap = np.full(CANDIDATES, CLEARANCE * diameter)
    for distance in taken:
        gap = np.minimum(gap, np.abs(candidates[:, 0] - distance) / APART * CLEARANCE * diameter)
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
