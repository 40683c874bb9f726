"""One run learns, selects by validation, resumes to the bit, and refuses impossible settings."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gazekit_components.optimizers.schedules import OneCycle
from interrupted import wait_for_checkpoints
from tiny import tiny

from gazekit.contracts.progress import Elapsed
from gazekit.errors import ConfigurationError, DataError, GazekitError, Preempted
from gazekit.feeding import batches
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.stored import load_model
from gazekit.training import checkpoint_writer, loop
from gazekit.training.computing.loss_record import LossRecord
from gazekit.training.loop import State
from gazekit.training.resume import Checkpoints
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

CPU = torch.device("cpu")
SETTINGS = StartSettings(seed=0, device=CPU)
FEW = ("training.epochs=3", "training.batch_size=4", "fusion.vectors.dropout=0.2")


def start(
    path: Path, registry: Registry, dataset: PreparedDataset, *overrides: str, seed: int = 1
) -> RunDirectory:
    preset = tiny(registry, *FEW, *overrides)
    settings = StartSettings(seed=seed, device=CPU)
    return start_run(path, preset, registry, dataset, make_split(dataset), settings)


def stop_before(step: int) -> Callable[[], bool]:
    calls = iter(range(10_000))
    return lambda: next(calls) >= step


def outcome(run: RunDirectory) -> dict[str, object]:
    """Bytes of the last and the best weights and of the metrics; the optimiser's state value by value."""
    newest = sorted(run.checkpoints.glob("0*"))[-1]
    best = sorted(run.best.glob("0*"))[-1]
    files = [newest / "weights.safetensors", best / "weights.safetensors", run.metrics]
    state = flat(checkpoint.load(newest).state)
    return {str(file.relative_to(run.path)): file.read_bytes() for file in files} | state


def flat(value: object, key: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in flat(inner, f"{key}.{name}").items()}
    if isinstance(value, torch.Tensor):
        return {key: value.numpy().tobytes()}
    return {key: value}


@pytest.fixture(scope="module")
def straight(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, dataset: PreparedDataset
) -> RunDirectory:
    run = start(tmp_path_factory.mktemp("runs") / "straight", registry, dataset)
    continue_run(run, registry, dataset)
    return run


def test_the_run_directory_tells_all(straight: RunDirectory) -> None:
    names = {path.name for path in straight.path.iterdir()}
    assert {
        "preset.toml",
        "plugins.json",
        "environment.json",
        "split.csv",
        "metrics.jsonl",
        "run.json",
    } <= names
    lines = straight.read_metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"loss", "classification", "gaze", "bfl", "val_auc", "val_loss"} <= lines[0].keys()
    plugins = json.loads((straight.path / "plugins.json").read_text())
    assert {row["status"] for row in plugins} == {"ok"}


