"""Train in one straight loop: order, augment, forward, losses, step, validate, keep the best."""

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from gazekit.contracts.progress import Elapsed, Validated
from gazekit.contracts.types import Batch
from gazekit.disk.wording import counted
from gazekit.distributed.membership import count, rank
from gazekit.distributed.sharing import any_of_all, own_rows, synchronise_batch_norm
from gazekit.errors import DataError, GazekitError, Preempted
from gazekit.feeding.batches import Exams, Rows, epoch_batches
from gazekit.measures.classification.metrics import area_under_roc
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import Objective
from gazekit.prediction.predictions import predict
from gazekit.presets.tables import TrainingSettings
from gazekit.runs.best_epoch import is_better, stopped_early
from gazekit.runs.directory import RunDirectory
from gazekit.training.computing.captured import Computed, fastest, fastest_validation
from gazekit.training.computing.execution import seed_draws
from gazekit.training.computing.loss_record import LossRecord
from gazekit.training.computing.step import TrainingStep
from gazekit.training.optimising.optimiser import factor_of, make_optimizer, set_learning_rates
from gazekit.training.optimising.parts import RestingParts
from gazekit.training.optimising.recipe import Recipe
from gazekit.training.resume import Checkpoints, keep_until, restore

_NON_FINITE_LIMIT = 10
_DIVERGED = 10
"""Multiple of the guessing loss that the mean loss of an epoch never exceeds unless training diverges (ours)."""


