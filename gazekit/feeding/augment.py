"""Augmentation: one random affine map per exam and view, a function of (seed, epoch, exam)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gazekit.feeding.random_numbers import DROPPED_VIEW, PLACE, random_generator
from gazekit.presets.tables import AugmentationSettings

_DRAWS = 6  # rotation, two shifts, size, two flips
_HORIZONTAL = [1, 3, 4]
"""Draws that move along the horizontal axis: shift, size, flip."""


def random_affine(
    settings: AugmentationSettings,
    exams: NDArray[np.int64],
    views: int,
    *,
    seed: int,
    epoch: int,
    aspect: float = 1.0,
) -> NDArray[np.float32]:
    """Draw one affine map per exam and view.

    Args:
        settings: ranges and probabilities.
        exams: ``[B]`` indices of the exams in their data set.
        views: number of views.
        seed, epoch: with the exam's index they fix the draw.
        aspect: height / width of the image, without which a rotation would shear it.

    Returns:
        ``[B, views, 2, 3]``: from output to input coordinates in [-1, 1], as ``affine_grid`` takes them.
    """
    draws = np.stack(
        [
            random_generator(seed=seed, purpose=PLACE, index=int(exam), epoch=epoch).random((views, _DRAWS))
            for exam in exams
        ]
    )  # [B, views, draws] in [0, 1)
    if settings.same_for_views:
        shared = _HORIZONTAL if settings.same_for_views == "horizontal" else slice(None)
        draws[..., shared] = draws[:, :1, shared]
    signed = 2 * draws - 1
    angle = np.deg2rad(settings.rotation) * signed[..., 0]
    size = 1 + settings.scale * signed[..., 3]
    flip_x = np.where(draws[..., 4] < settings.flip_horizontal, -1.0, 1.0)
    flip_y = np.where(draws[..., 5] < settings.flip_vertical, -1.0, 1.0)
    shift = 2 * settings.translation * signed[..., 1:3]  # the image side is 2 in these coordinates
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    theta = np.empty((*draws.shape[:2], 2, 3), dtype=np.float32)
    theta[..., 0, 0], theta[..., 0, 1] = flip_x * cosine, -flip_x * sine * aspect
    theta[..., 1, 0], theta[..., 1, 1] = flip_y * sine / aspect, flip_y * cosine
    theta[..., :, 2] = shift
    return theta


def dropped_views(
    settings: AugmentationSettings,
    exams: NDArray[np.int64],
    present: NDArray[np.bool_],
    *,
    seed: int,
    epoch: int,
) -> NDArray[np.bool_]:
    """Draw the view that an exam does without: with the given probability one of those it has, if it has several.

    Args:
        settings: with the probability.
        exams: ``[B]`` indices of the exams in their data set.
        present: ``[B, V]`` the views that each exam has.
        seed, epoch: with the exam's index they fix the draw.

    Returns:
        ``[B, V]``, true for a view to take as missing.
    """
    dropped = np.zeros_like(present)
    for row, exam in enumerate(exams):
        generator = random_generator(seed=seed, purpose=DROPPED_VIEW, index=int(exam), epoch=epoch)
        there = np.flatnonzero(present[row])
        chance, which = generator.random(), generator.integers(len(there))
        if len(there) > 1 and chance < settings.drop_view:
            dropped[row, there[which]] = True
    return dropped


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Sample ``[B, C, H, W]`` float32 under ``theta`` ``[B, 2, 3]``, bilinear, zero outside, no gradient."""
    with torch.no_grad():
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
