"""Record a training step as CUDA graphs, so that the host launches once instead of a thousand times."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gazekit.contracts.types import Batch
from gazekit.distributed.processes import count
from gazekit.presets.tables import TrainingSettings
from gazekit.training.optimiser import decides_on_device
from gazekit.training.step import TrainingStep

_EAGER = 3
"""Steps per batch shape run without a graph first, while cuDNN chooses algorithms and caches fill."""

Taken = tuple[Tensor, dict[str, Tensor]]


def fastest(
    step: TrainingStep, settings: TrainingSettings, note: Callable[[str], None]
) -> Callable[[Batch], Taken]:
    """Return the step as CUDA graphs where possible, else unchanged; both compute the same.

    Args:
        step: the training step.
        settings: ``accumulate`` and ``checkpoint_activations`` reset random numbers within a step, which
            cannot be recorded; neither can communication between processes.
        note: called with any other obstacle: a component that makes the host wait, an optimiser that does, or an
            operation no graph supports.
    """
    alone = count() == 1 and settings.accumulate == 1 and not settings.checkpoint_activations
    if not (settings.cuda_graphs and alone and step.parameters[0].device.type == "cuda"):
        return step
    if not decides_on_device(step.optimizer):
        note("no CUDA graphs: the host must know whether a step counts before this optimiser takes it")
        return step
    return CapturedStep(step, note)


class CapturedStep:
    """A training step that replays its recording on each new batch.

    A component's Python code runs only during recording, so components must keep no state outside
    their tensors, as their contract requires.

    Args:
        step, note: see ``fastest``.
    """

    def __init__(self, step: TrainingStep, note: Callable[[str], None]) -> None:
        self.step = step
        self.note = note
        self.stream = torch.cuda.Stream()
        self.pool = torch.cuda.graph_pool_handle()
        self.taken: dict[tuple[torch.Size, ...], int] = {}
        self.recorded: dict[tuple[torch.Size, ...], _Recorded] = {}
        self.refused = False
        self.resting = step.resting

    def __call__(self, batch: Batch) -> Taken:
        """Learn from a batch; see ``TrainingStep``. The next step overwrites the returned tensors."""
        if self.refused:
            return self.step(batch)
        if self.resting != self.step.resting:
            self._forget()
        shapes = tuple(tensor.shape for tensor in batch.tensors())
        before = self.taken[shapes] = self.taken.get(shapes, 0) + 1
        if before <= _EAGER:
            return self._eager(batch, watch=before == _EAGER)
        if shapes not in self.recorded:
            try:
                self.recorded[shapes] = _Recorded(self.step, batch, self.pool)
            except RuntimeError as error:  # nothing has been computed yet
                self._refuse(str(error).strip().split("\n")[0])
                return self.step(batch)
        return self.recorded[shapes](batch)

    def _eager(self, batch: Batch, *, watch: bool) -> Taken:
        """Run one operation at a time, on a side stream like a recording."""
        here, mode = torch.cuda.current_stream(), torch.cuda.get_sync_debug_mode()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream), warnings.catch_warnings(record=watch) as caught:
            if watch:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
            try:
                result = self.step(batch)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        here.wait_stream(self.stream)
        waits = [each for each in caught or () if "synchronizing CUDA operation" in str(each.message)]
        if waits:
            self._refuse(f"{waits[0].filename}, line {waits[0].lineno}, makes the host wait for the device")
        return result

    def _forget(self) -> None:
        """Begin again: other parts of the model learn, which makes another step."""
        torch.cuda.synchronize()  # a replay may still run
        self.resting, self.taken, self.recorded = self.step.resting, {}, {}
        self.pool = torch.cuda.graph_pool_handle()

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.note(f"no CUDA graphs: {reason}")


class _Recorded:
    """The recorded step for batches of one shape."""

    def __init__(self, step: TrainingStep, batch: Batch, pool: Any) -> None:
        self.batch = batch.map(Tensor.clone)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.result = step(self.batch)

    def __call__(self, batch: Batch) -> Taken:
        for held, tensor in zip(self.batch.tensors(), batch.tensors(), strict=True):
            held.copy_(tensor)
        self.graph.replay()
        return self.result
