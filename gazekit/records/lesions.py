"""Lesions as data sets store them: mask files and outlines, several per view."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MaskFile:
    """An image file whose stored values are not 0 in the lesion (in a lossy file: above half of the greatest).

    Args:
        path: the file.
        resize: stretch a mask of another size to its image; otherwise another size is an error.
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
