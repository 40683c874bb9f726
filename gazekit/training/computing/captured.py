"""Record training step and validation as CUDA graphs, so that the host launches once instead of a thousand times."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from gazekit.contracts.types import Batch
from gazekit.distributed.membership import count
from gazekit.modelling.model import MultiViewClassifier
from gazekit.prediction.predictions import logits_of
from gazekit.presets.tables import TrainingSettings
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import decides_on_device

_EAGER = 3
"""Calls per batch shape without a graph first, while cuDNN chooses algorithms and caches fill."""

Computed = tuple[Tensor, dict[str, Tensor]]
"""Of a step: whether it was taken, and its loss terms; of a forward pass: the logits, and those of further targets."""


def fastest(
    step: TrainingStep, settings: TrainingSettings, note: Callable[[str], None]
) -> Callable[[Batch], Computed]:
    """Return the step as CUDA graphs where possible, else unchanged; both compute the same.

    Args:
        step: the training step.
        settings: ``accumulate`` and ``checkpoint_activations`` reset random numbers within a step, which
            cannot be recorded; neither can communication between processes.
        note: called with any other obstacle: a component that makes the host wait, an optimiser that does, or an
            operation no graph supports.
    """
    if settings.accumulate > 1 or not _records(settings, step.parameters[0].device):
        return step
    if not decides_on_device(step.optimizer):
        note("no CUDA graphs: the host must know whether a step counts before this optimiser takes it")
        return step
    return Captured(step, note, kind=lambda: step.resting)


def fastest_validation(
    model: torch.nn.Module, settings: TrainingSettings, note: Callable[[str], None]
) -> Callable[[Batch], Computed]:
    """Return the forward pass of validation as CUDA graphs where possible, else unchanged; both compute the same.

    Args:
        model: in evaluation mode whenever it is called.
        settings, note: see ``fastest``; ``accumulate`` is no obstacle here.
    """
    forward = partial(logits_of, cast(MultiViewClassifier, model))
    return Captured(forward, note) if _records(settings, next(model.parameters()).device) else forward


def _records(settings: TrainingSettings, device: torch.device) -> bool:
    alone = count() == 1 and not settings.checkpoint_activations
    return settings.cuda_graphs and alone and device.type == "cuda"


class Captured:
    """A function of a batch that replays its recording on each new batch.

    A component's Python code runs only during recording, so components must keep no state outside
    their tensors, as their contract requires. Weights and statistics are read where they are, so they must change in
    place.

    Args:
        function: computes tensors from a batch, and may change others.
        note: see ``fastest``.
        kind: says which function it is at the moment; after a change it is recorded again.
    """

    def __init__(
        self,
        function: Callable[[Batch], Computed],
        note: Callable[[str], None],
        *,
        kind: Callable[[], object] = lambda: None,
    ) -> None:
        self.function = function
        self.note = note
        self.kind = kind
        self.stream = torch.cuda.Stream()
        self.pool = torch.cuda.graph_pool_handle()
        self.called: dict[tuple[torch.Size, ...], int] = {}
        self.recorded: dict[tuple[torch.Size, ...], _Recorded] = {}
        self.refused = False
        self.now = kind()

    def __call__(self, batch: Batch) -> Computed:
        """Compute the function of a batch. The next call overwrites the returned tensors."""
        if self.refused:
            return self.function(batch)
        if self.now != self.kind():
            self._forget()
        shapes = tuple(tensor.shape for tensor in batch.tensors())
        before = self.called[shapes] = self.called.get(shapes, 0) + 1
        if before <= _EAGER:
            return self._eager(batch, watch=before == _EAGER)
        if shapes not in self.recorded:
            try:
                self.recorded[shapes] = _Recorded(self.function, batch, self.pool)
            except RuntimeError as error:  # nothing has been computed yet
                self._refuse(str(error).strip().split("\n")[0])
                return self.function(batch)
        return self.recorded[shapes](batch)

    def _eager(self, batch: Batch, *, watch: bool) -> Computed:
        """Run one operation at a time, on a side stream like a recording."""
        here, mode = torch.cuda.current_stream(), torch.cuda.get_sync_debug_mode()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream), warnings.catch_warnings(record=watch) as caught:
            if watch:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
            try:
                result = self.function(batch)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        here.wait_stream(self.stream)
        waits = [each for each in caught or () if "synchronizing CUDA operation" in str(each.message)]
        if waits:
            self._refuse(f"{waits[0].filename}, line {waits[0].lineno}, makes the host wait for the device")
        return result

    def _forget(self) -> None:
        """Begin again, with another function."""
        torch.cuda.synchronize()  # a replay may still run
        self.now, self.called, self.recorded = self.kind(), {}, {}
        self.pool = torch.cuda.graph_pool_handle()

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.note(f"no CUDA graphs: {reason}")


class _Recorded:
    """The recorded function for batches of one shape."""

    def __init__(self, function: Callable[[Batch], Computed], batch: Batch, pool: Any) -> None:
        self.batch = batch.map(Tensor.clone)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.result = function(self.batch)

    def __call__(self, batch: Batch) -> Computed:
        for held, tensor in zip(self.batch.tensors(), batch.tensors(), strict=True):
            held.copy_(tensor)
        self.graph.replay()
        return self.result
