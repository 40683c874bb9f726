"""Checkpoints are written while the training goes on: it does not wait, and they hold what was there at first."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import tiny

from gazekit.errors import StorageError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.training import checkpoint_writer
from gazekit.training.checkpoint_writer import CheckpointWriter
from gazekit.training.loop import State
from gazekit.training.resume import Checkpoints
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

LONG = 60.0
"""Seconds after which a thread that still waits fails its test."""


@pytest.fixture
def start(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> Callable[[str], RunDirectory]:
    """Starts a run of three epochs, by its name."""
    preset = tiny(registry, "training.epochs=3", "training.batch_size=4")
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    return lambda name: start_run(tmp_path / name, preset, registry, dataset, make_split(dataset), settings)


@pytest.fixture
def run(start: Callable[[str], RunDirectory]) -> RunDirectory:
    return start("run")


def test_a_training_goes_on_while_a_checkpoint_is_written(
    start: Callable[[str], RunDirectory],
    registry: Registry,
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk takes the first one only after a later step."""
    runs = [start(name) for name in ("fast", "slow")]
    continue_run(runs[0], registry, dataset)
    later, save_contents, seen = threading.Event(), checkpoint.save_contents, []

    def save(*given: Any, **more: Any) -> Path:
        assert later.wait(LONG), "the training waited for the disk"
        return save_contents(*given, **more)

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
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, moments = torch.nn.Linear(2, 2), {"moment": torch.ones(3), "last": [1]}
    weight = layer.weight.detach().clone()
    changed, save_contents = threading.Event(), checkpoint.save_contents

    def save(*given: Any, **more: Any) -> Path:
        assert changed.wait(LONG)
        return save_contents(*given, **more)

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


