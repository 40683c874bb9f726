"""Augment grey values: blur, gain, gamma and noise per exam and view, a function of (seed, epoch, exam)."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gazekit.feeding.random_numbers import INTENSITY, random_generator
from gazekit.presets.tables import AugmentationSettings

_KEYS = 2**24
"""Keys of the noise are whole numbers below it, which float32 holds exactly."""
_REACH = 3
"""Widths of a Gaussian within its kernel."""


def changes_intensity(settings: AugmentationSettings) -> bool:
    """Whether the settings change grey values at all."""
    return any((settings.gain, settings.gamma, settings.noise, settings.blur))


def random_intensity(
    settings: AugmentationSettings, exams: NDArray[np.int64], views: int, *, seed: int, epoch: int
) -> NDArray[np.float32]:
    """Draw blur (px), gain, gamma, noise (SD) and a key of the noise, ``[B, views, 5]``.

    Args:
        settings: their largest values.
        exams: ``[B]`` indices of the exams in their data set.
        views: number of views, each with its own draw.
        seed, epoch: with the exam's index they fix the draw.
    """
    draws = np.stack(
        [
            random_generator(seed=seed, purpose=INTENSITY, index=int(exam), epoch=epoch).random((views, 5))
            for exam in exams
        ]
    )  # in [0, 1)
    signed = 2 * draws - 1
    values = (
        settings.blur * draws[..., 0],
        1 + settings.gain * signed[..., 1],
        np.exp(math.log1p(settings.gamma) * signed[..., 2]),
        settings.noise * draws[..., 3],
        np.floor(_KEYS * draws[..., 4]),
    )
    return np.stack(values, axis=-1).astype(np.float32)


def change_intensity(images: Tensor, drawn: Tensor, settings: AugmentationSettings) -> Tensor:
    """Blur ``[N, H, W]`` in [0, 1], then ``x <- (gain x)^gamma``, then add noise where it is not black.

    Black stays black under gain, gamma and noise; everything is cut to [0, 1].

    Args:
        images: grey values.
        drawn: ``[N, 5]`` as ``random_intensity`` draws them.
        settings: which of the changes there are.
    """
    blur, gain, gamma, noise, key = (each[:, None, None] for each in drawn.unbind(dim=1))
    values = images.clamp(0, 1)
    if settings.blur:
        values = _blurred(values, blur, math.ceil(_REACH * settings.blur))
    if settings.gain:
        values = (values * gain).clamp(0, 1)
    if settings.gamma:
        values = values**gamma
    if settings.noise:
        normal = _normal(key.to(torch.int64), values.shape[1], values.shape[2])
        values = torch.where(values > 0, (values + noise * normal).clamp(0, 1), values)
    return values


def _blurred(images: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """A Gaussian of each image's own width in px, along one axis and the other; edges are continued."""
    taps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (taps / sigma[:, :, 0].clamp(min=1e-3)).square())  # [N, taps]
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    for axis in (1, 2):
        edges = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        padded = functional.pad(images[:, None], edges, mode="replicate")[:, 0]
        size = images.shape[axis]
        shifted = [padded.narrow(axis, tap, size) * kernel[:, tap, None, None] for tap in range(len(taps))]
        images = torch.stack(shifted).sum(dim=0)
    return images


def _normal(key: Tensor, height: int, width: int) -> Tensor:
    """Standard normal numbers ``[N, H, W]``, a function of key ``[N, 1, 1]`` and place; the same on every device."""
    place = torch.arange(height * width, device=key.device).view(1, height, width)
    word = _scrambled(_scrambled(place + 0x9E3779B9) ^ _scrambled(key + 0x85EBCA6B))
    uniform = ((word >> 9).to(torch.float32) + 0.5) / 2**23  # in (0, 1), exactly
    return math.sqrt(2) * torch.erfinv(2 * uniform - 1)


def _scrambled(word: Tensor) -> Tensor:
    """The finaliser of MurmurHash3, on the lower 32 bits of int64."""
    word = word & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = ((word ^ (word >> shift)) * factor) & 0xFFFFFFFF
    return word ^ (word >> 16)