@dataclass
class State:
    """Progress of a run: with weights and optimiser, everything needed to resume.

    Args:
        epoch: epochs completed.
        batch: batches completed in the current epoch.
        step: batches completed in all.
        sums: sum of each loss term over the exams of the current epoch.
        said: exams in the batches of which a term said something.
        exams: exams summed over.
        skipped: steps skipped because loss or gradient was not finite; ``skipped_in_a_row``: the current streak.
        auc: of the validation of the last epoch; None if it had none, or its outputs were not finite.
        best_auc, best_loss, best_epoch: validation of the selected weights; epoch 0 = none yet.
        validated: AUC and loss of every validation so far, None where the outputs were not finite.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    exams: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    auc: float | None = None
    best_auc: float = -math.inf
    best_loss: float = math.inf
    best_epoch: int = 0
    validated: list[tuple[float | None, float | None]] = field(default_factory=list)

    def begin(self) -> None:
        """Count from 0 again at the beginning of an epoch."""
        if self.batch == 0:
            self.sums, self.said, self.exams = {}, {}, 0

    def is_over(self, settings: TrainingSettings) -> bool:
        """Whether the training has had all its epochs, or has lost its patience."""
        return self.epoch >= settings.epochs or stopped_early(self.epoch, self.best_epoch, settings.patience)

    def progress(self, batches: int, epochs: int) -> Elapsed:
        """How far the training is, for its schedule."""
        validated = [Validated(*each) for each in self.validated]
        return Elapsed(self.step, batches * epochs, self.epoch, epochs, validated)

    def means(self) -> dict[str, float | None]:
        """Average each loss term over the exams of the epoch so far; None for one that has said nothing."""
        numbers = {name: self.said.get(name, self.exams) for name in self.sums}
        return {name: total / numbers[name] if numbers[name] else None for name, total in self.sums.items()}


@dataclass(frozen=True, slots=True)
class Parts:
    """Training exams, and validation exams that select the epoch; ``exam_ids`` cover the whole data set."""

    train: Exams
    val: Exams
    exam_ids: Sequence[str]


def train(
    model: MultiViewClassifier,
    objective: Objective,
    parts: Parts,
    recipe: Recipe,
    run: RunDirectory,
    *,
    should_stop: Callable[[], bool],
    report: Callable[[State, int], None],
    warn: Callable[[str], None] = lambda _text: None,
) -> State:
    """Train to the end, from the newest checkpoint of the run if any, together with all joined processes.

    Args:
        model, objective: on the device of the exams.
        parts: training and validation exams.
        recipe: the preset's ``training`` table, with its optimiser and schedule.
        run: holds checkpoints and metrics; its seed determines order, augmentation and dropout.
        should_stop: called before every step; if true, a checkpoint is written and Preempted raised.
        report: called with the state and an epoch's number of batches after every step and epoch.
        warn: called once, in the epoch in which training diverges.

    Raises:
        Preempted: stopped on request; resumable.
        GazekitError: loss or gradient was not finite ten steps in a row.
        StorageError: a checkpoint could not be written.
    """
    settings = recipe.settings
    modules = torch.nn.ModuleDict({"model": model, "objective": objective})
    values = restore(run, modules)
    step = TrainingStep(model, objective, make_optimizer(modules, recipe), settings)
    take, resting = fastest(step, settings, run.log), RestingParts(modules, settings)
    validated = step.average.modules if step.average else modules
    forward = fastest_validation(
        validated["model"], settings, lambda reason: run.log(f"validation: {reason}")
    )
    state, seed = _continued(run, step, values), run.facts().seed
    saved, diverged, checkpoints = state.step, False, Checkpoints(run, modules)
    synchronise_batch_norm(model)
    model.train()

    def saved_now(*, after_epoch: bool) -> bool:
        whole = step.state_dict() | {"state": asdict(state)}
        return checkpoints.save(state.step, whole, after_epoch=after_epoch)

    with checkpoints.written():
        epochs = _epochs(parts.train, settings, seed=seed, epoch=state.epoch, batch=state.batch)
        upcoming = next(epochs, None)
        while upcoming is not None and not state.is_over(settings):
            batches, left, augmented = upcoming
            step.resting = resting.begin(state.epoch)
            state.begin()
            record = LossRecord(len(left), parts.train.device)
            exam_ids = ([parts.exam_ids[i] for i in parts.train.indices[rows]] for rows in left)
            account = partial(_account, state, record, zip(itertools.count(state.step), exam_ids), run)
            with closing(augmented):
                for batch in augmented:
                    checkpoints.writer.check()
                    stop = any_of_all(should_stop())
                    if saved != state.step and (
                        stop or state.step % (settings.checkpoint_every or math.inf) == 0
                    ):
                        account(wait=True)
                        if saved_now(after_epoch=False):
                            saved = state.step
                    if stop:
                        raise _stopped(run, checkpoints, state.step, written=saved == state.step)
                    # dropout depends on (seed, step); each process drops different features
                    seed_draws((seed * 1_000_003 + state.step) * count() + rank(), parts.train.device)
                    set_learning_rates(
                        step.optimizer, factor_of(recipe, state.progress(batches, settings.epochs))
                    )
                    record.add(*take(batch))
                    state.batch += 1
                    state.step += 1
                    account()
                    report(state, batches)
            upcoming = next(epochs, None)  # drawn while the device works
            account(wait=True)
            diverged = diverged or _warn_of_divergence(state, model, settings, run, warn)
            _finish_epoch(validated, forward, parts.val, settings, run, state, checkpoints)
            report(state, batches)
            if (checkpoints.writer.due() or state.is_over(settings)) and saved_now(after_epoch=True):
                saved = state.step
    if not state.best_epoch:
        raise GazekitError(
            f"{run.path}: in {counted(state.epoch, 'epoch')} no validation had finite outputs, so there are no "
            "weights to use; look at metrics.jsonl and log.txt, and try a smaller training.learning_rate"
        )
    run.seal()
    return state


def _epochs(
    exams: Exams, settings: TrainingSettings, *, seed: int, epoch: int, batch: int
) -> Iterator[tuple[int, Rows, Generator[Batch]]]:
    """Draw each epoch's number of batches, the rows of those left to learn from, and these batches as they look.

    All of it is a function of seed and epoch, and needs nothing of the epochs before; pixels are read when a batch is.

    Args:
        exams, settings: of the training.
        seed: of the run.
        epoch, batch: the first one, counted from 0.
    """
    sampled_by = exams.labels.cpu().numpy() if settings.sampling == "balanced" else None
    for each in range(epoch, settings.epochs):
        batches = epoch_batches(len(exams), settings.batch_size, seed=seed, epoch=each, labels=sampled_by)
        left = batches[batch if each == epoch else 0 :]
        augmented = exams.augmented(
            [own_rows(rows) for rows in left],
            settings.augmentation,
            seed=seed,
            epoch=each,
            partners=[own_rows(np.roll(rows, 1)) for rows in left],
        )
        yield len(batches), left, augmented


def _continued(run: RunDirectory, step: TrainingStep, values: Mapping[str, Any]) -> State:
    """Read the progress of the newest checkpoint, and remove what the run wrote after it.

    Raises:
        DataError: its state does not fit this training.
    """
    try:
        state = State(**values.get("state", {}))
        if values:
            step.load_state_dict(dict(values))
        state.progress(1, 1)
        counted = (state.epoch, state.batch, state.step, state.best_epoch, state.exams)
        if not all(isinstance(number, int) and number >= 0 for number in counted):
            raise ValueError(f"counters {counted}")  # noqa: TRY301
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise DataError(
            f"{run.checkpoints}: the newest checkpoint has no state that this training can go on from ({error}); "
            "remove it to go on from the one before, or begin again with --overwrite"
        ) from None
    keep_until(run, epoch=state.epoch, step=state.step)
    return state


def _stopped(run: RunDirectory, checkpoints: Checkpoints, step: int, *, written: bool) -> Preempted:
    """Wait for the checkpoint, all processes together: torchrun would soon kill the one that writes if others leave."""
    checkpoints.writer.wait()
    any_of_all(False)
    done = "checkpoint written" if written else "weights not finite and not saved"
    return Preempted(f"{run.path}: stopped at step {step}, {done}")


def _account(
    state: State,
    record: LossRecord,
    steps: Iterator[tuple[int, list[str]]],
    run: RunDirectory,
    *,
    wait: bool = False,
) -> None:
    """Add arrived losses to the epoch and log skipped steps; ten in a row are an error."""
    for terms, (step, exams) in zip(record.arrived(wait=wait), steps):  # noqa: B905 # one per step, when it arrives
        if terms is not None:
            state.skipped_in_a_row = 0
            state.exams += len(exams)
            for name, term in terms.items():
                silent = math.isnan(term)
                state.sums[name] = state.sums.get(name, 0.0) + (0.0 if silent else term * len(exams))
                state.said[name] = state.said.get(name, 0) + (0 if silent else len(exams))
            continue
        state.skipped += 1
        state.skipped_in_a_row += 1
        run.log(f"step {step}: loss or gradient not finite; skipped, with exams {', '.join(exams)}")
        if state.skipped_in_a_row >= _NON_FINITE_LIMIT:
            raise GazekitError(
                f"step {step}: loss or gradient not finite {_NON_FINITE_LIMIT} times in a row, last with exams "
                f"{', '.join(exams)}; look at their images, or try a smaller training.learning_rate"
            )


def _warn_of_divergence(
    state: State,
    model: MultiViewClassifier,
    settings: TrainingSettings,
    run: RunDirectory,
    warn: Callable[[str], None],
) -> bool:
    """Warn if an epoch's classification loss is far above that of guessing; return whether it is."""
    guessing = math.log(max(model.outputs, 2))
    loss = state.means().get("classification") or 0.0
    if loss <= _DIVERGED * guessing:
        return False
    said = (
        f"epoch {state.epoch + 1}: the classification loss on the training exams is {loss:.3g}, and guessing costs "
        f"{guessing:.2f}: the training diverges; stop it and try a smaller training.learning_rate "
        f"(now {settings.learning_rate:g})"
    )
    run.log(said)
    warn(said)
    return True