def test_a_disk_that_fails_meanwhile_ends_the_training_before_its_next_step(
    run: RunDirectory, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, failed, steps = threading.Event(), threading.Event(), []
    write = CheckpointWriter._write

    def noted(writer: CheckpointWriter, *given: Any) -> None:
        assert begun.wait(LONG)
        write(writer, *given)
        failed.set()

    def full(*_: Any, **_more: Any) -> None:
        raise StorageError("no room")

    def report(state: State, _batches: int) -> None:
        if state.epoch == 1 and state.batch:  # the first checkpoint is being written
            steps.append(state.step)
            begun.set()
            assert failed.wait(LONG)

    monkeypatch.setattr(CheckpointWriter, "_write", noted)
    monkeypatch.setattr(checkpoint, "save_contents", full)
    with pytest.raises(StorageError, match="no room"):
        continue_run(run, registry, dataset, report=report)
    assert len(steps) == 1
    monkeypatch.undo()
    assert continue_run(run, registry, dataset).epoch == 3


@pytest.mark.parametrize("at", ["before the first piece", "before its name"])
def test_an_interrupt_abandons_what_is_being_written(
    run: RunDirectory, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Nothing of it appears later, when another training may be at work in the folder."""
    begun, write_through = threading.Event(), checkpoint.write_through

    def slow(writer: CheckpointWriter) -> Callable[[], bool]:
        def abandoned() -> bool:
            begun.set()
            assert writer.given_up.wait(LONG)
            time.sleep(0.2)  # whoever does not wait is gone
            return True

        return abandoned

    def last_file(path: Path, content: bytes) -> None:
        write_through(path, content)
        begun.set()
        assert writers[0].given_up.wait(LONG)
        time.sleep(0.2)

    writers: list[CheckpointWriter] = []
    original = CheckpointWriter.__init__

    def made(writer: CheckpointWriter) -> None:
        original(writer)
        writers.append(writer)
        if at == "before the first piece":
            writer.abandoned = slow(writer)  # type: ignore[method-assign]

    def report(state: State, _batches: int) -> None:
        if state.epoch == 1 and state.batch:
            assert begun.wait(LONG)
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointWriter, "__init__", made)
    if at == "before its name":
        monkeypatch.setattr(checkpoint, "write_through", last_file)
    with pytest.raises(KeyboardInterrupt):
        continue_run(run, registry, dataset, report=report)
    assert isinstance(writers[0].error, checkpoint._Abandoned)
    assert [path.name for path in run.checkpoints.iterdir() if path.name != "best"] == ["000000"]
    assert not list(run.path.rglob("*.partial")) and not list(run.best.glob("0*"))
    monkeypatch.undo()
    assert continue_run(run, registry, dataset).epoch == 3


@pytest.mark.parametrize("restarting", [False, True], ids=["", "where system calls are restarted"])
@pytest.mark.parametrize("waiting", ["for the last one", "after an error"])
def test_an_interrupt_while_it_waits_abandons_too(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, waiting: str, restarting: bool
) -> None:
    """Python takes a thread for ended once waiting for it is interrupted, while it writes on."""
    checkpoints, save_contents = Checkpoints(run, torch.nn.Linear(2, 2)), checkpoint.save_contents

    def slow(*given: Any, **more: Any) -> Path:
        time.sleep(0.2)  # by now the training waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert checkpoints.writer.given_up.wait(LONG)
        time.sleep(0.2)
        return save_contents(*given, **more)

    monkeypatch.setattr(checkpoint, "save_contents", slow)

    def train() -> None:
        with checkpoints.written():
            checkpoints.save(1, {})
            if waiting == "after an error":
                raise ValueError

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.siginterrupt(signal.SIGINT, not restarting)  # asyncio makes it restart them
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(checkpoints.writer.error, checkpoint._Abandoned)
    assert [path.name for path in checkpoint.steps_of(run.checkpoints)] == ["000000"]


def test_selected_weights_outlive_a_checkpoint_that_does_not_fit(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are a third of its size, so they may fit where it does not."""
    module, save_contents = torch.nn.Linear(2, 2), checkpoint.save_contents

    def save(folder: Path, *given: Any, **more: Any) -> Path:
        if folder == run.checkpoints:
            raise StorageError("no room")
        return save_contents(folder, *given, **more)

    monkeypatch.setattr(checkpoint, "save_contents", save)
    checkpoints = Checkpoints(run, module)

    def two_epochs() -> None:
        with checkpoints.written():
            for step in (1, 2):
                assert checkpoints.hold(module, step, {"epoch": step})
                checkpoints.save(step, {})

    with pytest.raises(StorageError, match="no room"):
        two_epochs()
    assert [path.name for path in checkpoint.steps_of(run.best)] == ["000001", "000002"]


def test_selected_weights_that_could_not_be_written_are_tried_once_more(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, save_contents, failures = torch.nn.Linear(2, 2), checkpoint.save_contents, iter([True])

    def save(*given: Any, **more: Any) -> Path:
        if next(failures, False):
            raise StorageError("no room")
        return save_contents(*given, **more)

    monkeypatch.setattr(checkpoint, "save_contents", save)
    checkpoints = Checkpoints(run, module)

    def an_epoch() -> None:
        with checkpoints.written():
            assert checkpoints.hold(module, 1, {"epoch": 1})
            checkpoints.save(1, {})

    with pytest.raises(StorageError, match="no room"):
        an_epoch()
    assert [path.name for path in checkpoint.steps_of(run.best)] == ["000001"]


def test_checkpoints_within_epochs_leave_those_after_them() -> None:
    """By a clock on which each takes a second: only those after epochs count for the next one after an epoch."""
    clock = [0.0]

    def second() -> None:
        clock[0] += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        writer = CheckpointWriter()
        writer.begin(second)
        writer.wait()
        for _ in range(4):  # every 2.5 seconds
            clock[0] += 1.5
            writer.begin(second, timed=False)
            writer.wait()
        assert writer.due()
        writer.begin(second)
        writer.wait()
        assert not writer.due()


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
