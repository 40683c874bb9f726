"""Exams as they were stored, turned into normalised batches on the device."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.types import Batch
from gazekit.feeding.augment import dropped_views, random_affine, random_generator, warp
from gazekit.feeding.exam_facts import ExamFacts, labels_alone
from gazekit.feeding.stored_gaze import StoredGaze, warped
from gazekit.presets.preset import Preset
from gazekit.presets.tables import AugmentationSettings

Stored = NDArray[np.uint8] | NDArray[np.uint16]
Rows = Sequence[NDArray[np.int64]]
"""The exams of each batch."""


Layer = Literal["image", "heat_map", "mask"]


class Exams(ABC):
    """Some exams, each with one or more layers of pixels per view, and their fixations.

    Args:
        preset: names the views and the normalisation.
        device: where batches live.
        indices: ``[n]`` of the exams in their data set; augmentation is a function of them.
        shape: of one exam's pixels, ``(V, layers, H, W)``.
        dtype: of the pixels as stored, uint8 or uint16; its greatest value stands for 1.
        facts: labels and what else is known of them; None where nothing is.
        layers: what the layers are; the image comes first, a colour image as three.
        gaze: of the same exams; None where nobody asks for it.
    """

    def __init__(
        self,
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        shape: tuple[int, ...],
        dtype: np.dtype[np.unsignedinteger],
        facts: ExamFacts | None = None,
        layers: Sequence[Layer] = ("image",),
        gaze: StoredGaze | None = None,
    ) -> None:
        self.views = preset.views
        self.device = device
        self.indices = indices
        self.shape = shape
        self.dtype = dtype
        self.layers = tuple(layers)
        self.channels = self.layers.count("image")
        self.gaze = gaze
        self.one_reader = preset.gaze is not None and preset.gaze.readers == "sampled"
        self.facts = facts or labels_alone(np.zeros(len(indices), dtype=np.int64), device)
        full = float(np.iinfo(dtype).max)
        scales = {"image": preset.data.normalisation(full)}
        self.gain, self.offset = torch.tensor(
            [scales.get(layer, (1 / full, 0.0)) for layer in layers], device=device
        ).mT[:, :, None, None]  # [layers, 1, 1] both

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> Tensor:
        """Of all exams, ``[n]``."""
        return self.facts.labels

    @property
    def nbytes(self) -> int:
        """Of all pixels as stored."""
        return len(self) * int(np.prod(self.shape)) * self.dtype.itemsize

    @abstractmethod
    def pixels(self, rows: Rows, rows_on_device: Sequence[Tensor]) -> Iterator[Tensor]:
        """The pixels of each batch as stored, ``[B, V, layers, H, W]`` on the device; ``rows`` come in both places."""

    def batches(
        self,
        rows: Rows,
        theta: NDArray[np.float32] | None = None,
        readers: NDArray[np.float32] | None = None,
        dropped: NDArray[np.bool_] | None = None,
    ) -> Generator[Batch]:
        """The exams of each batch, warped by ``theta`` ``[sum of B, V, 2, 3]`` if given, then normalised.

        All that the device must know for them is sent before the first one. ``readers`` ``[sum of B]``: the only reader
        of each exam; ``dropped`` ``[sum of B, V]``: views to take as missing.
        """
        if not rows:
            return
        lengths = [len(batch) for batch in rows]

        def parts(values: NDArray[Any] | None) -> Sequence[Tensor | None]:
            return [None] * len(rows) if values is None else torch.split(send(values, self.device), lengths)

        on_device = torch.split(send(np.concatenate(rows), self.device), lengths)
        drawn = (parts(values) for values in (theta, readers, dropped))
        for where, pixels, *given in zip(on_device, self.pixels(rows, on_device), *drawn, strict=True):
            yield self._batch(pixels, where, *given)

    def augmented(
        self, rows: Rows, settings: AugmentationSettings, *, seed: int, epoch: int
    ) -> Generator[Batch]:
        """The exams of each batch as they look in this epoch of a run with this seed."""
        height, width = self.shape[2:]
        positions = np.concatenate(rows)
        exams = self.indices[positions]
        theta = random_affine(settings, exams, len(self.views), seed=seed, epoch=epoch, aspect=height / width)
        readers = None
        if self.gaze is not None and self.one_reader:
            readers = self.gaze.draw(positions, exams, seed=seed, epoch=epoch)
        dropped = None
        if settings.drop_view:
            everywhere = torch.ones(len(self), len(self.views), dtype=torch.bool)
            there = everywhere if self.facts.present is None else self.facts.present.cpu()
            dropped = dropped_views(settings, exams, there[positions].numpy(), seed=seed, epoch=epoch)
        return self.batches(rows, theta, readers, dropped)

    def batch(self, rows: NDArray[np.int64], theta: NDArray[np.float32] | None = None) -> Batch:
        """One batch."""
        (batch,) = self.batches([rows], theta)
        return batch

    def in_order(self, batch_size: int) -> Rows:
        """The rows of all exams, in order, in batches."""
        return [
            np.arange(start, min(start + batch_size, len(self))) for start in range(0, len(self), batch_size)
        ]

    def _batch(
        self,
        pixels: Tensor,
        where: Tensor,
        theta: Tensor | None,
        drawn: Tensor | None,
        dropped: Tensor | None,
    ) -> Batch:
        values = pixels.float()  # [B, V, layers, H, W]
        present = None if self.facts.present is None else self.facts.present[where]  # [B, V]
        if dropped is not None:
            present = ~dropped if present is None else present & ~dropped
            values = torch.where(dropped[:, :, None, None, None], 0, values)
        if theta is not None:
            values = warp(values.flatten(0, 1), theta.flatten(0, 1)).view_as(values)
        values = torch.addcmul(self.offset, values, self.gain)

        def layer(name: Layer) -> dict[str, Tensor]:
            number = self.layers.index(name)
            return {view: values[:, i, number] for i, view in enumerate(self.views)}

        return Batch(
            images={
                view: values[:, i, : self.channels].contiguous() for i, view in enumerate(self.views)
            },  # [B, C, H, W]
            labels=self.labels[where],
            gaze=self._gaze(
                where, theta, drawn, dropped, layer("heat_map") if "heat_map" in self.layers else {}
            ),
            masks=layer("mask") if "mask" in self.layers else None,
            targets={name: truth[where] for name, truth in self.facts.targets.items()},
            covariates=None if self.facts.covariates is None else self.facts.covariates[where],
            present=None if present is None else {view: present[:, i] for i, view in enumerate(self.views)},
        )

    def _gaze(
        self,
        where: Tensor,
        theta: Tensor | None,
        drawn: Tensor | None,
        dropped: Tensor | None,
        layers: dict[str, Tensor],
    ) -> Gaze | None:
        if self.gaze is None:
            return Gaze.of_heat_maps(layers) if layers else None
        rows = self.gaze.rows_of(where, drawn)  # [B, V, F, 8]
        if dropped is not None:
            rows = torch.where(dropped[:, :, None, None], torch.nan, rows)
        if theta is not None:
            rows = warped(rows, theta, self.gaze.size)
        return self.gaze.gaze(rows, self.views, layers, one_reader=drawn is not None)


class ResidentExams(Exams):
    """Exams held on the device as they were stored.

    Args:
        pixels: ``[n, V, layers, H, W]`` uint8 or uint16.
        preset, device, indices, facts, layers, gaze: see ``Exams``.
    """

    def __init__(
        self,
        pixels: Stored,
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        facts: ExamFacts | None = None,
        layers: Sequence[Layer] = ("image",),
        gaze: StoredGaze | None = None,
    ) -> None:
        super().__init__(
            preset,
            device,
            indices=indices,
            shape=pixels.shape[1:],
            dtype=pixels.dtype,
            facts=facts,
            layers=layers,
            gaze=gaze,
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
