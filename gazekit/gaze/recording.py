"""A gaze recording on one image: samples, or fixations where the export holds only those."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one reader looked at on one image.

    Coordinates are continuous pixels of the original image: (0, 0) is the outer corner of its first pixel,
    x to the right, y down, so the centre of pixel ``i`` is ``i + 0.5``.

    Args:
        source: the file it was read from.
        x, y: ``[N]``; NaN where the sample was lost (blink, out of range).
        t_ms: ``[N]`` onset of each row in ms, ascending; None if the format has no time.
        duration_ms: ``[N]`` when the rows are fixations; None when they are samples.
        exam_id, view: as the file names them; None when it does not.
        image: file name of the image looked at, as the file names it; None when it does not.
        pixels_per_degree: image pixels per degree of visual angle; None when the geometry is unknown.
        suspect: ``[N]`` bool, samples that may have been clamped to the image border; None when not known.
    """

    source: Path
    x: Floats
    y: Floats
    t_ms: Floats | None = None
    duration_ms: Floats | None = None
    exam_id: str | None = None
    view: str | None = None
    image: str | None = None
    pixels_per_degree: float | None = None
    suspect: NDArray[np.bool_] | None = None
