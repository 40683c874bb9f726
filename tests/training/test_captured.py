"""When steps and validations are recorded and replayed, on a stand-in for the device; on a real one: test_cuda.py."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import random_batch, tiny
from torch import Tensor

from gazekit.contracts.types import Batch
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prediction.predictions import logits_of, predict
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.runs.checkpoints import checkpoint
from gazekit.training import loop
from gazekit.training.computing.captured import Captured, Computed, fastest, fastest_validation
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run


class StandIn:
    """A device that notes what it is asked for, and a step that learns the sum of the labels."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.recording: SimpleNamespace | None = None
        self.log: list[str] = []
        self.waits = False
        self.watched = False
        self.refuses = False
        self.resting: tuple[str, ...] = ()
        stream = SimpleNamespace(wait_stream=lambda _other: None)
        for name, value in {
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "stream": lambda _stream: nullcontext(),
            "graph_pool_handle": lambda: (0, 1),
            "CUDAGraph": lambda: SimpleNamespace(replay=None),
            "graph": self.graph,
            "get_sync_debug_mode": lambda: 0,
            "set_sync_debug_mode": self.watch,
            "synchronize": lambda: self.log.append("waited"),
        }.items():
            patch.setattr(torch.cuda, name, value)

    def watch(self, mode: object) -> None:
        self.watched = mode == "warn"

    @contextmanager
    def graph(self, graph: Any, **_options: Any) -> Any:
        self.recording = graph
        yield
        self.recording = None
        if self.refuses:
            raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """As on a device: while it is recorded nothing is computed."""
        if self.recording is None:
            self.run()
            return torch.tensor(True), {"loss": batch.labels.sum()}
        self.log.append("recorded")
        loss = torch.zeros((), dtype=torch.int64)

        def replay() -> None:
            self.log.append("replayed")
            loss.copy_(batch.labels.sum())

        self.recording.replay = replay
        return torch.tensor(True), {"loss": loss}

    def run(self) -> None:
        """Compute without a recording."""
        if self.waits and self.watched:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        self.log.append("eager")

    def recordable(self, model: MultiViewClassifier) -> Callable[[Batch], Computed]:
        """The forward pass of a model, whose recording reads the storages that were there when it was recorded."""

        def storages() -> list[int]:
            return [each.data_ptr() for each in (*model.parameters(), *model.buffers())]

        def forward(batch: Batch) -> Computed:
            if self.recording is None:
                self.run()
                return logits_of(model, batch)
            self.log.append("recorded")
            held = torch.zeros(len(batch.labels), model.outputs)
            read = storages()

            def replay() -> None:
                self.log.append("replayed")
                assert storages() == read
                held.copy_(logits_of(model, batch)[0])

            self.recording.replay = replay
            return held, {}

        return forward


def losses(take: Captured, sizes: list[int]) -> list[float]:
    came = []
    for number, exams in enumerate(sizes):
        batch = random_batch(("cc", "mlo"), exams)
        batch.labels.fill_(number)
        _, terms = take(batch)
        came.append(float(terms["loss"]) / exams)
    return came


def test_every_shape_is_taken_three_times_then_recorded_once_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device, said = StandIn(monkeypatch), []
    take = Captured(device, said.append)
    assert losses(take, [4, 4, 5, 4, 4, 4, 5, 5, 5]) == list(range(9))  # each batch is learnt from, once
    assert device.log == [
        *("eager", "eager", "eager", "eager"),
        *("recorded", "replayed", "replayed"),
        *("eager", "eager", "recorded", "replayed"),
    ]
    assert not said


