"""The pyramid loss: attention and gaze agree at several scales, where the reader looked most."""

from functools import cache
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import AlignmentLoss
from gazekit.contracts.precision import full_precision


class Pyramid(AlignmentLoss):
    """``L = sum_l mean_xy (Z(G_l(H))^+ - Z(G_l(R))^+)^2`` per map (Eq. 2).

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. ``G_1`` is the map itself; each next
    level is blurred by the binomial [1, 4, 6, 4, 1] / 16 along rows and columns and every second pixel kept,
    with the border mirrored at the outermost pixels (a constant map stays constant). ``Z`` brings a level to
    zero mean and unit variance over space, ``^+`` keeps the positive part.

    ``Z`` divides by ``sqrt(var + 1e-5 var_1)``, where ``var_1`` is the variance of the map at level 1: the
    epsilon of a layer norm, relative to the scale of the map. The loss is therefore the same for ``H`` and
    ``a H + b``, a > 0, however small Grad-CAM makes ``H``, as long as its variance is a number of float32 (values
    from about 1e-18). A constant map has Z = 0 and no gradient.

    Args:
        levels: levels of the pyramid; those after the first level of a single pixel, where Z = 0, add nothing and
            are not computed.
        order: ``"pyramid_first"`` standardises each level (Eq. 2); ``"standardize_first"`` takes the positive
            part of the standardised map once and then builds the pyramid (Fel et al.).

    Source: Eq. 2, Sec. 2.2; Fel et al. 2022, arXiv:2211.04533; levels, border and epsilon are ours.
    """

    def __init__(
        self,
        *,
        levels: PositiveInt = 5,
        order: Literal["pyramid_first", "standardize_first"] = "pyramid_first",
    ) -> None:
        super().__init__()
        self.levels = levels
        self.order = order

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and heat maps ``[B, H, W]`` in [0, 1] to a loss per map, ``[B]``."""
        dtype = torch.float64 if attention.dtype == torch.float64 else torch.float32
        with full_precision(attention.device):
            height, width = gaze.shape[1:]
            looked = self._scales(attention.to(dtype), height, width)
            read = self._scales(gaze.detach().to(dtype), height, width)
            distances = [
                (ours - theirs).square().mean(dim=(1, 2)) for ours, theirs in zip(looked, read, strict=True)
            ]
        return torch.stack(distances).sum(dim=0)  # [B]

    def _scales(self, maps: Tensor, height: int, width: int) -> list[Tensor]:
        """Return the levels to compare of maps resized to ``height`` x ``width``, ``[B, H / 2^l, W / 2^l]``."""
        pyramid_first = self.order == "pyramid_first"
        pyramid = _gaussian_pyramid(maps, height, width, self.levels if pyramid_first else 1)
        spread = pyramid[0].var(dim=(1, 2), correction=0, keepdim=True)  # [B, 1, 1]
        levels = [_positive_part(level, spread) for level in pyramid]
        return levels if pyramid_first else _gaussian_pyramid(levels[0], height, width, self.levels)


def _positive_part(maps: Tensor, spread: Tensor) -> Tensor:
    """Compute ``Z(maps)^+``; ``spread`` is the variance ``[B, 1, 1]`` of the maps at level 1."""
    mean = maps.mean(dim=(1, 2), keepdim=True)
    centred = maps - mean
    rounding = 16 * torch.finfo(maps.dtype).eps * maps.abs().amax(dim=(1, 2), keepdim=True)
    varies = spread > rounding.square()
    variance = centred.square().mean(dim=(1, 2), keepdim=True) + 1e-5 * spread
    standardised = centred / torch.where(varies, variance, 1.0).sqrt()
    return torch.where(varies, standardised, 0.0).relu()


def _gaussian_pyramid(maps: Tensor, height: int, width: int, levels: int) -> list[Tensor]:
    """Resize maps ``[B, h, w]`` to ``height`` x ``width``, and add up to ``levels - 1`` ever smaller copies.

    Resizing, blurring and halving are linear, so a level is ``A_h X A_w^T``: two matrix products, several times faster
    than interpolation and convolutions with stride, and deterministic on every device. The small maps of a network
    are multiplied by the product of all steps to a level; for maps of full size, each level is made from the one
    before.
    """
    full = maps.shape[1:] == (height, width)
    pyramid = [maps] if full else []
    for level in range(len(pyramid), levels):
        if pyramid and pyramid[-1].shape[1:] == (1, 1):
            break
        rows, columns = (
            _step(size, level, maps.dtype, maps.device)
            if full
            else _steps(small, size, level, maps.dtype, maps.device)
            for small, size in zip(maps.shape[1:], (height, width), strict=True)
        )
        pyramid.append(rows @ (pyramid[-1] if full else maps) @ columns.mT)
    return pyramid


@cache  # never forgotten: a step recorded on a GPU reads them where they are
def _steps(small: int, size: int, level: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix from ``small`` pixels, resized to ``size``, to a level: ``[ceil(size / 2^level), small]``."""
    # a matrix made in inference mode would fail in training later; torch.compile supports no keyword here
    with torch.inference_mode(False):
        pixels = torch.eye(small, dtype=torch.float64)[None]  # [1, channel = pixel, pixel]
        matrix = nn.functional.interpolate(pixels, size, mode="linear")[0].mT
        for step in range(level):
            matrix = _blur_and_halve(-(-size // 2**step)) @ matrix
        return matrix.to(device, dtype)


@cache  # never forgotten: a step recorded on a GPU reads them where they are
def _step(size: int, level: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix from the previous level, of ``size`` pixels at full size, to a level, ``[ceil(n / 2), n]``."""
    with torch.inference_mode(False):
        return _blur_and_halve(-(-size // 2 ** (level - 1))).to(device, dtype)


def _blur_and_halve(size: int) -> Tensor:
    """Return the banded matrix ``[ceil(size / 2), size]`` of the binomial filter at every second pixel."""
    matrix = torch.zeros((size + 1) // 2, size, dtype=torch.float64)
    for row in range(len(matrix)):
        for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            matrix[row, _mirrored(2 * row + offset, size)] += weight / 16
    return matrix


def _mirrored(index: int, size: int) -> int:
    """Return the pixel in ``0 ... size - 1`` for ``index``, mirrored at the outermost pixels."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    return min(index % period, -index % period)
