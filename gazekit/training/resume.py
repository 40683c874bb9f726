"""Save and restore the state of a training; in a group of processes, process 0 writes and all read."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from gazekit.distributed.processes import rank
from gazekit.distributed.sharing import check_alike
from gazekit.errors import DataError
from gazekit.modelling.model import MultiViewClassifier
from gazekit.runs import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.selection import OBJECTIVE

_QUICK = 0.1
"""Seconds that a checkpoint may always take after an epoch, however short the epoch."""
_SHARE = 0.1


class Pace:
    """A checkpoint is due after each epoch, as long as checkpoints take at most a tenth of the run.

    Writing a large model can take longer than an epoch of few exams on a GPU. The selected weights, which are
    written whenever they improve, do not count.
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


def save_best(
    run: RunDirectory,
    model: MultiViewClassifier,
    step: int,
    state: Mapping[str, Any],
    *,
    objective: torch.nn.Module | None = None,
) -> bool:
    """Save the weights selected by validation, with those of attention map and terms; otherwise like ``save``."""
    modules = [model] if objective is None else [model, objective]
    if not all(_finite(run, module, step) for module in modules):
        return False
    if rank() == 0:
        learnt = {} if objective is None else objective.state_dict(prefix=OBJECTIVE)
        checkpoint.save_step(run.best, step, model.state_dict() | learnt, state)
    return True


def _finite(run: RunDirectory, module: torch.nn.Module, step: int) -> bool:
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in module.state_dict().values())
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
