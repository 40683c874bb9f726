"""Exams as they were stored, turned into normalised batches on the device."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.types import Batch
from gazekit.feeding.augment import random_affine, random_generator, warp
from gazekit.presets.preset import Preset
from gazekit.presets.tables import AugmentationSettings

Stored = NDArray[np.uint8] | NDArray[np.uint16]
Rows = Sequence[NDArray[np.int64]]
"""The exams of each batch."""


class Exams(ABC):
    """Some exams in two layers, image and heat map, or in one.

    Args:
        preset: names the views and the normalisation.
        device: where batches live.
        indices: ``[n]`` of the exams in their data set; augmentation is a function of them.
        shape: of one exam's pixels, ``(V, layers, H, W)``.
        dtype: of the pixels as stored, uint8 or uint16; its greatest value stands for 1.
        labels: ``[n]``; None where the truth is not known.
        has_gaze: ``[n, V]`` bool; None = nowhere.
    """

    def __init__(
        self,
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        shape: tuple[int, ...],
        dtype: np.dtype[np.unsignedinteger],
        labels: NDArray[np.int64] | None = None,
        has_gaze: NDArray[np.bool_] | None = None,
    ) -> None:
        self.views = preset.views
        self.device = device
        self.indices = indices
        self.shape = shape
        self.dtype = dtype
        present = np.zeros((len(indices), shape[0]), dtype=bool) if has_gaze is None else has_gaze
        self.has_gaze = torch.as_tensor(present, device=device)  # [n, V]
        truth = np.zeros(len(indices), dtype=np.int64) if labels is None else labels
        self.labels = torch.as_tensor(truth, device=device)
        full = float(np.iinfo(dtype).max)
        layers = [preset.data.normalisation(full), (1 / full, 0.0)][: shape[1]]
        self.gain, self.offset = torch.tensor(layers, device=device).mT[
            :, :, None, None
        ]  # [layers, 1, 1] both

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def nbytes(self) -> int:
        """Of all pixels as stored."""
        return len(self) * int(np.prod(self.shape)) * self.dtype.itemsize

    @abstractmethod
    def pixels(self, rows: Rows, rows_on_device: Sequence[Tensor]) -> Iterator[Tensor]:
        """The pixels of each batch as stored, ``[B, V, layers, H, W]`` on the device; ``rows`` come in both places."""

    def batches(self, rows: Rows, theta: NDArray[np.float32] | None = None) -> Generator[Batch]:
        """The exams of each batch, warped by ``theta`` ``[sum of B, V, 2, 3]`` if given, then normalised.

        All that the device must know for them is sent before the first one.
        """
        if not rows:
            return
        lengths = [len(batch) for batch in rows]
        on_device = torch.split(send(np.concatenate(rows), self.device), lengths)
        maps = [None] * len(rows) if theta is None else torch.split(send(theta, self.device), lengths)
        for where, pixels, warped_by in zip(on_device, self.pixels(rows, on_device), maps, strict=True):
            yield self._batch(pixels, where, warped_by)

    def augmented(
        self, rows: Rows, settings: AugmentationSettings, *, seed: int, epoch: int
    ) -> Generator[Batch]:
        """The exams of each batch as they look in this epoch of a run with this seed."""
        height, width = self.shape[2:]
        exams = self.indices[np.concatenate(rows)]
        theta = random_affine(settings, exams, len(self.views), seed=seed, epoch=epoch, aspect=height / width)
        return self.batches(rows, theta)

    def batch(self, rows: NDArray[np.int64], theta: NDArray[np.float32] | None = None) -> Batch:
        """One batch."""
        (batch,) = self.batches([rows], theta)
        return batch

    def in_order(self, batch_size: int) -> Rows:
        """The rows of all exams, in order, in batches."""
        return [
            np.arange(start, min(start + batch_size, len(self))) for start in range(0, len(self), batch_size)
        ]

    def _batch(self, pixels: Tensor, where: Tensor, theta: Tensor | None) -> Batch:
        values = pixels.float()  # [B, V, layers, H, W]
        if theta is not None:
            values = warp(values.flatten(0, 1), theta.flatten(0, 1)).view_as(values)
        values = torch.addcmul(self.offset, values, self.gain)
        has_gaze, gaze = self.has_gaze[where], {}
        if self.shape[1] == 2:
            gaze = {view: values[:, i, 1] for i, view in enumerate(self.views)}
            has_gaze = has_gaze & (
                values[:, :, 1].amax(dim=(2, 3)) > 0
            )  # one moved out of the frame says nothing
        return Batch(
            images={view: values[:, i, :1].contiguous() for i, view in enumerate(self.views)},  # [B, 1, H, W]
            labels=self.labels[where],
            gaze=gaze,
            has_gaze={view: has_gaze[:, i] for i, view in enumerate(self.views)},
        )


class ResidentExams(Exams):
    """Exams held on the device as they were stored.

    Args:
        pixels: ``[n, V, layers, H, W]`` uint8 or uint16.
        preset, device, indices, labels, has_gaze: see ``Exams``.
    """

    def __init__(
        self,
        pixels: Stored,
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        labels: NDArray[np.int64] | None = None,
        has_gaze: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__(
            preset,
            device,
            indices=indices,
            shape=pixels.shape[1:],
            dtype=pixels.dtype,
            labels=labels,
            has_gaze=has_gaze,
        )
        self.held = torch.as_tensor(pixels, device=device)

    def pixels(self, rows: Rows, rows_on_device: Sequence[Tensor]) -> Iterator[Tensor]:  # noqa: ARG002
        """See ``Exams``."""
        return (self.held[where] for where in rows_on_device)


def send(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy on the device, without waiting for it."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def epoch_batches(exams: int, batch_size: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """All rows in an order that is a function of (seed, epoch), in batches that differ by one exam at most.

    Even batches keep every exam in every epoch without a tiny last batch, which batch norm and BFL dislike.
    """
    order = random_generator(seed=seed, purpose=0, index=0, epoch=epoch).permutation(exams)
    return np.array_split(order, -(-exams // batch_size))
