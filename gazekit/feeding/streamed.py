"""Exams read from their files batch by batch, ahead of their use."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.feeding.batches import Exams, Rows, Stored, StoredLayer
from gazekit.feeding.exam_facts import exam_facts
from gazekit.feeding.stored_gaze import StoredGaze
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.preset import Preset

_AHEAD = 2


class StreamedExams(Exams):
    """Exams that stay in the memory-mapped files of their data set.

    A thread reads the next two batches while the device works on the one before; for a GPU into pinned memory, from
    where it copies them on a separate stream. The batches are those of ``ResidentExams``, to the bit.

    Args:
        dataset: the prepared data set.
        columns: of the preset's views in it.
        preset, device, indices, layers, gaze: see ``Exams``.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        columns: Sequence[int],
        preset: Preset,
        device: torch.device,
        *,
        indices: NDArray[np.int64],
        layers: Sequence[StoredLayer] = ("image",),
        gaze: StoredGaze | None = None,
    ) -> None:
        super().__init__(
            preset,
            device,
            indices=indices,
            shape=(len(columns), len(layers), *dataset.size),
            dtype=dataset.images.dtype,
            facts=exam_facts(dataset, indices, preset, device),
            layers=layers,
            gaze=gaze,
        )
        self.dataset = dataset
        self.columns = columns
        self.torch_dtype = torch.from_numpy(np.empty(0, self.dtype)).dtype
        self.copies = None
        if device.type == "cuda":
            self.copies = torch.cuda.Stream(device)

    def pixels(self, rows: Rows, rows_on_device: Sequence[Tensor]) -> Iterator[Tensor]:  # noqa: ARG002
        """See ``Exams``."""
        left = iter(rows)
        coming: deque[Future[Tensor]] = deque()
        thread = ThreadPoolExecutor(1, "exams")
        try:
            for _ in rows:
                while len(coming) < _AHEAD and (batch := next(left, None)) is not None:
                    coming.append(thread.submit(self._send, batch))
                pixels = coming.popleft().result()
                if self.copies is not None:
                    here = torch.cuda.current_stream(self.device)
                    here.wait_stream(self.copies)
                    pixels.record_stream(here)
                yield pixels
        finally:
            thread.shutdown(cancel_futures=True)

    def _send(self, rows: NDArray[np.int64]) -> Tensor:
        pixels = torch.empty(
            (len(rows), *self.shape), dtype=self.torch_dtype, pin_memory=self.copies is not None
        )
        read_pixels(self.dataset, self.indices[rows], self.columns, self.layers, pixels.numpy())
        if self.copies is None:
            return pixels.to(self.device)  # already there on a CPU
        with torch.cuda.stream(self.copies):
            return pixels.to(self.device, non_blocking=True)


def read_pixels(
    dataset: PreparedDataset,
    indices: NDArray[np.int64],
    columns: Sequence[int],
    layers: Sequence[StoredLayer],
    out: Stored,
) -> None:
    """Write the layers of some exams to ``[n, V, layers, H, W]``; their greatest value stands for 1."""
    channels = dataset.settings.channels
    stored = dataset.images[indices][:, columns]
    out[:, :, :channels] = stored if dataset.settings.colour else stored[:, :, None]
    for number, layer in enumerate(layers[channels:], channels):
        if layer == "mask":
            of_mask = np.iinfo(out.dtype).max // np.iinfo(dataset.masks.dtype).max
            out[:, :, number] = dataset.masks[indices][:, columns] * out.dtype.type(of_mask)
        else:
            assert dataset.layers is not None
            out[:, :, number] = dataset.layers[indices][:, columns]
