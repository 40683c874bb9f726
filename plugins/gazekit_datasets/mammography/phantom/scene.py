"""Define a breast as a three-dimensional scene, before projection and drawing.

Lengths are fractions of the image height. A position is (behind, lateral, cranial): its distance behind the
nipple towards the chest wall, its distance towards the armpit side, and its distance towards the head.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

View = Literal["cc", "mlo"]
Role = Literal["lesion", "look_alike", "density"]

VIEWS: tuple[View, View] = ("cc", "mlo")
CLASSES = ("benign", "malignant")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a phantom, as `Phantom` documents them."""

    image_height: int
    difficulty: float
    lesion_size: tuple[float, float]
    contrast: float
    calcifications: float
    gaze_quality: float
    without_gaze: float
    look_alikes: float
    unmatched: float
    look_alike_contrast: float
    findings: tuple[int, int]
    readers: int
    reader_skill: float
    reader_spread: float
    disagreement: float


@dataclass(frozen=True, slots=True)
class BreastOutline:
    """The compressed breast in one view, with the pectoral muscle if visible.

    Args:
        depth: from the chest wall to the nipple.
        nipple: height of the nipple below the upper image border.
        above, below: from the nipple's level to the upper and lower end of the half-ellipse.
        pectoral: (width at the upper border, length along the chest wall); None if not visible.
    """

    depth: float
    nipple: float
    above: float
    below: float
    pectoral: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SceneFinding:
    """A finding that a reader may look at.

    Args:
        role: the ``lesion`` decides the label, a ``look_alike`` is a superposition seen in one view only, a
            ``density`` is harmless.
        kind: mass or cluster of calcifications.
        malignant: whether it looks malignant.
        position: of its centre, see above.
        diameter: of the mass's core or of the cluster.
        contrast: its brightness above the surrounding tissue; the brightest tissue is about 0.9.
        views: the views that show it.
        shape_seed: for its three-dimensional shape, the same in every view.
    """

    role: Role
    kind: Literal["mass", "calcifications"]
    malignant: bool
    position: tuple[float, float, float]
    diameter: float
    contrast: float
    views: tuple[View, ...]
    shape_seed: int


@dataclass(frozen=True, slots=True)
class Scene:
    """An exam before it is drawn.

    Args:
        exam_id, patient_id: synthetic.
        laterality: ``L`` or ``R``.
        malignant: the label, that of the findings whose role is ``lesion``.
        density: share of glandular tissue, 0.2 (fatty) to 0.8 (dense).
        outlines: one per view.
        findings: the lesions first.
        bits: stored per pixel, 12 or 14.
        inverted: written as MONOCHROME1.
        has_gaze: whether there is a recording.
    """

    exam_id: str
    patient_id: str
    laterality: Literal["L", "R"]
    malignant: bool
    density: float
    outlines: dict[View, BreastOutline]
    findings: tuple[SceneFinding, ...]
    bits: int
    inverted: bool
    has_gaze: bool

    @property
    def label(self) -> str:
        """The class name."""
        return CLASSES[self.malignant]

    @property
    def lesions(self) -> tuple[SceneFinding, ...]:
        """The findings that decide the label, at least one."""
        return tuple(finding for finding in self.findings if finding.role == "lesion")


def generator(seed: int, index: int, purpose: str) -> np.random.Generator:
    """Make the random generator of an exam (or patient) for one purpose: f(seed, index, purpose), never a stream."""
    return np.random.default_rng((seed, index, zlib.crc32(purpose.encode())))
