"""The selected weights are written with checkpoints only, and whatever ends a run, it resumes to the same end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from interrupted import wait_for_checkpoints
from tiny import tiny

from gazekit.errors import GazekitError, Preempted, StorageError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import load_model
from gazekit.training import checkpoint_writer, loop, resume
from gazekit.training.checkpoint_writer import CheckpointWriter
from gazekit.training.loop import State
from gazekit.training.resume import Checkpoints
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

CPU = torch.device("cpu")
FEW = ("training.epochs=2", "training.batch_size=4", "fusion.vectors.dropout=0.2")
SELECTED = {
    "auc": (),
    "loss": ("training.select=loss",),
    "last": ("training.select=last",),
    "average": ("training.select=loss", "training.ema=0.9"),
}
RISING = [0.5 + number / 100 for number in range(40)]
FALLING = RISING[::-1]


class Killed(BaseException):
    """Ends a training as a kill does, where it waits for each checkpoint: nothing is written any more."""


def start(path: Path, registry: Registry, dataset: PreparedDataset, *overrides: str) -> RunDirectory:
    preset = tiny(registry, *FEW, *overrides)
    return start_run(path, preset, registry, dataset, make_split(dataset), StartSettings(seed=1, device=CPU))


def outcome(run: RunDirectory) -> dict[str, bytes]:
    """Every byte of the newest checkpoint, of the selected weights and of the metrics."""
    folders = [checkpoint.steps_of(run.checkpoints)[-1], *checkpoint.steps_of(run.best)[-1:]]
    files = [run.metrics, *(file for folder in folders for file in folder.iterdir())]
    return {str(file.relative_to(run.path)): file.read_bytes() for file in files}


def rare_checkpoints(patch: pytest.MonkeyPatch) -> None:
    """No epoch is followed by a checkpoint but the last."""
    patch.setattr(CheckpointWriter, "due", lambda _self: False)


def with_aucs(patch: pytest.MonkeyPatch, aucs: list[float]) -> None:
    """Let the validations of a run that is never resumed have these AUCs."""
    left = iter(aucs)
    patch.setattr(loop, "area_under_roc", lambda *_: next(left))


def test_weights_that_improve_in_every_epoch_are_written_before_checkpoints_only(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which an epoch and a checkpoint take a second each, and checkpoints half of the time.

    The training waits for each checkpoint, so that the clock does not depend on which thread runs first.
    """
    clock, written = [0.0], []
    monkeypatch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(checkpoint_writer, "_SHARE", 0.5)
    with_aucs(monkeypatch, RISING)
    save_contents = checkpoint.save_contents

    def noted(folder: Path, step: int, contents: checkpoint.Contents, **more: Any) -> Path:
        written.append((folder.name, step))
        clock[0] += folder.name == "checkpoints"
        return save_contents(folder, step, contents, **more)

    def report(state: State, _batches: int) -> None:
        clock[0] += state.batch == 0

    run = start(tmp_path / "run", registry, dataset, "training.epochs=4")
    monkeypatch.setattr(checkpoint, "save_contents", noted)
    wait_for_checkpoints(monkeypatch)
    state = continue_run(run, registry, dataset, report=report)
    steps = state.step // 4
    ends = [steps, 3 * steps, 4 * steps]
    assert written == [(folder, step) for step in ends for folder in ("best", "checkpoints")]
    assert [line["best_epoch"] for line in run.read_metrics()] == [1, 2, 3, 4]


@pytest.mark.parametrize("aucs", [RISING, FALLING], ids=["last", "first"])
def test_they_are_those_of_their_epoch_and_not_of_the_checkpoint(
    tmp_path: Path,
    registry: Registry,
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
    aucs: list[float],
) -> None:
    ends = []
    for rare in (True, False):
        run = start(tmp_path / str(rare), registry, dataset)
        with pytest.MonkeyPatch.context() as patch:
            with_aucs(patch, aucs)
            if rare:
                rare_checkpoints(patch)
            continue_run(run, registry, dataset)
        ends.append(outcome(run))
    assert ends[0] == ends[1]
    [best] = {name.split("/")[2] for name in ends[0] if "/best/" in name}
    newest = checkpoint.steps_of(run.checkpoints)[-1].name
    assert (best == newest) == (aucs == RISING)


