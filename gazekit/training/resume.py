"""Save and restore the state of a training; in a group of processes, process 0 writes and all read."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from gazekit.distributed.processes import rank
from gazekit.distributed.sharing import check_alike
from gazekit.errors import DataError
from gazekit.runs import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.selection import OBJECTIVE

_QUICK = 0.1
"""Seconds that a checkpoint may always take after an epoch, however short the epoch."""
_SHARE = 0.1


class Pace:
    """A checkpoint is due after each epoch, as long as checkpoints take at most a tenth of the run.

    Writing a large model can take longer than an epoch of few exams on a GPU. The selected weights, which are written
    before a checkpoint if they have improved, count as part of it.
    """

    def __init__(self) -> None:
        self.took = 0.0
        self.ended = time.monotonic()

    def due(self) -> bool:
        """Say whether a checkpoint is due now."""
        return self.took < _QUICK or time.monotonic() - self.ended > self.took * (1 - _SHARE) / _SHARE

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Time the writing of a checkpoint within the block."""
        begin = time.monotonic()
        yield
        self.ended = time.monotonic()
        self.took = self.ended - begin


def save(run: RunDirectory, modules: torch.nn.Module, step: int, state: Mapping[str, Any]) -> bool:
    """Write a checkpoint, unless a weight is not finite; then the previous one stays the newest. Raises StorageError.

    Returns:
        Whether the weights are finite.
    """
    if not _finite(run, modules, step):
        return False
    if rank() == 0:
        checkpoint.save_step(run.checkpoints, step, modules.state_dict(), state)
        checkpoint.forget_old(run.checkpoints, run.best)
    return True


class BestWeights:
    """Hold the weights that validation selects on the device, and write them before the next checkpoint.

    A resumed run repeats the epochs after its checkpoint, and selects in them as before. So it needs on the disk only
    the weights that its checkpoint names as the best; writing those of every epoch takes longer than a short epoch.

    Args:
        run: with the folder of the selected weights.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.held: tuple[int, dict[str, Tensor], Mapping[str, Any]] | None = None

    def hold(
        self,
        model: torch.nn.Module,
        step: int,
        state: Mapping[str, Any],
        *,
        objective: torch.nn.Module | None = None,
    ) -> bool:
        """Copy the weights, with those of attention map and terms, unless one is not finite; return whether all are."""
        modules = [model] if objective is None else [model, objective]
        if not all(_finite(self.run, module, step) for module in modules):
            return False
        if rank() == 0:
            learnt = {} if objective is None else objective.state_dict(prefix=OBJECTIVE)
            weights = {name: each.detach().clone() for name, each in (model.state_dict() | learnt).items()}
            self.held = step, weights, state
        return True

    def write(self) -> None:
        """Write the weights, unless the disk has them. Raises StorageError."""
        if self.held is not None:
            checkpoint.save_step(self.run.best, *self.held)
            self.held = None

    @contextmanager
    def written_after_errors(self) -> Iterator[None]:
        """Write the weights also if an error ends the block, for there will be no next checkpoint."""
        try:
            yield
        except Exception:
            with suppress(Exception):  # the first error is the one to report
                self.write()
            raise


def _finite(run: RunDirectory, module: torch.nn.Module, step: int) -> bool:
    each = [torch.isfinite(tensor).all() for tensor in module.state_dict().values()]
    finite = not each or bool(torch.stack(each).all())  # the host waits for the device once
    if not finite:
        run.log(f"step {step}: weights or running statistics are not finite; not saved")
    return finite


def restore(run: RunDirectory, modules: torch.nn.Module) -> dict[str, Any]:
    """Load the newest checkpoint's weights and return its state, which is empty in the first one.

    Raises:
        DataError: no checkpoint is readable, it is of another model, or the processes see different ones.
    """
    found = checkpoint.load_latest(run.checkpoints, report=run.log, module=modules)
    if found is None:
        raise DataError(f"{run.path}: no checkpoint can be read; start again with --overwrite")
    checkpoint.put_weights(modules, found.weights, run.path)
    return found.state


def keep_until(run: RunDirectory, *, epoch: int, step: int) -> None:
    """Remove output written after the checkpoint that a run resumes from; the run writes it again.

    Raises:
        DataError: the processes are not at the same step.
    """
    check_alike(step, "checkpoints")
    run.keep_metrics(epoch)
    if rank() == 0:
        checkpoint.forget_after(run.best, step)
        checkpoint.forget_after(run.checkpoints, step)  # damaged checkpoints
        checkpoint.forget_old(run.checkpoints, run.best)
    run.log(f"at step {step}")