def test_the_best_validation_auc_is_selected(straight: RunDirectory) -> None:
    lines = straight.read_metrics()
    best = max(lines, key=lambda line: (line["val_auc"], -line["val_loss"]))
    saved = checkpoint.load(sorted(straight.best.glob("0*"))[-1])
    assert saved.state == {name: best[name] for name in ("epoch", "val_auc", "val_loss")}
    assert lines[-1]["best_epoch"] == best["epoch"]


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 8])
def test_stopped_at_any_step_and_resumed_to_the_bit(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, straight: RunDirectory, step: int
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    with pytest.raises(Preempted, match=f"stopped at step {step}"):
        continue_run(run, registry, dataset, should_stop=stop_before(step))
    torch.rand(17)  # whatever else drew from the global stream in between
    continue_run(run, registry, dataset)
    assert outcome(run) == outcome(straight)


def test_checkpoints_of_short_epochs_take_a_tenth_of_the_time(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which an epoch and a checkpoint take a second each: every tenth epoch has one, and the last.

    The training waits for each checkpoint, so that the clock does not depend on which thread runs first.
    """
    clock, saved, save = [0.0], [], Checkpoints.save
    monkeypatch.setattr(checkpoint_writer, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def noted(checkpoints: Checkpoints, step: int, state: dict[str, Any], **more: Any) -> bool:
        saved.append(state["state"]["epoch"])
        return save(checkpoints, step, state, **more)

    def written(*_: Any, **_more: Any) -> None:
        clock[0] += 1

    def report(state: State, _batches: int) -> None:
        clock[0] += state.batch == 0

    monkeypatch.setattr(Checkpoints, "save", noted)
    run = start(tmp_path / "run", registry, dataset, "training.epochs=13", "training.select=last")
    monkeypatch.setattr(checkpoint, "save_contents", written)
    wait_for_checkpoints(monkeypatch)
    continue_run(run, registry, dataset, report=report)
    assert saved == [1, 11, 13]
    assert len(run.read_metrics()) == 13


def test_the_next_epoch_is_drawn_before_the_host_waits_for_the_last_step(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its order and its augmentation, also after a stop within an epoch; none is drawn that no epoch uses."""
    did: list[str] = []

    def noted(place: Any, name: str) -> None:
        original = getattr(place, name)

        def draw(*arguments: Any, **options: Any) -> Any:
            did.append(f"{name} {options['epoch']}")
            return original(*arguments, **options)

        monkeypatch.setattr(place, name, draw)

    def arrived(self: LossRecord, *, wait: bool = False) -> Any:
        if wait:
            did.append("wait")
        return waited(self, wait=wait)

    waited = LossRecord.arrived
    monkeypatch.setattr(LossRecord, "arrived", arrived)
    noted(loop, "epoch_batches")
    noted(batches, "random_affine")
    run = start(tmp_path / "run", registry, dataset)
    continue_run(run, registry, dataset)
    drawn = [[f"epoch_batches {epoch}", f"random_affine {epoch}"] for epoch in range(3)]
    assert did == [*drawn[0], *drawn[1], "wait", *drawn[2], "wait", "wait"]
    stopped = start(tmp_path / "stopped", registry, dataset)
    with pytest.raises(Preempted):
        continue_run(stopped, registry, dataset, should_stop=stop_before(4))
    did.clear()
    continue_run(stopped, registry, dataset)
    assert did == [*drawn[1], *drawn[2], "wait", "wait"]
    did.clear()
    continue_run(stopped, registry, dataset)  # it is finished
    assert did == []


def test_a_torn_checkpoint_costs_one_interval_only(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, straight: RunDirectory
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    with pytest.raises(Preempted):
        continue_run(run, registry, dataset, should_stop=stop_before(7))
    newest = sorted(run.checkpoints.glob("0*"))[-1] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-10])
    continue_run(run, registry, dataset)
    assert outcome(run) == outcome(straight)
    assert "using the one before it" in (run.path / "log.txt").read_text()


def test_a_metrics_line_written_before_the_kill_is_not_doubled(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, straight: RunDirectory
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    with pytest.raises(Preempted):
        continue_run(run, registry, dataset, should_stop=stop_before(2))
    run.append_metrics({"epoch": 1, "step": 3, "best_epoch": 0, "val_auc": 0.0})
    with run.metrics.open("a") as file:
        file.write('{"epoch": 2, "val')
    continue_run(run, registry, dataset)
    assert run.metrics.read_bytes() == straight.metrics.read_bytes()


def test_another_seed_is_another_run(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, straight: RunDirectory
) -> None:
    run = start(tmp_path / "run", registry, dataset, seed=2)
    continue_run(run, registry, dataset)
    assert run.metrics.read_bytes() != straight.metrics.read_bytes()


def test_it_learns_what_is_there(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    quiet = ["training.augmentation.flip_horizontal=0", "training.learning_rate=0.01"]
    quiet += ["training.batch_size=7", "training.epochs=25"]
    run = start(tmp_path / "run", registry, dataset, *quiet)
    state = continue_run(run, registry, dataset)
    losses = [line["classification"] for line in run.read_metrics()]
    assert losses[-1] < losses[0] / 2
    assert state.best_auc == 1.0
    model, _ = load_model(run, registry, CPU, report=pytest.fail)
    assert not model.training


def test_not_finite_steps_are_skipped_and_ten_in_a_row_stop(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    run = start(tmp_path / "run", registry, dataset, "training.epochs=9", "data.mean=1e38", "data.std=1e-30")
    before = checkpoint.load_latest(run.checkpoints, lambda _: None)
    with pytest.raises(GazekitError, match=r"not finite 10 times in a row, last with exams e\d"):
        continue_run(run, registry, dataset)
    after = checkpoint.load_latest(run.checkpoints, lambda _: None)
    assert before is not None
    assert after is not None
    assert all(torch.equal(before.weights[name], tensor) for name, tensor in after.weights.items())
    assert "skipped, with exams e" in (run.path / "log.txt").read_text()


def test_weights_that_are_not_finite_are_never_saved(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    norm: Any = torch.nn.BatchNorm1d(2)
    norm.running_var[1] = torch.inf
    checkpoints = Checkpoints(run, norm)
    assert not checkpoints.hold(norm, 5, {}) and not checkpoints.save(5, {})
    checkpoints.writer.wait()
    assert [path.name for path in run.checkpoints.iterdir()] == ["000000"] and not run.best.exists()
    assert (run.path / "log.txt").read_text().count(
        "step 5: weights or running statistics are not finite"
    ) == 2
    monkeypatch.setattr(Checkpoints, "save", lambda *_, **_more: False)
    with pytest.raises(Preempted, match="stopped at step 2, weights not finite and not saved"):
        continue_run(run, registry, dataset, should_stop=stop_before(2))


def test_what_cannot_work_is_refused(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigurationError, match="taken: exists already"):
        start(tmp_path / "taken", registry, dataset)
    (tmp_path / "taken" / "README.md").touch()
    with pytest.raises(ConfigurationError, match="taken: exists already"):
        start(tmp_path / "taken", registry, dataset)
    (tmp_path / "taken" / "preset.toml").touch()
    with pytest.raises(
        ConfigurationError, match="taken: holds what is left of a run that never began; repeat the"
    ):
        start(tmp_path / "taken", registry, dataset)
    with pytest.raises(ConfigurationError, match="no view 'front', which preset"):
        start(tmp_path / "views", registry, dataset, 'views=["front", "mlo"]')
    blind = object.__new__(PreparedDataset)
    blind.__dict__.update({**dataset.__dict__, "has_gaze": np.zeros_like(dataset.has_gaze)})
    with pytest.raises(DataError, match=r"none of the \d+ training exams has gaze.*--set gaze=none"):
        start(tmp_path / "blind", registry, blind)
    start(tmp_path / "without", registry, blind, "gaze=none")
    half = dict.fromkeys(dataset.exam_ids, "train")
    half[dataset.exam_ids[0]] = "test"
    with pytest.raises(DataError, match="patient"):
        start_run(tmp_path / "leak", tiny(registry), registry, dataset, half, SETTINGS)


def test_a_run_is_not_continued_on_other_data(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    run = start(tmp_path / "run", registry, dataset)
    other = object.__new__(PreparedDataset)
    other.__dict__.update({**dataset.__dict__, "fingerprint": "0" * 64})
    with pytest.raises(DataError, match=r"not the data that .* was trained on"):
        continue_run(run, registry, other)


def test_the_one_cycle_is_torchs() -> None:
    schedule = OneCycle()
    steps = 50
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=steps, cycle_momentum=False, final_div_factor=1e9
    )
    for step in range(steps):
        assert 0.01 * schedule(Elapsed(step, steps)) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=1e-8
        )
        optimizer.step()
        if step < steps - 1:
            reference.step()


def test_a_run_in_use_is_refused(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    run = start(tmp_path / "run", registry, dataset)
    with run.lock():
        with pytest.raises(ConfigurationError, match="another process is training this run"):
            continue_run(run, registry, dataset)
        with pytest.raises(ConfigurationError, match="another process is training this run"):
            RunDirectory.created(run.path, overwrite=True).__enter__()
    assert run.facts().seed == 1


def test_only_a_run_is_ever_overwritten(tmp_path: Path, registry: Registry, dataset: PreparedDataset) -> None:
    run = start(tmp_path / "run", registry, dataset)
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"holds notes\.txt, which no run has"):
        RunDirectory.created(run.path, overwrite=True).__enter__()
    (run.path / "notes.txt").unlink()
    with RunDirectory.created(run.path, overwrite=True):
        assert [file.name for file in run.path.iterdir()] == [".lock"]
    assert not (run.path / "run.json").exists()


def test_what_does_not_fit_is_said_before_a_run_begins(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset
) -> None:
    with pytest.raises(ConfigurationError, match="linear"):
        start(tmp_path / "cam", registry, dataset, "attention_map=cam")
    overrides = ["training.batch_size=1", "backbone.model=resnet10t", "backbone.pretrained=false"]
    preset = registry.preset("late_concat", overrides=overrides)
    with pytest.raises(
        ConfigurationError, match=r"images of 16 × 16 px in batches of 1: Expected more than 1 value"
    ):
        start_run(tmp_path / "one", preset, registry, dataset, make_split(dataset), SETTINGS)
    assert not any(tmp_path.iterdir())
