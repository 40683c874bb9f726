"""Take a training step without waiting for the device, not even to decide whether to skip it."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gazekit.contracts.types import Batch, Views
from gazekit.distributed.membership import count, rank
from gazekit.distributed.processes import total
from gazekit.distributed.sharing import sum_gradients
from gazekit.modelling.model import Encoded, MultiViewClassifier
from gazekit.modelling.objective import Losses, Objective
from gazekit.modelling.recompute import frozen_buffers
from gazekit.presets.tables import TrainingSettings
from gazekit.training.computing.execution import seed_draws
from gazekit.training.computing.loss_scale import LossScale
from gazekit.training.optimising.average import WeightAverage
from gazekit.training.optimising.optimiser import load_optimizer, step_if


class TrainingStep:
    """A training step: forward, losses, backward and optimiser.

    Args:
        model, objective: on the device of the batches, in training mode.
        optimizer: from ``make_optimizer``, over the parameters of both.
        settings: the preset's ``training`` table.
    """

    def __init__(
        self,
        model: MultiViewClassifier,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        settings: TrainingSettings,
    ) -> None:
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.accumulate = settings.accumulate
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        device = self.parameters[0].device
        self.loss_scale = LossScale(device) if settings.amp == "fp16" else None
        self.statistics = _Statistics(model)
        modules = nn.ModuleDict({"model": model, "objective": objective})
        self.average = WeightAverage(modules, settings.ema) if settings.ema else None
        self.resting: tuple[str, ...] = ()
        """Parts of the model that no gradient reaches in this epoch."""

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Learn from a batch, together with the processes that hold its other exams.

        Returns:
            Whether the step was taken, a bool on the device: if loss or gradient is not finite, weights, optimiser and
            running statistics stay unchanged. Also the loss terms of the whole batch, scalars on the device.
        """
        self.statistics.keep()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._gradients(batch)
        sum_gradients(self.parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        names = ["loss", *losses.terms]
        terms = total(
            torch.stack([losses.total.detach(), *(term.detach() for term in losses.terms.values())])
        )
        taken = torch.isfinite(terms[0]) & torch.isfinite(norm)
        self.statistics.restore_unless(taken)
        step_if(taken, self.optimizer, None if self.loss_scale is None else self.loss_scale.scale)
        if self.loss_scale is not None:
            self.loss_scale.update(taken)
        if self.average is not None:
            self.average.update(taken)
        reported = dict(zip(names, terms, strict=True))
        reported |= {
            name: torch.where(said > 0, reported[name], torch.nan) for name, said in losses.said.items()
        }
        return taken, reported

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser, and of loss scale and average if there are any, for a checkpoint."""
        scale = {} if self.loss_scale is None else {"loss_scale": self.loss_scale.state_dict()}
        average = {} if self.average is None else {"average": self.average.state_dict()}
        return {"optimizer": self.optimizer.state_dict(), **scale, **average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint made on any device; the optimiser's settings are kept."""
        load_optimizer(self.optimizer, state["optimizer"])
        if self.loss_scale is not None:
            self.loss_scale.load_state_dict(state["loss_scale"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _gradients(self, batch: Batch) -> Losses:
        """Add the loss gradient, times the loss scale, to every parameter's ``grad``."""
        parts = min(self.accumulate, _fewest(len(batch.labels))) if self.accumulate > 1 else 1
        if parts > 1:
            return self._gradients_in_parts(batch, parts)
        encoded = self.model.encode_all(self._images(batch), batch.gaze, batch.present)
        if self.resting:
            encoded = encoded.map(_with_gradient)
        losses: Losses = self.objective(self.model.classify(encoded, batch.present, batch.covariates), batch)
        self._scaled(losses.total).backward()
        return losses

    def _gradients_in_parts(self, batch: Batch, parts: int) -> Losses:
        """Compute the gradient of the whole batch's loss, keeping backbone activations of one part at a time.

        First compute the last feature maps of all parts, without a graph. From them compute the rest for the whole
        batch at once, so that negatives and averages span the batch. Then run every part again, with a graph, and
        propagate the gradient of its maps. Only batch norm works on parts.

        Source: the gradient cache of Gao et al. 2021, doi:10.18653/v1/2021.repl4nlp-1.31.
        """
        pieces = [_piece(batch, rows) for rows in np.array_split(np.arange(len(batch.labels)), parts)]
        seed = torch.initial_seed()
        with torch.no_grad(), frozen_buffers(self.model):
            cached = [self._encode(piece, seed, part) for part, piece in enumerate(pieces)]
        leaves = Encoded.joined(cached).map(_with_gradient)
        losses: Losses = self.objective(self.model.classify(leaves, batch.present, batch.covariates), batch)
        self._scaled(losses.total).backward()
        reached = [None if leaf.grad is None else leaf.grad.tensor_split(parts) for leaf in leaves.tensors()]
        for part, piece in enumerate(pieces):
            pairs = zip(self._encode(piece, seed, part).tensors(), reached, strict=True)
            learning = [(each, own[part]) for each, own in pairs if own is not None and each.requires_grad]
            if learning:
                tensors, gradients = zip(*learning, strict=True)
                torch.autograd.backward(tensors, gradients)
        return losses

    def _images(self, batch: Batch) -> Views:
        """The images; where a part rests and an attention map reads stages, they begin the graph of their maps."""
        if not (self.resting and self.model.shows_stages):
            return batch.images
        return {view: _with_gradient(image) for view, image in batch.images.items()}

    def _encode(self, piece: Batch, seed: int, part: int) -> Encoded:
        seed_draws((seed * 1_000_003 + part) % 2**63, piece.labels.device)  # the same dropout both times
        return self.model.encode_all(piece.images, piece.gaze, piece.present)

    def _scaled(self, loss: Tensor) -> Tensor:
        return loss if self.loss_scale is None else loss * self.loss_scale.scale


def _with_gradient(values: Tensor) -> Tensor:
    """The values, in a graph that attention maps can differentiate even if nothing before them learns."""
    if values.requires_grad or not values.is_floating_point():
        return values
    return values.detach().requires_grad_()


def _fewest(exams: int) -> int:
    """Return the fewest exams that a process holds: all must use the same number of parts."""
    if count() == 1:
        return exams
    everyone = torch.zeros(count(), dtype=torch.int64)
    everyone[rank()] = exams
    return int(total(everyone).min())


def _piece(batch: Batch, rows: NDArray[np.int64]) -> Batch:
    """Return consecutive exams of a batch, without copying."""
    where = slice(int(rows[0]), int(rows[-1]) + 1)
    return batch.map(lambda tensor: tensor[where])


class _Statistics:
    """A copy of a model's buffers: the forward pass changes them before the step is known to count."""

    def __init__(self, model: nn.Module) -> None:
        self.groups: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for buffer in model.buffers():
            self.groups[buffer.dtype].append(buffer)

    def keep(self) -> None:
        self.before = [torch.cat([buffer.flatten() for buffer in group]) for group in self.groups.values()]

    def restore_unless(self, taken: Tensor) -> None:
        """Restore the buffers unless the step was taken; decided on the device."""
        for group, before in zip(self.groups.values(), self.before, strict=True):
            after = torch.cat([buffer.flatten() for buffer in group])
            chosen = torch.split(torch.where(taken, after, before), [buffer.numel() for buffer in group])
            torch._foreach_copy_(
                group, [values.view_as(buffer) for values, buffer in zip(chosen, group, strict=True)]
            )