def _finish_epoch(
    modules: torch.nn.ModuleDict,
    forward: Callable[[Batch], Computed],
    val: Exams,
    settings: TrainingSettings,
    run: RunDirectory,
    state: State,
    checkpoints: Checkpoints,
) -> None:
    """Validate if it is time, keep the weights if they are the best so far, and write the epoch's line."""
    state.epoch += 1
    state.batch = 0
    state.auc = None
    line: dict[str, Any] = {"epoch": state.epoch, "step": state.step}
    line |= state.means()
    if state.epoch % settings.validate_every == 0 or state.is_over(settings):
        line |= _validate(modules, forward, val, settings, state, checkpoints)
    line |= {"best_epoch": state.best_epoch, "skipped_steps": state.skipped}
    run.append_metrics(line)
    if state.epoch < settings.epochs and state.is_over(settings):
        run.log(
            f"ended after epoch {state.epoch} of {settings.epochs}: training.patience = {settings.patience} epochs "
            f"have brought no better weights than epoch {state.best_epoch}"
        )


def _validate(
    modules: torch.nn.ModuleDict,
    forward: Callable[[Batch], Computed],
    val: Exams,
    settings: TrainingSettings,
    state: State,
    checkpoints: Checkpoints,
) -> dict[str, float | None]:
    """Validate, and keep the weights if they are the best so far; returns AUC and loss for the epoch's line."""
    model, objective = cast(MultiViewClassifier, modules["model"]), cast(Objective, modules["objective"])
    predictions = predict(model, val, batch_size=settings.batch_size, forward=forward)
    with torch.no_grad():
        logits = torch.as_tensor(predictions.logits, device=val.device)
        loss = float(objective.classification(logits, val.labels))
    finite = bool(np.isfinite(predictions.logits).all())
    auc = area_under_roc(predictions.probabilities, val.labels.cpu().numpy()) if finite else None
    state.auc = auc
    state.validated.append((auc, loss if finite else None))
    selected = {"epoch": state.epoch, "val_auc": auc, "val_loss": loss}
    if (
        auc is not None
        and is_better(settings.select, auc, loss, state.best_auc, state.best_loss)
        and (settings.select == "last" or checkpoints.hold(model, state.step, selected, objective=objective))
    ):
        state.best_auc, state.best_loss, state.best_epoch = auc, loss, state.epoch
    return {"val_auc": auc, "val_loss": loss if finite else None}
