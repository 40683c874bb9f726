"""An image as it was read from its file, before any crop or resize."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """One grey image.

    Args:
        stored: ``[H, W]`` the values in the file.
        pixels: ``[H, W]`` float32 in [0, 1], dark background.
        laterality: ``"L"`` or ``"R"`` where the file says so, else None.
        pixel_spacing_mm: (vertical, horizontal) distance of pixel centres in mm, else None.
        modality: as a DICOM file says (``"MG"``), else empty.
        warnings: what is odd about the file and how it was read, a sentence each without its subject, the image.
        guessed_depth: bits of the full scale, where they were guessed from the brightest pixel; None elsewhere.
    """

    stored: NDArray[Any]
    pixels: NDArray[np.float32]
    laterality: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    modality: str = ""
    warnings: tuple[str, ...] = ()
    guessed_depth: int | None = None

    def digest(self) -> str:
        """A hash of the stored values: the same for one image in two formats, compressions or depths of type."""
        values = self.stored
        if values.dtype.itemsize == 1:
            values = values.astype(np.int16)
        digest = hashlib.sha256(repr(values.shape).encode())
        digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
        return digest.hexdigest()
