"""Bring attention maps and heat maps to one grid and one scale, so that a loss can compare them.

Every function keeps float64 and computes in float32 otherwise, and a map that is constant or has no positive part
gets zeros and a gradient of zero, never NaN.
"""

import math

import torch
from torch import Tensor, nn


def resize(maps: Tensor, grid: torch.Size) -> Tensor:
    """Resize maps ``[B, h, w]`` bilinearly to a grid ``(H, W)``, with the border repeated: ``[B, H, W]``."""
    return nn.functional.interpolate(_precise(maps)[:, None], grid, mode="bilinear")[:, 0]


def unit_range(maps: Tensor) -> Tensor:
    """Scale each map ``[B, h, w]`` to ``(H - min H) / (max H - min H)``; zeros where it varies by rounding alone."""
    maps = _precise(maps)
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    span = high - low  # [B, 1, 1]
    rounding = 8 * torch.finfo(maps.dtype).eps * torch.maximum(high.abs(), low.abs())
    varies = span > rounding
    return torch.where(varies, (maps - low) / torch.where(varies, span, 1.0), 0.0)


def unit_peak(maps: Tensor) -> Tensor:
    """Scale each map ``[B, h, w]`` to ``H^+ / max H^+``; zeros without a positive part."""
    positive = _precise(maps).relu()
    return _divided(positive, positive.amax(dim=(1, 2), keepdim=True))


def unit_sum(maps: Tensor) -> Tensor:
    """Scale each map ``[B, h, w]`` to ``H^+ / sum H^+``, a distribution; zeros without a positive part."""
    positive = _precise(maps).relu()
    share = _divided(positive, positive.detach().amax(dim=(1, 2), keepdim=True))
    return _divided(share, share.sum(dim=(1, 2), keepdim=True))


def unit_norm(maps: Tensor) -> Tensor:
    """Scale each map ``[B, h, w]`` to ``H / ||H||``, with the Euclidean norm; a map of zeros stays zeros."""
    maps = _precise(maps)
    peaked = _divided(
        maps, maps.detach().abs().amax(dim=(1, 2), keepdim=True)
    )  # so that no square underflows
    squares = peaked.square().sum(dim=(1, 2), keepdim=True)
    return _divided(peaked, torch.where(squares > 0, squares, 1.0).sqrt())


def unit_variance(maps: Tensor) -> Tensor:
    """Scale each map ``[B, h, w]`` to ``(H - mean H) / sd H``; zeros where it varies by rounding alone."""
    maps = _precise(maps)
    centred = maps - maps.mean(dim=(1, 2), keepdim=True)
    rounding = 16 * torch.finfo(maps.dtype).eps * maps.detach().abs().amax(dim=(1, 2), keepdim=True)
    varies = centred.detach().abs().amax(dim=(1, 2), keepdim=True) > rounding  # [B, 1, 1]
    return unit_norm(torch.where(varies, centred, 0.0)) * math.sqrt(maps.shape[1:].numel())


def _divided(maps: Tensor, scale: Tensor) -> Tensor:
    """Divide maps by a scale ``[B, 1, 1]``; zeros where that is zero."""
    there = scale > torch.finfo(scale.dtype).tiny
    return torch.where(there, maps / torch.where(there, scale, 1.0), 0.0)


def _precise(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()
