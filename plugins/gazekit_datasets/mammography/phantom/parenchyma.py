"""Draw the tissue of a view: power-law texture, glandular tissue, fibres.

Mammographic backgrounds have a power spectrum P(f) = c / f^beta with beta about 3.

Source: Burgess, Jacobson, Judy 2001, Medical Physics 28(4), doi:10.1118/1.1355308.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from gazekit.records.arrays import Floats
from gazekit_datasets.mammography.phantom.scene import BreastOutline

BETA = 3.0
OUTER_SCALE = 0.4
"""Size of the largest structures, in fractions of the image height; below 1 / OUTER_SCALE the spectrum is flat."""


def power_law(
    shape: tuple[int, int], rng: np.random.Generator, *, beta: float = BETA, stretch: float = 1.0
) -> NDArray[np.float32]:
    """Draw a Gaussian random field ``[H, W]``, mean 0 and variance 1, with P(f) ~ (f0^2 + f^2)^(-beta/2).

    Args:
        shape: of the field in pixels; lengths are fractions of its height.
        rng: random numbers.
        beta: exponent of the power spectrum.
        stretch: length of structures along x over that along y.
    """
    height, width = shape
    padded = fft.next_fast_len(height, real=True), fft.next_fast_len(round(1.5 * width), real=True)
    noise = rng.standard_normal(padded, dtype=np.float32)
    along_y = fft.fftfreq(padded[0], 1 / height)[:, None]  # cycles per image height
    along_x = fft.rfftfreq(padded[1], 1 / height)[None, :] * stretch
    squared = along_x**2 + along_y**2
    gain = (OUTER_SCALE**-2 + squared) ** (-beta / 4)
    gain[0, 0] = 0.0
    field = fft.irfft2(fft.rfft2(noise) * gain.astype(np.float32), s=padded)
    return np.asarray(field[:height, :width] / field.std(), dtype=np.float32)


def towards_nipple(field: NDArray[np.float32], outline: BreastOutline) -> NDArray[np.float32]:
    """Bend a field ``[H, W]`` so that its horizontal structures converge at the nipple, as ducts do."""
    height, width = field.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    behind = np.clip(1.0 - x / (outline.depth * height), 0.0, 1.0)
    centre = np.float32(outline.nipple * height)
    source = centre + (y - centre) / (0.45 + 0.55 * behind)
    return np.asarray(ndimage.map_coordinates(field, [source, x], order=1, mode="reflect"))


def glandular_share(x: Floats, y: Floats, outline: BreastOutline, density: float, texture: Floats) -> Floats:
    """Compute the share of glandular tissue in [0, 1]: a fan at the nipple, its border frayed by the texture.

    Args:
        x, y: pixel positions ``[H, W]`` in fractions of the image height.
        outline: of the breast.
        density: 0.2 (fatty) to 0.8 (dense).
        texture: a field of unit variance ``[H, W]``.
    """
    rise = (y - outline.nipple) / np.where(y < outline.nipple, min(outline.above, 0.5), outline.below)
    forward = x / outline.depth
    envelope = np.exp(-(((forward - 0.62) / 0.36) ** 2) - (rise / (0.35 + 0.35 * density)) ** 2)
    return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (envelope + density - 1.0 + 0.33 * texture))))


def fibres(shape: tuple[int, int], rng: np.random.Generator, outline: BreastOutline) -> NDArray[np.float32]:
    """Draw ligaments and ducts: thin bright strands ``[H, W]`` in [0, 1], where a bent texture crosses zero."""
    strands = np.zeros(shape, dtype=np.float32)
    for _ in range(2):
        field = towards_nipple(power_law(shape, rng, beta=2.8, stretch=3.0), outline)
        strands = np.maximum(strands, np.exp(-((field / np.float32(0.09)) ** 2)))
    return strands
