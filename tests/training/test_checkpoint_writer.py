"""Checkpoints are written behind the training: nothing of it waits, and nothing of them changes afterwards."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny

from gazekit.errors import StorageError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs import checkpoint
from gazekit.training.checkpoint_writer import CheckpointWriter
from gazekit.training.loop import State
from gazekit.training.resume import Checkpoints
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

LONG = 60.0
"""Seconds after which a thread that still waits fails its test."""


def test_a_training_goes_on_while_a_checkpoint_is_written(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes the first one only after a later step; what it takes is of the step that the name says."""
    preset = tiny(registry, "training.epochs=3", "training.batch_size=4")
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    runs = [
        start_run(tmp_path / name, preset, registry, dataset, make_split(dataset), settings)
        for name in ("fast", "slow")
    ]
    continue_run(runs[0], registry, dataset)
    later, save_contents, seen = threading.Event(), checkpoint.save_contents, []

    def save(folder: Path, step: int, contents: checkpoint.Contents) -> Path:
        assert later.wait(LONG), "the training waited for the disk"
        return save_contents(folder, step, contents)

    def report(state: State, _batches: int) -> None:
        if (state.epoch, state.batch) == (2, 1):
            seen.append([path.name for path in checkpoint.steps_of(runs[1].checkpoints)])
            later.set()

    monkeypatch.setattr(checkpoint, "save_contents", save)
    state = continue_run(runs[1], registry, dataset, report=report)
    assert seen == [["000000"]]
    newest = [checkpoint.steps_of(run.checkpoints)[-1] for run in runs]
    assert {path.name for path in newest} == {f"{state.step:06d}"}
    for file in newest[0].iterdir():
        assert file.read_bytes() == (newest[1] / file.name).read_bytes()


def test_the_checkpoint_holds_what_was_there_when_it_began(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = tiny(registry, "training.epochs=1")
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    layer, moments = torch.nn.Linear(2, 2), {"moment": torch.ones(3), "last": [1]}
    weight = layer.weight.detach().clone()
    changed, save_contents = threading.Event(), checkpoint.save_contents

    def save(*given: Any) -> Path:
        assert changed.wait(LONG)
        return save_contents(*given)

    monkeypatch.setattr(checkpoint, "save_contents", save)
    checkpoints = Checkpoints(run, layer)
    assert checkpoints.save(5, moments)
    layer.weight.data.zero_()
    moments["moment"].zero_()  # type: ignore[attr-defined]
    moments["last"].append(2)  # type: ignore[attr-defined]
    changed.set()
    checkpoints.writer.wait()
    found = checkpoint.load(run.checkpoints / "000005")
    assert found.weights["weight"].equal(weight)
    assert found.state["moment"].tolist() == [1, 1, 1] and found.state["last"] == [1]


def test_a_disk_that_fails_behind_the_training_ends_it_at_its_next_step(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = tiny(registry, "training.epochs=4", "training.batch_size=4", "training.patience=none")
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    failed, steps = threading.Event(), []

    def full(*_: Any) -> None:
        failed.set()
        raise StorageError("no room")

    def report(state: State, _batches: int) -> None:
        if state.epoch == 1 and state.batch:  # the first checkpoint has begun
            assert failed.wait(LONG)
            steps.append(state.step)

    monkeypatch.setattr(checkpoint, "save_contents", full)
    with pytest.raises(StorageError, match="no room"):
        continue_run(run, registry, dataset, report=report)
    assert len(steps) <= 2 and len(run.read_metrics()) == 1  # the error is noted a moment after the event
    monkeypatch.undo()
    state = continue_run(run, registry, dataset, should_stop=lambda: False)
    assert state.epoch == 4


def test_one_at_a_time_and_in_order() -> None:
    writer, order, first = CheckpointWriter(), [], threading.Event()

    def slow() -> None:
        assert first.wait(LONG)
        order.append("slow")

    writer.begin(slow)
    assert not writer.due()
    threading.Timer(0.05, first.set).start()
    writer.begin(lambda: order.append("fast"))
    writer.wait()
    assert order == ["slow", "fast"]
    assert writer.due()


def test_an_error_is_raised_once_and_by_the_next_call() -> None:
    for call in (CheckpointWriter.wait, lambda writer: writer.begin(lambda: None)):
        writer = CheckpointWriter()

        def fail() -> None:
            raise StorageError("no room")

        writer.begin(fail)
        with pytest.raises(StorageError, match="no room"):
            call(writer)  # type: ignore[no-untyped-call]
        writer.check()
        writer.begin(lambda: None)
        writer.wait()
