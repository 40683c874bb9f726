"""Exams on the device and exams sent there batch by batch are the same exams."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gazekit.contracts.types import Batch
from gazekit.feeding.batches import ResidentExams, epoch_batches
from gazekit.feeding.feed import _fits, prepared_exams
from gazekit.feeding.streamed import StreamedExams
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import indices_of, make_split
from gazekit.registry.registry import Registry
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

CPU = torch.device("cpu")


def same(a: Batch, b: Batch) -> bool:
    pairs = zip(a.tensors(), b.tensors(), strict=True)
    return all(torch.equal(x.nan_to_num(-1), y.nan_to_num(-1)) for x, y in pairs)


@pytest.mark.parametrize("with_gaze", [True, False])
def test_streamed_and_resident_exams_are_the_same_to_the_bit(
    dataset: PreparedDataset, registry: Registry, with_gaze: bool
) -> None:
    preset = tiny(registry, 'views=["mlo", "cc"]')
    indices = indices_of(dataset, make_split(dataset), "train")
    held, streamed = (
        prepared_exams(dataset, indices, preset, CPU, with_gaze=with_gaze, hold=hold)
        for hold in (True, False)
    )
    assert isinstance(held, ResidentExams) and isinstance(streamed, StreamedExams)
    order = epoch_batches(len(indices), 4, seed=0, epoch=0)
    augmentation = preset.training.augmentation
    for epoch in range(2):
        ours = list(held.augmented(order, augmentation, seed=0, epoch=epoch))
        theirs = list(streamed.augmented(order, augmentation, seed=0, epoch=epoch))
        assert len(ours) == len(theirs) == len(order)
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    assert bool(ours[0].gaze) == with_gaze
    plain = zip(held.batches(held.in_order(3)), streamed.batches(streamed.in_order(3)), strict=True)
    assert all(same(a, b) for a, b in plain)


def test_a_run_on_streamed_exams_ends_in_the_same_weights(
    tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset, registry: Registry
) -> None:
    metrics = []
    for hold in ("true", "false"):
        preset = tiny(
            registry, "training.epochs=2", "training.batch_size=4", f"training.exams_on_device={hold}"
        )
        run = start_run(
            tmp_path_factory.mktemp("run") / hold,
            preset,
            registry,
            dataset,
            make_split(dataset),
            StartSettings(seed=0, device=CPU),
        )
        said: list[str] = []
        continue_run(run, registry, dataset, note=said.append)
        metrics.append(run.metrics.read_bytes())
        assert len(said) == 1 and said[0].startswith("memory: ") and "in the first step" in said[0]
        assert ("held on cpu" in said[0]) == (hold == "true")
        assert said[0] in (run.path / "log.txt").read_text()
    assert metrics[0] == metrics[1]


def test_a_batch_is_normalised_and_its_heat_maps_reach_one(
    dataset: PreparedDataset, registry: Registry
) -> None:
    preset = tiny(registry)
    exams = prepared_exams(dataset, np.arange(4), preset, CPU, with_gaze=True)
    batch = exams.batch(np.arange(4))
    stored = torch.as_tensor(dataset.images[:4, 0].astype(np.float64))
    full = np.iinfo(dataset.images.dtype).max
    expected = (stored / full - preset.data.mean) / preset.data.std
    torch.testing.assert_close(batch.images["cc"][:, 0].double(), expected, rtol=1e-5, atol=1e-6)
    assert batch.gaze["cc"].amax(dim=(1, 2)).tolist() == [1.0] * 4


def test_what_does_not_fit_a_gpu_is_streamed_and_a_cpu_reads_from_the_files(
    dataset: PreparedDataset, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, indices = tiny(registry), np.arange(len(dataset))
    exams = prepared_exams(dataset, indices, preset, CPU, with_gaze=True)
    assert isinstance(exams, StreamedExams)
    assert exams.nbytes == dataset.images.nbytes
    for free, fits in ((2 * exams.nbytes, True), (2 * exams.nbytes - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device, free=free: (free, 10 * free))
        assert _fits(exams, torch.device("cuda")) == fits
    assert _fits(exams, torch.device("mps"))
    monkeypatch.setattr("gazekit.feeding.feed._fits", lambda *_: True)
    assert isinstance(prepared_exams(dataset, indices, preset, CPU, with_gaze=True), ResidentExams)


def test_streaming_stops_when_nobody_reads_on(dataset: PreparedDataset, registry: Registry) -> None:
    exams = prepared_exams(dataset, np.arange(20), tiny(registry), CPU, with_gaze=True, hold=False)
    read: list[int] = []
    send = exams._send  # type: ignore[attr-defined]
    exams._send = lambda rows: (read.append(len(rows)), send(rows))[1]  # type: ignore[attr-defined]
    batches = exams.batches(exams.in_order(1))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(read) <= 3
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("exams")]


class NewBytes(TorchDispatchMode):
    """Counts the bytes of all results that are not a view of what went in."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {each.untyped_storage().data_ptr() for each in tree_leaves(args) if isinstance(each, Tensor)}
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and each.untyped_storage().data_ptr() not in given:
                self.bytes += each.numel() * each.element_size()
        return result


def test_an_augmented_batch_passes_through_memory_a_few_times_only(
    dataset: PreparedDataset, registry: Registry
) -> None:
    """In images as float32: converted, sampled (the grid is twice as large), normalised, and once more."""
    preset, indices = tiny(registry), np.arange(8)
    exams = prepared_exams(dataset, indices, preset, CPU, with_gaze=True)
    with NewBytes() as counted:
        (batch,) = exams.augmented([indices], preset.training.augmentation, seed=0, epoch=0)
    pixels = sum(image.numel() for image in batch.images.values())
    assert batch.gaze is not None and not batch.gaze.layers
    numbers = sum(rows.numel() for rows in batch.gaze.fixations.values())
    assert 4 * pixels <= counted.bytes <= 7 * 4 * pixels + 8 * 4 * numbers
