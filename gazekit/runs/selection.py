"""Choose the weights of a run: selected by validation, or the last ones; warn if the choice is mostly noise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.presets.preset import Preset
from gazekit.runs.best_epoch import Select
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import RunDirectory

Which = Literal["selected", "last"]

OBJECTIVE = "objective."
"""Prefix of the tensors of attention map and terms in a checkpoint."""
NOISE = 0.1
"""SD of a guessing model's validation AUC above which choosing an epoch by AUC counts as noise (ours)."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a run's model.

    Args:
        tensors: by name, as ``model.state_dict()`` has them.
        objective: the same of attention map and terms, as ``objective.state_dict()`` has them.
        which: ``"selected"`` or ``"last"``, as requested.
        epoch: after which they were written.
        why: reason for this epoch, in words.
    """

    tensors: Mapping[str, Tensor]
    which: Which
    epoch: int
    why: str
    objective: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, stored: Mapping[str, Tensor], which: Which, epoch: int, why: str, *, model: str = ""
    ) -> "Weights":
        """From the tensors of a checkpoint, in which those of the model have a prefix or none."""
        own, learnt = {}, {}
        for name, tensor in stored.items():
            if name.startswith(OBJECTIVE):
                learnt[name.removeprefix(OBJECTIVE)] = tensor
            elif name.startswith(model):
                own[name.removeprefix(model)] = tensor
        return cls(own, which, epoch, why, learnt)


def read_weights(
    run: RunDirectory,
    preset: Preset,
    module: torch.nn.Module,
    which: Which,
    *,
    report: Callable[[str], None],
) -> Weights:
    """Read the weights of a run.

    Args:
        run: its directory.
        preset: of the run; if ``training.select`` is ``"last"``, the selected weights are the last ones.
        module: the model that the weights must fit.
        which: ``"selected"``, or ``"last"`` for the newest checkpoint, even one written within an epoch.
        report: called for each damaged checkpoint that is skipped.

    Raises:
        DataError: no epoch has been validated yet, or the weights are missing or damaged.
    """
    if which == "last" or preset.training.select == "last":
        return _last(run, module, which)
    damaged: list[str] = []
    best = checkpoint.load_latest(run.best, report=damaged.append, module=module)
    if best is None:
        raise DataError(_no_weights(run, damaged, or_last=True))
    for said in damaged:
        report(said)
    [epoch] = _numbers(best.state, ("epoch",), run.best)
    why = why_selected(run.read_metrics(), epoch, preset.training.select)
    return Weights.of(best.weights, which, epoch, why)


def check_whole(run: RunDirectory) -> None:
    """Raise DataError if selected weights exist and all of them are damaged."""
    damaged: list[str] = []
    if checkpoint.load_latest(run.best, report=damaged.append) is None and damaged:
        raise DataError(_no_weights(run, damaged, or_last=True))


def _last(run: RunDirectory, module: torch.nn.Module, which: Which) -> Weights:
    damaged: list[str] = []
    last = checkpoint.load_latest(run.checkpoints, report=damaged.append, module=module)
    if last is None:
        raise DataError(_no_weights(run, damaged))
    state = last.state.get("state", {"step": 0, "epoch": 0, "batch": 0})  # the initial weights have none
    step, epoch, batch = _numbers(state, ("step", "epoch", "batch"), run.checkpoints)
    if step == 0:
        raise DataError(_no_weights(run, damaged))
    why = "the last epoch" if batch == 0 else f"the newest checkpoint, {batch} batches after epoch {epoch}"
    average = last.state.get("average")  # of the weights, where training.ema asks for one
    tensors = average["weights"] if isinstance(average, Mapping) else last.weights
    return Weights.of(tensors, which, epoch, why, model="model.")


def _numbers(state: Any, names: Sequence[str], where: Path) -> list[int]:
    """Return counters of a checkpoint's state. Raises DataError: they are missing or not numbers."""
    values = [state.get(name) if isinstance(state, Mapping) else None for name in names]
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise DataError(f"{where}: the state of a checkpoint has no {', '.join(names)}; train the run again")
    return [int(value) for value in values if value is not None]


def _no_weights(run: RunDirectory, damaged: Sequence[str], *, or_last: bool = False) -> str:
    if damaged:
        said = damaged[-1].removesuffix("; using the one before it").removesuffix(f"; {checkpoint.AGAIN}")
        whole = or_last and checkpoint.load_latest(run.checkpoints, report=lambda _text: None) is not None
        instead = (
            f"gazekit evaluate {in_command(run.path)} --weights last uses the last ones; or " if whole else ""
        )
        return f"{said}; there is no other copy; {instead}train the run again"
    lines = run.read_metrics()
    if any(line["best_epoch"] for line in lines):
        return f"{run.path}: its weights were removed from checkpoints/; train it again, or copy them back"
    if any("val_auc" in line for line in lines):
        return f"{run.path}: no validation had finite outputs, so no epoch is selected; look at its log.txt"
    return (
        f"{run.path}: no epoch has been validated yet; train on with gazekit train --out "
        f"{in_command(run.path)} --resume"
    )


def why_selected(metrics: Sequence[Mapping[str, Any]], epoch: int, select: Select) -> str:
    """Say why an epoch was selected, with the number of epochs that share its validation AUC."""
    if select == "last":
        return "the last epoch"
    line = next((line for line in metrics if line.get("epoch") == epoch), {})
    auc, loss = line.get("val_auc"), line.get("val_loss")
    if auc is None or loss is None:
        return "selected by validation"
    if select == "loss":
        return f"lowest validation loss, {loss:.3f}"
    alike = sum(other.get("val_auc") == auc for other in metrics)
    tie = f" of {alike} epochs, of these the lowest validation loss, {loss:.3f}" if alike > 1 else ""
    return f"highest validation AUC, {auc:.3f}{tie}"


def spread_of_guessing(labels: Sequence[int], classes: int) -> float:
    """Compute the SD of a guessing model's AUC, ``sqrt((n₀ + n₁ + 1) / (12 n₀ n₁))``.

    With more than two classes: the largest SD of one class against the rest. Infinite if a class has no exam.

    Source: the variance of the Mann-Whitney statistic under the null hypothesis (Mann & Whitney 1947).
    """
    total = len(labels)
    largest = 0.0
    for each in range(classes) if classes > 2 else (1,):
        own = sum(label == each for label in labels)
        pairs = own * (total - own)
        largest = max(largest, sqrt((total + 1) / (12 * pairs)) if pairs else inf)
    return largest


def doubt(labels: Sequence[int], classes: int, select: Select) -> str:
    """Warn if there are too few validation exams to choose between epochs; else empty."""
    spread = spread_of_guessing(labels, classes)
    if select != "auc" or spread <= NOISE:
        return ""
    counts = ", ".join(str(sum(label == each for label in labels)) for each in range(classes))
    return (
        f"only {len(labels)} exams validate ({counts} per class): a model that guesses scatters there by "
        f"{spread:.2f} in AUC (one standard deviation; below {NOISE:.2f} from about 35 exams on), so the epoch with "
        "the highest AUC is largely chance; take the last epoch with --set training.select=last, or validate on more "
        "exams with --set data.val=0.3"
    )
