"""When a step is taken, recorded and replayed, on a stand-in for the device; on a real one: test_cuda.py."""

import warnings
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import random_batch, tiny
from torch import Tensor

from gazekit.contracts.types import Batch
from gazekit.registry.registry import Registry
from gazekit.training.captured import CapturedStep, fastest


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
            if self.waits and self.watched:
                warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
            self.log.append("eager")
            return torch.tensor(True), {"loss": batch.labels.sum()}
        self.log.append("recorded")
        loss = torch.zeros((), dtype=torch.int64)

        def replay() -> None:
            self.log.append("replayed")
            loss.copy_(batch.labels.sum())

        self.recording.replay = replay
        return torch.tensor(True), {"loss": loss}


def losses(take: CapturedStep, sizes: list[int]) -> list[float]:
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
    take = CapturedStep(device, said.append)  # type: ignore[arg-type]
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
    take = CapturedStep(device, said.append)  # type: ignore[arg-type]
    assert losses(take, [4] * 5) == list(range(5))
    device.resting = ()
    assert losses(take, [4] * 5) == list(range(5))
    once = ["eager"] * 3 + ["recorded", "replayed", "replayed"]
    assert device.log == [*once, "waited", *once]


def test_a_step_that_waits_is_never_recorded_and_its_place_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = StandIn(monkeypatch), []
    device.waits = True
    take = CapturedStep(device, said.append)  # type: ignore[arg-type]
    assert losses(take, [4] * 6) == list(range(6))
    assert device.log == ["eager"] * 6
    assert len(said) == 1 and __file__ in said[0] and "makes the host wait" in said[0]


def test_a_step_that_a_graph_cannot_hold_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = StandIn(monkeypatch), []
    device.refuses = True
    take = CapturedStep(device, said.append)  # type: ignore[arg-type]
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
    assert isinstance(take, CapturedStep) == recorded
    assert recorded or take is step
    assert len(said) == (not fused)