def test_a_part_that_begins_to_learn_makes_another_step(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = StandIn(monkeypatch), []
    device.resting = ("backbones",)
    take = Captured(device, said.append, kind=lambda: device.resting)
    assert losses(take, [4] * 5) == list(range(5))
    device.resting = ()
    assert losses(take, [4] * 5) == list(range(5))
    once = ["eager"] * 3 + ["recorded", "replayed", "replayed"]
    assert device.log == [*once, "waited", *once]


def test_a_step_that_waits_is_never_recorded_and_its_place_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = StandIn(monkeypatch), []
    device.waits = True
    take = Captured(device, said.append)
    assert losses(take, [4] * 6) == list(range(6))
    assert device.log == ["eager"] * 6
    assert len(said) == 1 and __file__ in said[0] and "makes the host wait" in said[0]


def test_a_step_that_a_graph_cannot_hold_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = StandIn(monkeypatch), []
    device.refuses = True
    take = Captured(device, said.append)
    assert losses(take, [4] * 6) == list(range(6))
    assert device.log == ["eager"] * 3 + ["recorded"] + ["eager"] * 3
    assert said == ["no CUDA graphs: CUDA error: operation not permitted"]


@pytest.mark.parametrize(
    ("device", "overrides", "fused", "recorded"),
    [
        ("cuda", (), True, True),
        ("cuda", (), False, False),
        ("cuda", ("training.cuda_graphs=false",), True, False),
        ("cpu", (), True, False),
        ("cuda", ("training.accumulate=2",), True, False),
        ("cuda", ("training.checkpoint_activations=true",), True, False),
    ],
)
def test_where_steps_are_recorded(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    overrides: tuple[str, ...],
    fused: bool,
    recorded: bool,
) -> None:
    """Also not with an optimiser that needs the host to know whether a step counts, which is said."""
    said: list[str] = []
    StandIn(monkeypatch)
    step: Any = SimpleNamespace(
        parameters=[SimpleNamespace(device=torch.device(device))],
        optimizer=SimpleNamespace(_step_supports_amp_scaling=fused),
        resting=(),
    )
    take = fastest(step, tiny(registry, *overrides).training, said.append)
    assert isinstance(take, Captured) == recorded
    assert recorded or take is step
    assert len(said) == (not fused)


@pytest.mark.parametrize(
    ("device", "overrides", "recorded"),
    [
        ("cuda", (), True),
        ("cuda", ("training.accumulate=2",), True),
        ("cuda", ("training.cuda_graphs=false",), False),
        ("cuda", ("training.checkpoint_activations=true",), False),
        ("cpu", (), False),
    ],
)
def test_where_validations_are_recorded(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    overrides: tuple[str, ...],
    recorded: bool,
) -> None:
    StandIn(monkeypatch)
    model: Any = SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device(device))]))
    forward = fastest_validation(model, tiny(registry, *overrides).training, pytest.fail)
    assert isinstance(forward, Captured) == recorded


def test_a_recorded_validation_reads_new_weights_statistics_and_exams(
    registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 3, 3 and 1 exams: two of a shape in a row, each of whose results must last."""
    device, preset = StandIn(monkeypatch), tiny(registry)
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    exams = prepared_exams(dataset, np.arange(7), preset, torch.device("cpu"), with_gaze=False)
    forward = Captured(device.recordable(model), pytest.fail)
    found = []
    for turn in range(6):
        with torch.no_grad():
            model(random_batch(preset.views, size=16, seed=turn).images)  # changes statistics
            if turn % 2:
                torch._foreach_mul_(list(model.parameters()), 1.1)
        ours = predict(model, exams, batch_size=3, forward=forward)
        theirs = predict(model, exams, batch_size=3)
        assert ours.logits.tobytes() == theirs.logits.tobytes()
        assert ours.probabilities.tobytes() == theirs.probabilities.tobytes()
        assert model.training
        found.append(theirs.logits)
    assert all((one != other).any() for one, other in pairwise(found))
    assert device.log.count("recorded") == 2
    assert device.log.count("replayed") == 6 * 3 - 3 - 3
    assert device.log.count("eager") == 3 + 3


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.ema=0.9", "training.accumulate=2"),
        ("training.groups.backbones={freeze_epochs=3}",),
    ],
    ids=["plain", "average", "frozen"],
)
def test_a_training_with_recorded_validations_is_the_ordinary_one_to_the_bit(
    tmp_path: Path,
    registry: Registry,
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
) -> None:
    device, ends = StandIn(monkeypatch), []
    few = ("training.epochs=6", "training.batch_size=7", "fusion.vectors.dropout=0.2")
    preset = tiny(registry, *few, *overrides)
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    for recorded in (True, False):
        run = start_run(tmp_path / str(recorded), preset, registry, dataset, make_split(dataset), settings)
        with pytest.MonkeyPatch.context() as patch:
            if recorded:
                patch.setattr(
                    loop,
                    "fastest_validation",
                    lambda model, _, note: Captured(device.recordable(model), note),
                )
            continue_run(run, registry, dataset)
        newest = [checkpoint.steps_of(each)[-1] for each in (run.checkpoints, run.best)]
        ends.append(
            [run.metrics.read_bytes(), *((each / "weights.safetensors").read_bytes() for each in newest)]
        )
    assert ends[0] == ends[1]
    assert device.log.count("recorded") >= 1 and device.log.count("replayed") >= 3


def test_a_validation_that_waits_is_not_recorded_and_the_log_says_so(
    tmp_path: Path, registry: Registry, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = StandIn(monkeypatch)
    device.waits = True
    monkeypatch.setattr(
        loop, "fastest_validation", lambda model, _, note: Captured(device.recordable(model), note)
    )
    preset = tiny(registry, "training.epochs=4", "training.batch_size=7")
    settings = StartSettings(seed=1, device=torch.device("cpu"))
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    continue_run(run, registry, dataset)
    said = [line for line in (run.path / "log.txt").read_text().splitlines() if "CUDA graphs" in line]
    assert len(said) == 1 and "validation: no CUDA graphs: " in said[0] and "makes the host wait" in said[0]
    assert "recorded" not in device.log
