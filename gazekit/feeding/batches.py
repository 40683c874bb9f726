"""Exams as they were stored, turned into normalised batches on the device."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.types import Batch
from gazekit.feeding.augment import dropped_views, random_affine, warp
from gazekit.feeding.exam_facts import ExamFacts, labels_alone
from gazekit.feeding.intensity import change_intensity, changes_intensity, random_intensity
from gazekit.feeding.mixing import mixed, mixing_shares
from gazekit.feeding.random_numbers import ORDER, random_generator
from gazekit.feeding.stored_gaze import StoredGaze, warped
from gazekit.presets.preset import Preset
from gazekit.presets.tables import AugmentationSettings

Stored = NDArray[np.uint8] | NDArray[np.uint16]
Rows = Sequence[NDArray[np.int64]]
"""The exams of each batch."""


StoredLayer = Literal["image", "heat_map", "mask"]


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
        layers: Sequence[StoredLayer] = ("image",),
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
        intensity: tuple[NDArray[np.float32], AugmentationSettings] | None = None,
    ) -> Generator[Batch]:
        """The exams of each batch, warped by ``theta`` ``[sum of B, V, 2, 3]`` if given, then normalised.

        Everything that the device must know for them is sent before the first one. ``readers`` ``[sum of B]``: the
        only reader of each exam; ``dropped`` ``[sum of B, V]``: views to take as missing; ``intensity``: draws
        ``[sum of B, V, 5]`` that change grey values, and their settings.
        """
        if not rows:
            return
        lengths = [len(batch) for batch in rows]

        def parts(values: NDArray[Any] | None) -> Sequence[Tensor | None]:
            return [None] * len(rows) if values is None else torch.split(send(values, self.device), lengths)

        on_device = torch.split(send(np.concatenate(rows), self.device), lengths)
        shades, settings = intensity or (None, None)
        drawn = (parts(values) for values in (theta, readers, dropped, shades))
        stored = zip(on_device, self.pixels(rows, on_device), *drawn, strict=True)
        for where, pixels, warped_by, reader, without, shade in stored:
            values = self._changed(pixels, warped_by, without, shade, settings)
            yield self._batch(values, where, warped_by, reader, without)

    def augmented(
        self,
        rows: Rows,
        settings: AugmentationSettings,
        *,
        seed: int,
        epoch: int,
        partners: Rows | None = None,
    ) -> Generator[Batch]:
        """The exams of each batch as they look in this epoch of a run with this seed.

        The call draws how they look; pixels are read batch by batch.

        ``partners``: the exams that those of ``rows`` are mixed with, if the settings mix.
        """
        if settings.mixup and partners is not None:
            both = [np.concatenate(pair) for pair in zip(rows, partners, strict=True)]
            exams = self.indices[np.concatenate(rows)]
            shares = mixing_shares(settings.mixup, exams, seed=seed, epoch=epoch)
            return self._mixed(self._augmented(both, settings, seed=seed, epoch=epoch), rows, shares)
        return self._augmented(rows, settings, seed=seed, epoch=epoch)

    def _mixed(self, pairs: Generator[Batch], rows: Rows, shares: NDArray[np.float32]) -> Generator[Batch]:
        lengths = [len(batch) for batch in rows]
        with closing(pairs) as batches:
            for batch, share in zip(batches, torch.split(send(shares, self.device), lengths), strict=True):
                yield mixed(batch, share)

    def _augmented(
        self, rows: Rows, settings: AugmentationSettings, *, seed: int, epoch: int
    ) -> Generator[Batch]:
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
        intensity = None
        if changes_intensity(settings):
            drawn = random_intensity(settings, exams, len(self.views), seed=seed, epoch=epoch)
            intensity = drawn, settings
        return self.batches(rows, theta, readers, dropped, intensity)

    def batch(self, rows: NDArray[np.int64], theta: NDArray[np.float32] | None = None) -> Batch:
        """One batch."""
        (batch,) = self.batches([rows], theta)
        return batch

    def in_order(self, batch_size: int) -> Rows:
        """The rows of all exams, in order, in batches."""
        return [
            np.arange(start, min(start + batch_size, len(self))) for start in range(0, len(self), batch_size)
        ]

    def _changed(
        self,
        pixels: Tensor,
        theta: Tensor | None,
        dropped: Tensor | None,
        shade: Tensor | None,
        settings: AugmentationSettings | None,
    ) -> Tensor:
        """Normalise pixels as stored, after whatever augmentation does to them: ``[B, V, layers, H, W]``."""
        values = pixels.float()
        if dropped is not None:
            values = torch.where(dropped[:, :, None, None, None], 0, values)
        if theta is not None:
            values = warp(values.flatten(0, 1), theta.flatten(0, 1)).view_as(values)
        if shade is not None and settings is not None:
            full = float(np.iinfo(self.dtype).max)
            images = values[:, :, : self.channels]
            drawn = shade.flatten(0, 1).repeat_interleave(self.channels, dim=0)  # channels change alike
            changed = change_intensity((images / full).flatten(0, 2), drawn, settings) * full
            values[:, :, : self.channels] = changed.view_as(images)
        return torch.addcmul(self.offset, values, self.gain)

    def _batch(
        self,
        values: Tensor,
        where: Tensor,
        theta: Tensor | None,
        drawn: Tensor | None,
        dropped: Tensor | None,
    ) -> Batch:
        """Name the values of a batch, ``[B, V, layers, H, W]``, and add what is known of its exams."""
        present = None if self.facts.present is None else self.facts.present[where]  # [B, V]
        if dropped is not None:
            present = ~dropped if present is None else present & ~dropped

        def layer(name: StoredLayer) -> dict[str, Tensor]:
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
        rows = self.gaze.rows_of(where, drawn)  # [B, V, F, 9]
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
        layers: Sequence[StoredLayer] = ("image",),
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


def epoch_batches(
    exams: int, batch_size: int, *, seed: int, epoch: int, labels: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """All rows in an order that is a function of (seed, epoch), in batches that differ by one exam at most.

    Even batches keep every exam in every epoch without a tiny last batch, which batch norm and BFL dislike.

    Args:
        exams: their number, which is also that of an epoch.
        batch_size: at most.
        seed, epoch: fix the order.
        labels: ``[exams]``, to draw equally many of each class; None takes every exam once.
    """
    generator = random_generator(seed=seed, purpose=ORDER, index=0, epoch=epoch)
    order = generator.permutation(exams if labels is None else _balanced(labels, generator))
    return np.array_split(order, -(-exams // batch_size))


def _balanced(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many rows as there are, equally many of each class and, within one, of each exam (give or take one)."""
    classes = generator.permutation(np.unique(labels))
    drawn = []
    for number, rows in enumerate(np.flatnonzero(labels == each) for each in classes):
        wanted = len(labels) // len(classes) + (number < len(labels) % len(classes))
        rounds = -(-wanted // len(rows))
        drawn.append(np.concatenate([generator.permutation(rows) for _ in range(rounds)])[:wanted])
    return np.concatenate(drawn)
