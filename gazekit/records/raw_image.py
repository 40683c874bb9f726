"""An image as read from its file, before any crop or resize."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazekit.records.arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class RawImage:
    """One image.

    Args:
        stored: ``[H, W]`` the values in the file.
        pixels: ``[H, W]`` float32 in [0, 1], dark background; of a colour image its luminance.
        laterality: ``"L"`` or ``"R"`` if the file gives it, else None.
        pixel_spacing_mm: (vertical, horizontal) distance of pixel centres in mm, else None.
        modality: from a DICOM file (``"MG"``), else empty.
        warnings: oddities of the file and how it was read; sentences without their subject, the image.
        guessed_depth: bits of the full scale if guessed from the brightest pixel, else None.
        colour: ``[3, H, W]`` float32 in [0, 1], red, green, blue; None unless asked for.
    """

    stored: Array
    pixels: NDArray[np.float32]
    laterality: str | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    modality: str = ""
    warnings: tuple[str, ...] = ()
    guessed_depth: int | None = None
    colour: NDArray[np.float32] | None = None

    def digest(self) -> str:
        """Hash the stored values; the hash is the same for one image in two formats, compressions or integer types."""
        values = self.stored
        if values.dtype.itemsize == 1:
            values = values.astype(np.int16)
        digest = hashlib.sha256(repr(values.shape).encode())
        digest.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
        return digest.hexdigest()