@pytest.mark.parametrize("name", SELECTED)
def test_killed_between_the_best_weights_and_their_checkpoint(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Checkpoints are within epochs and at the end, and every epoch is better: the best weights are the newer ones."""
    rare_checkpoints(monkeypatch)
    monkeypatch.setattr(loop, "is_better", lambda *_: True)
    overrides = ("training.checkpoint_every=2", *SELECTED[name])
    straight = start(tmp_path / "straight", registry, dataset, *overrides)
    assert count_saves(straight, registry, dataset) == 3
    for number in (2, 3) if name == "auc" else (3,):
        run = start(tmp_path / str(number), registry, dataset, *overrides)
        with pytest.raises(Killed):
            count_saves(run, registry, dataset, kill_at=number)
        newest, best = (
            [int(folder.name) for folder in checkpoint.steps_of(each)] for each in (run.checkpoints, run.best)
        )
        assert name == "last" or max(best) > max(newest)
        assert len(best) == (0 if name == "last" else number - 1)
        continue_run(run, registry, dataset)
        assert outcome(run) == outcome(straight), number


def count_saves(run: RunDirectory, registry: Registry, dataset: PreparedDataset, *, kill_at: int = -1) -> int:
    """Train, and kill the run at a checkpoint, after whatever is written before it; return the checkpoints."""
    calls, save_contents = 0, checkpoint.save_contents

    def save(folder: Path, step: int, contents: checkpoint.Contents, **more: Any) -> Path:
        nonlocal calls
        if folder == run.checkpoints:
            calls += 1
            if calls == kill_at:
                raise Killed
        return save_contents(folder, step, contents, **more)

    with pytest.MonkeyPatch.context() as patch:
        wait_for_checkpoints(patch)
        patch.setattr(checkpoint, "save_contents", save)
        continue_run(run, registry, dataset)
    return calls


@pytest.mark.parametrize("name", SELECTED)
def test_a_run_that_an_error_ends_has_its_best_weights_and_goes_on_to_the_bit(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """They are newer than its checkpoint, as they were in every run before."""
    straight = start(tmp_path / "straight", registry, dataset, *SELECTED[name])
    continue_run(straight, registry, dataset)
    rare_checkpoints(monkeypatch)
    run = start(tmp_path / "run", registry, dataset, *SELECTED[name])

    def fail(state: State, _batches: int) -> None:
        if (state.epoch, state.batch) == (1, 1):
            raise GazekitError("the cooling has failed")

    with pytest.raises(GazekitError, match="the cooling has failed"):
        continue_run(run, registry, dataset, report=fail)
    assert [folder.name for folder in checkpoint.steps_of(run.checkpoints)] == ["000000"]
    if name != "last":
        _, weights = load_model(run, registry, CPU, report=pytest.fail)
        assert weights.epoch == run.read_metrics()[-1]["best_epoch"] > 0
    continue_run(run, registry, dataset)
    assert outcome(run) == outcome(straight)


def test_the_error_is_reported_also_if_the_weights_cannot_be_written(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare_checkpoints(monkeypatch)
    run = start(tmp_path / "run", registry, dataset)

    def full(*_: Any, **_more: Any) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(checkpoint, "save_contents", full)

    def fail(state: State, _batches: int) -> None:
        if state.epoch == 1:
            raise GazekitError("the cooling has failed")

    with pytest.raises(GazekitError, match="the cooling has failed"):
        continue_run(run, registry, dataset, report=fail)
    with pytest.raises(StorageError, match="no room"):  # an end without an error says so
        continue_run(run, registry, dataset)


def test_a_stopped_run_has_its_best_weights(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare_checkpoints(monkeypatch)
    run = start(tmp_path / "run", registry, dataset)
    asked: list[bool] = []

    def second_epoch(state: State, _batches: int) -> None:
        asked[:] = [True] * (state.epoch == 1 and state.batch == 1)

    with pytest.raises(Preempted, match="checkpoint written"):
        continue_run(run, registry, dataset, should_stop=lambda: any(asked), report=second_epoch)
    assert load_model(run, registry, CPU)[1].epoch == 1


def test_best_weights_are_written_where_a_checkpoint_is_refused(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are not finite, those of the best epoch are."""
    run = start(tmp_path / "run", registry, dataset)
    finite = resume._finite
    monkeypatch.setattr(
        resume,
        "_finite",
        lambda run, module, step: "model" not in dict(module.named_children()) and finite(run, module, step),
    )
    state = continue_run(run, registry, dataset)
    assert load_model(run, registry, CPU)[1].epoch == state.best_epoch


def test_they_are_held_as_they_were_and_written_once(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    norm: Any = torch.nn.BatchNorm1d(2)
    checkpoints = Checkpoints(run, norm)
    assert checkpoints.hold(norm, 4, {"epoch": 1})
    norm.running_var[:] = 7
    norm.weight.data[1] = torch.nan
    assert not checkpoints.hold(norm, 5, {"epoch": 2})  # the others stay
    assert not checkpoints.save(5, {})
    checkpoints.writer.wait()
    [folder] = checkpoint.steps_of(run.best)
    found = checkpoint.load(folder)
    assert folder.name == "000004" and found.state == {"epoch": 1}
    assert found.weights["running_var"].tolist() == [1, 1]
    monkeypatch.setattr(checkpoint, "save_contents", lambda *_, **_more: pytest.fail("written again"))
    assert not checkpoints.save(6, {})
    with checkpoints.written():
        pass
