"""Exams resident on the device as integers, turned into normalised batches there."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.data.augment import random_affine, random_generator, warp
from gazekit.data.prepared import PreparedDataset
from gazekit.errors import ConfigurationError, DataError
from gazekit.preset import Preset
from gazekit.settings import AugmentationSettings
from gazekit.types import Batch

Stored = NDArray[np.uint8] | NDArray[np.uint16]


class ResidentExams:
    """Some exams, held on the device as they were stored; see ``resident_exams`` and ``evaluation.raw``.

    Args:
        images: ``[n, V, H, W]`` uint8 or uint16; the greatest value of the type stands for 1.
        preset: names the views, in the order of the second axis, and the normalisation.
        device: where they live.
        indices: ``[n]`` of the exams in their data set; augmentation is a function of them.
        labels: ``[n]``; None where the truth is not known.
        gaze: heat maps like ``images``; None where they are not needed.
        has_gaze: ``[n, V]`` bool, with ``gaze``.
    """

    def __init__(
        self,
        images: Stored,
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        gaze: Stored | None = None,
        has_gaze: NDArray[np.bool_] | None = None,
    ) -> None:
        self.views = preset.views
        self.indices = indices
        self.images = torch.as_tensor(images, device=device)  # [n, V, H, W]
        self.gaze = None if gaze is None else torch.as_tensor(gaze, device=device)
        present = np.zeros(images.shape[:2], dtype=bool) if has_gaze is None else has_gaze
        self.has_gaze = torch.as_tensor(present, device=device)  # [n, V]
        truth = np.zeros(len(images), dtype=np.int64) if labels is None else labels
        self.labels = torch.as_tensor(truth, device=device)
        self.full_scale = float(np.iinfo(images.dtype).max)
        self.mean, self.std = preset.data.mean, preset.data.std
        self.device = device

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, rows: NDArray[np.int64], theta: NDArray[np.float32] | None = None) -> Batch:
        """The exams at ``rows``, warped by ``theta`` ``[B, V, 2, 3]`` if given, then normalised."""
        where = torch.as_tensor(rows, device=self.device)
        layers = [self.images[where].float() / self.full_scale]  # [B, V, H, W]
        if self.gaze is not None:
            layers.append(self.gaze[where].float() / self.full_scale)
        stacked = torch.stack(layers, dim=2)  # [B, V, 1 or 2, H, W]
        if theta is not None:
            flat = torch.as_tensor(theta, device=self.device).flatten(0, 1)
            stacked = warp(stacked.flatten(0, 1), flat).view_as(stacked)
        images = (stacked[:, :, :1] - self.mean) / self.std  # [B, V, 1, H, W]
        has_gaze = self.has_gaze[where]
        if self.gaze is not None:  # a map that was moved out of the frame says nothing
            has_gaze = has_gaze & (stacked[:, :, 1].amax(dim=(2, 3)) > 0)
        return Batch(
            images={view: images[:, i].contiguous() for i, view in enumerate(self.views)},
            labels=self.labels[where],
            gaze={view: stacked[:, i, 1] for i, view in enumerate(self.views)}
            if self.gaze is not None
            else {},
            has_gaze={view: has_gaze[:, i] for i, view in enumerate(self.views)},
        )

    def augmented(
        self, rows: NDArray[np.int64], settings: AugmentationSettings, *, seed: int, epoch: int
    ) -> Batch:
        """The exams at ``rows`` as they look in this epoch of a run with this seed."""
        height, width = self.images.shape[2:]
        theta = random_affine(
            settings, self.indices[rows], len(self.views), seed=seed, epoch=epoch, aspect=height / width
        )
        return self.batch(rows, theta)

    def in_order(self, batch_size: int) -> Sequence[NDArray[np.int64]]:
        """The rows of all exams, in order, in batches."""
        return [
            np.arange(start, min(start + batch_size, len(self))) for start in range(0, len(self), batch_size)
        ]


def epoch_batches(exams: int, batch_size: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """All rows in an order that is a function of (seed, epoch), in batches that differ by one exam at most.

    Even batches keep every exam in every epoch without a tiny last batch, which batch norm and BFL dislike.
    """
    order = random_generator(seed=seed, purpose=0, index=0, epoch=epoch).permutation(exams)
    return np.array_split(order, -(-exams // batch_size))


def check_views(dataset: PreparedDataset, preset: Preset) -> None:
    """Raise ConfigurationError if the data lack a view of the preset."""
    missing = [view for view in preset.views if view not in dataset.views]
    if missing:
        raise ConfigurationError(
            f"{dataset.root}: no view '{missing[0]}', which preset '{preset.name}' reads; the data have "
            f"{', '.join(dataset.views)}: choose with --set views='{json.dumps(dataset.views)}'"
        )


def check_gaze_of_all(dataset: PreparedDataset, indices: NDArray[np.int64], preset: Preset) -> None:
    """Raise DataError if an exam lacks gaze on a view; for models that read gaze at inference."""
    columns = [dataset.views.index(view) for view in preset.views]
    without = np.argwhere(~dataset.has_gaze[indices][:, columns])  # [n, (exam, view)]
    if len(without):
        exam, view = without[0]
        raise DataError(
            f"{dataset.root}: exam {dataset.exam_ids[indices[exam]]} has no gaze on view '{preset.views[view]}' (and "
            f"{len(np.unique(without[:, 0]))} exams in all), which preset '{preset.name}' reads at inference too; "
            "leave such exams out of the data"
        )


def resident_exams(
    dataset: PreparedDataset,
    indices: NDArray[np.int64],
    preset: Preset,
    device: torch.device,
    *,
    with_gaze: bool,
    needs_gaze: bool = False,
) -> ResidentExams:
    """Some exams of a prepared data set, with their heat maps if asked for, or needed at inference.

    Raises:
        ConfigurationError: the data lack a view of the preset.
        DataError: an exam lacks gaze that is needed.
    """
    check_views(dataset, preset)
    if needs_gaze:
        check_gaze_of_all(dataset, indices, preset)
    columns = [dataset.views.index(view) for view in preset.views]

    def part(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array[indices][:, columns])

    return ResidentExams(
        part(dataset.images),
        preset,
        device,
        indices=indices,
        labels=dataset.labels[indices],
        gaze=part(dataset.gaze) if with_gaze or needs_gaze else None,
        has_gaze=part(dataset.has_gaze) if with_gaze or needs_gaze else None,
    )
