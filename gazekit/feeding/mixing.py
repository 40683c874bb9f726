"""Mixup: each exam's images, and its label in the loss, mixed with those of another exam of its batch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.types import Batch, Mixture, Views
from gazekit.feeding.random_numbers import MIXING, random_generator


def mixing_shares(alpha: float, exams: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.float32]:
    """Draw each exam's own share, ``max(λ, 1 - λ)`` with ``λ ~ Beta(α, α)``.

    Over a batch in which every exam is also another's partner this mixes the same pairs as λ does, and leaves each
    image mostly its own, so that its gaze can supervise it (ours).

    Args:
        alpha: α; the larger, the more is mixed.
        exams: ``[B]`` indices of the exams in their data set.
        seed, epoch: with the exam's index they fix the draw.

    Source: Zhang et al. 2018, arXiv:1710.09412.
    """
    drawn = [
        random_generator(seed=seed, purpose=MIXING, index=int(exam), epoch=epoch).beta(alpha, alpha)
        for exam in exams
    ]
    shares = np.array(drawn)
    own: NDArray[np.float32] = np.maximum(shares, 1 - shares).astype(np.float32)
    return own


def mixed(batch: Batch, share: Tensor) -> Batch:
    """Mix the first half of a batch with the second: ``x = s x_a + (1 - s) x_b``.

    Gaze, masks and labels are those of the first half; the other labels go into ``mixture``. An exam whose partner
    lacks one of its views stays as it is.

    Args:
        batch: of 2 B exams.
        share: s, ``[B]``.
    """
    exams = len(share)
    own, other = batch.map(lambda tensor: tensor[:exams]), batch.map(lambda tensor: tensor[exams:])
    if own.present is not None and other.present is not None:
        lacking = torch.stack([own.present[view] & ~other.present[view] for view in own.present])
        share = torch.where(lacking.any(dim=0), 1, share)
    covariates = own.covariates
    if covariates is not None and other.covariates is not None:
        both = torch.lerp(other.covariates, covariates, share[:, None])  # NaN where either is not known
        covariates = torch.where(share[:, None] == 1, covariates, both)
    return Batch(
        _images(own.images, other.images, share),
        own.labels,
        own.gaze,
        own.masks,
        own.targets,
        covariates,
        own.present,
        Mixture(share, other.labels, other.targets),
    )


def _images(own: Views, other: Views, share: Tensor) -> Views:
    part = (1 - share)[:, None, None, None]
    return {view: own[view] + part * (other[view] - own[view]) for view in own}
