"""About how much memory a training will take."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gazekit.contracts.types import Batch
from gazekit.distributed.processes import count
from gazekit.feeding.batches import Exams, ResidentExams
from gazekit.feeding.feed import free_memory
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective
from gazekit.presets.tables import TrainingSettings
from gazekit.training.execution import ways_to_save

_SIDE = 64
_TIMES = ((1, 1), (1, 2), (2, 2))
"""The sizes that are tried: so many times that side high and wide."""
_EXAMS = 2


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes.

    Args:
        model: weights, their gradients and the two moments of the optimiser.
        activations: what the backward pass needs of the exams that go through the branches at a time.
    """

    model: int
    activations: int


def estimate_memory(
    model: MultiViewClassifier,
    objective: Objective,
    views: tuple[str, ...],
    size: tuple[int, int],
    settings: TrainingSettings,
) -> Memory:
    """Measure what exams of up to three small sizes leave for the backward pass, and scale it up; takes a moment.

    Convolutions leave something for each pixel, attention for each pair of pixels: ``a + b p + c p^2`` goes through the
    three. That is too much where attention does not keep its weights, on a GPU and for more pixels than 1024.

    Args:
        model, objective: on the CPU; copies of them are used.
        views: of the images that are read.
        size: (height, width) of an image.
        settings: batch size, parts, precision and checkpointing.
    """
    height, width = min(_SIDE, size[0]), min(_SIDE, size[1])
    growth = size[0] * size[1] / (height * width)
    kept = {}
    for tall, wide in _TIMES if growth > 1 else _TIMES[:1]:
        left = _left_by(model, objective, _noise(views, tall * height, wide * width))
        kept[tall * wide] = left.with_checkpoints if settings.checkpoint_activations else left.total
    of_pixels = np.polynomial.Polynomial.fit(list(kept), list(kept.values()), deg=len(kept) - 1)
    exams = -(-settings.batch_size // (count() * settings.accumulate))
    activations = exams / _EXAMS * float(of_pixels(growth))
    activations *= 1 if settings.amp == "off" else 0.5  # not measured: copies of the weights would count too
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return Memory(4 * weights, round(activations))


def describe_memory(memory: Memory, exams: Sequence[Exams], settings: TrainingSettings) -> str:
    """One line: the parts, where the exams are, and whether it looks like too much."""
    device, held = exams[0].device, [isinstance(part, ResidentExams) for part in exams]
    stored = sum(part.nbytes for part in exams)
    where = f"held on {device.type}" if all(held) else "not held there but sent batch by batch"
    needed, free = memory.model + memory.activations, free_memory(device)
    text = (
        f"memory: about {_readable(needed)} ({_readable(memory.model)} for weights, gradients and optimiser, "
        f"{_readable(memory.activations)} for activations), and exams of {_readable(stored)}, {where}"
    )
    if needed > free:
        text += f"; {_readable(free)} are free. Less is needed with, in this order: {ways_to_save(settings)}"
    return text


def _readable(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


def _left_by(model: MultiViewClassifier, objective: Objective, batch: Batch) -> "_Saved":
    """What a forward pass of copies leaves."""
    model, objective = deepcopy(model).train(), deepcopy(objective)
    saved = _Saved(model)
    with saved.counted():
        losses = objective(model, model(batch.images, batch.gaze), batch)
    del losses  # until here it held the graph
    return saved


class _Saved:
    """Counts the bytes that a forward pass leaves for the backward pass."""

    def __init__(self, model: MultiViewClassifier) -> None:
        self.total = 0
        self.stages: list[tuple[int, int]] = []
        """Of each stage as it ran: what came in and what it left."""
        self._seen = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._held: list[torch.UntypedStorage] = []
        """What was counted, so that no later storage gets the address of one that was given up."""
        for backbone in model.backbones:
            for stage in backbone.stages:  # type: ignore[union-attr]
                stage.register_forward_pre_hook(self._begin)
                stage.register_forward_hook(self._end)

    @property
    def with_checkpoints(self) -> int:
        """If stages kept what comes in and left the rest to a second forward pass, one at a time."""
        left = [left for _, left in self.stages]
        return self.total - sum(left) + sum(came_in for came_in, _ in self.stages) + max(left)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is run inside."""
        with torch.autograd.graph.saved_tensors_hooks(self._count, lambda tensor: tensor):
            yield
        self._held.clear()

    def _count(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._held.append(storage)
            self.total += storage.nbytes()
        return tensor

    def _begin(self, _stage: nn.Module, maps: tuple[Tensor]) -> None:
        self.stages.append((maps[0].nbytes, self.total))

    def _end(self, _stage: nn.Module, _maps: tuple[Tensor], _output: Tensor) -> None:
        came_in, before = self.stages[-1]
        self.stages[-1] = came_in, self.total - before


def _noise(views: tuple[str, ...], height: int, width: int) -> Batch:
    shape = (_EXAMS, height, width)
    return Batch(
        images={view: torch.randn(shape)[:, None] for view in views},
        labels=torch.arange(_EXAMS) % 2,
        gaze={view: torch.rand(shape) for view in views},
        has_gaze={view: torch.ones(_EXAMS, dtype=torch.bool) for view in views},
    )
