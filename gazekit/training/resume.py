"""Save and restore the state of a training; in a group of processes, process 0 writes and all read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gazekit.distributed.membership import rank
from gazekit.distributed.sharing import check_alike
from gazekit.errors import DataError
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory
from gazekit.runs.selection import OBJECTIVE
from gazekit.training.checkpoint_writer import CheckpointWriter


class Checkpoints:
    """Save the state of a training, and before each the weights that validation has selected since.

    A resumed run repeats the epochs after its checkpoint, and selects in them as before. So it needs on the disk only
    the weights that its checkpoint names as the best; writing those of every epoch takes longer than a short epoch.

    Args:
        run: with the folders of checkpoints and of the selected weights.
        modules: model and objective.
    """

    def __init__(self, run: RunDirectory, modules: torch.nn.Module) -> None:
        self.run = run
        self.modules = modules
        self.writer = CheckpointWriter()
        self.held: tuple[int, dict[str, Tensor], Mapping[str, Any]] | None = None
        self.selected: tuple[int, checkpoint.Contents] | None = None
        """Selected weights on their way to the disk."""

    def hold(
        self,
        model: torch.nn.Module,
        step: int,
        state: Mapping[str, Any],
        *,
        objective: torch.nn.Module | None = None,
    ) -> bool:
        """Copy selected weights on the device, with those of attention map and terms, unless one is not finite.

        Returns:
            Whether all are finite.
        """
        modules = [model] if objective is None else [model, objective]
        if not all(_finite(self.run, module, step) for module in modules):
            return False
        if rank() == 0:
            learnt = {} if objective is None else objective.state_dict(prefix=OBJECTIVE)
            weights = {name: each.detach().clone() for name, each in (model.state_dict() | learnt).items()}
            self.held = step, weights, state
        return True

    def save(self, step: int, state: Mapping[str, Any], *, after_epoch: bool = True) -> bool:
        """Begin to write the selected weights and then a checkpoint, unless a weight is not finite.

        Args:
            step: names the checkpoint.
            state: of optimiser and counters; it may change afterwards.
            after_epoch: whether its time counts for the next one to be due.

        Returns:
            Whether the weights are finite; if not, the previous checkpoint stays the newest.

        Raises:
            StorageError: the checkpoint before could not be written.
        """
        self.writer.wait()  # so that the copies of one checkpoint are in memory, and not of two
        self._take_held()
        finite = _finite(self.run, self.modules, step)
        contents = (
            checkpoint.Contents.of(self.modules.state_dict(), state) if finite and rank() == 0 else None
        )

        def write() -> None:
            self._write_selected()  # before the checkpoint that names them as the best
            if contents is not None:
                self._save(self.run.checkpoints, step, contents)
                checkpoint.forget_old(self.run.checkpoints, self.run.best)

        if self.selected is not None or contents is not None:
            self.writer.begin(write, timed=after_epoch)
        return finite

    def _take_held(self) -> None:
        """Copy the held weights to the host; the device holds them no longer."""
        if self.held is not None:
            step, weights, state = self.held
            self.selected = step, checkpoint.Contents.of(weights, state)
            self.held = None

    def _write_selected(self) -> None:
        if self.selected is not None:
            self._save(self.run.best, *self.selected)
            self.selected = None

    def _save(self, folder: Path, step: int, contents: checkpoint.Contents) -> None:
        checkpoint.save_contents(folder, step, contents, abandoned=self.writer.abandoned)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Wait at the end of the block until all is written; after an error, write the selected weights too.

        An interrupt abandons what is being written.

        Raises:
            StorageError: something could not be written, and no other error ended the block.
        """
        try:
            try:
                yield
                self.writer.wait()
            except Exception:
                with suppress(Exception):  # the first error is the one to report
                    self.writer.wait()
                with suppress(Exception):
                    self._take_held()
                    self._write_selected()
                raise
        except BaseException:
            self.writer.abandon()
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
