"""The pyramid loss: attention and gaze agree at several scales, where the reader looked most."""

from functools import lru_cache
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.interfaces import AlignmentLoss


class Pyramid(AlignmentLoss):
    """``L = sum_l mean_xy (Z(G_l(H))^+ - Z(G_l(R))^+)^2`` per map (Eq. 2).

    ``H`` is first resized bilinearly to the grid of the heat map ``R``. ``G_1`` is the map itself; each next
    level is blurred by the binomial [1, 4, 6, 4, 1] / 16 along rows and columns and every second pixel kept,
    with the border mirrored at the outermost pixels (a constant map stays constant). ``Z`` brings a level to
    zero mean and unit variance over space, ``^+`` keeps the positive part.

    ``Z`` divides by ``sqrt(var + 1e-5 var_1)``, where ``var_1`` is the variance of the map at level 1: the
    epsilon of a layer norm, in units of the map's own scale. The loss therefore is the same for ``H`` and
    ``a H + b``, a > 0, however small Grad-CAM makes ``H``. A constant map has Z = 0 and no gradient.

    Args:
        levels: levels of the pyramid; those behind the first of a single pixel, where Z = 0, add nothing and
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
        with torch.autocast(attention.device.type, enabled=False):
            looked = attention.to(dtype)[:, None]  # [B, 1, h, w]
            looked = nn.functional.interpolate(looked, gaze.shape[1:], mode="bilinear")[:, 0]  # [B, H, W]
            distances = [
                (ours - theirs).square().mean(dim=(1, 2))
                for ours, theirs in zip(
                    self._scales(looked), self._scales(gaze.detach().to(dtype)), strict=True
                )
            ]
        return torch.stack(distances).sum(dim=0)  # [B]

    def _scales(self, maps: Tensor) -> list[Tensor]:
        """The levels to compare, ``[B, H / 2^l, W / 2^l]``."""
        spread = maps.var(dim=(1, 2), correction=0, keepdim=True)  # [B, 1, 1]
        if self.order == "pyramid_first":
            return [_positive_part(level, spread) for level in _gaussian_pyramid(maps, self.levels)]
        return _gaussian_pyramid(_positive_part(maps, spread), self.levels)


def _positive_part(maps: Tensor, spread: Tensor) -> Tensor:
    """``Z(maps)^+``; ``spread`` is the variance ``[B, 1, 1]`` of the maps at level 1."""
    mean = maps.mean(dim=(1, 2), keepdim=True)
    centred = maps - mean
    rounding = 16 * torch.finfo(maps.dtype).eps * maps.abs().amax(dim=(1, 2), keepdim=True)
    varies = spread > rounding.square()
    variance = centred.square().mean(dim=(1, 2), keepdim=True) + 1e-5 * spread
    standardised = centred / torch.where(varies, variance, 1.0).sqrt()
    return torch.where(varies, standardised, 0.0).relu()


def _gaussian_pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """The maps ``[B, H, W]`` and up to ``levels - 1`` ever smaller copies, down to one pixel.

    Blurring and halving is linear, so a level is ``A_h X A_w^T``: two matrix products, several times faster
    than a convolution with stride, and deterministic on every device.
    """
    pyramid = [maps]
    while len(pyramid) < levels and pyramid[-1].shape[1:] != (1, 1):
        height, width = pyramid[-1].shape[1:]
        rows = _blur_and_halve(height, maps.dtype, maps.device)
        columns = _blur_and_halve(width, maps.dtype, maps.device)
        pyramid.append(rows @ pyramid[-1] @ columns.mT)
    return pyramid


@lru_cache(maxsize=64)
def _blur_and_halve(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The banded matrix ``[ceil(size / 2), size]`` of the binomial filter at every second pixel."""
    with torch.inference_mode(mode=False):  # a matrix made at inference could not serve training later
        matrix = torch.zeros((size + 1) // 2, size, dtype=torch.float64)
        for row in range(len(matrix)):
            for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
                matrix[row, _mirrored(2 * row + offset, size)] += weight / 16
        return matrix.to(device, dtype)


def _mirrored(index: int, size: int) -> int:
    """The pixel in ``0 ... size - 1`` that stands for ``index``, the outermost pixels being the mirrors."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    return min(index % period, -index % period)
