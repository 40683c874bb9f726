"""An image as it was read from its file, before any crop or resize."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """One grey image.

    Args:
        pixels: ``[H, W]`` float32 in [0, 1], dark background.
        laterality: ``"L"`` or ``"R"`` where the file says so, else None.
        view: the view position as the file names it, in capitals (``"CC"``, ``"MLO"``), else None.
        pixel_spacing_mm: (vertical, horizontal) distance of pixel centres in mm, else None.
    """

    pixels: NDArray[np.float32]
    laterality: str | None = None
    view: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
