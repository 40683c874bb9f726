"""``gazekit train``: train a preset on a prepared data set."""

import os
import shlex
import traceback
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, say_given_twice
from gazekit.cli.train.options import (
    Accumulate,
    AllowLeak,
    Amp,
    CheckpointActivations,
    Compile,
    Deterministic,
    Seed,
    as_overrides,
)
from gazekit.cli.train.start import AskedRun, begin
from gazekit.errors import StorageError
from gazekit.machine import choose_device

if TYPE_CHECKING:
    from gazekit.runs.directory import RunDirectory
    from gazekit.training.signals import Signals


def train(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET",
            help="Preset to train: a name (gazekit presets list) or a TOML file.",
            autocompletion=console.preset_names,
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The same, as an option.", autocompletion=console.preset_names)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared data set (gazekit data prepare).", show_default="the preset's own phantom"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory.", show_default="runs/PRESET-N")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Same as --set training.epochs=N; with --resume it extends a run."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Same as --set training.batch_size=N.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Same as --set training.learning_rate=X.")
    ] = None,
    seed: Seed = None,
    device: Device = "auto",
    split_path: Annotated[
        Path | None,
        typer.Option("--split", help="Split file (gazekit data split).", show_default="made by patient, 7:3"),
    ] = None,
    allow_leak: AllowLeak = False,
    config: Annotated[Path | None, typer.Option(help="TOML file on top of the preset.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the preset; may be repeated."),
    ] = None,
    amp: Amp = None,
    compile_: Compile = False,
    accumulate: Accumulate = None,
    checkpoint_activations: CheckpointActivations = False,
    deterministic: Deterministic = False,
    from_run: Annotated[
        Path | None,
        typer.Option("--from", help="Run whose selected weights to start from.", show_default="none"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out, if there is one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="Also write the metrics as event files, in the run's tensorboard/."
        ),
    ] = False,
    trackers: Annotated[
        list[str] | None,
        typer.Option(
            "--tracker",
            metavar="NAME",
            help="Let a tracker follow the training (gazekit plugins list --kind tracker); may be repeated.",
        ),
    ] = None,
) -> None:
    """Train a preset; write a run directory with checkpoints, metrics and everything needed to trace it.

    Values: defaults < preset < --config < environment (GAZEKIT_TRAINING__EPOCHS=5) < --set and flags.
    """
    from gazekit.distributed.torchrun import is_writer
    from gazekit.presets.layers import override_layer
    from gazekit.runs.tracking import check_trackers
    from gazekit.training.signals import stop_on_signals

    override_layer(overrides or ())  # a value without its --set takes the place of the preset's name
    if name is not None and preset not in (None, name):
        raise typer.BadParameter(f"two presets: {name} and --preset {preset}; give one")
    overrides = [
        *(overrides or ()),
        *as_overrides(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            amp=amp,
            compile=compile_,
            accumulate=accumulate,
            checkpoint_activations=checkpoint_activations,
            deterministic=deterministic,
        ),
    ]
    if is_writer():
        say_given_twice(overrides)
    layers = {"config": config, "environment": os.environ, "overrides": overrides}
    asked_for = [*(trackers or ()), *(["tensorboard"] if tensorboard else ())]
    with ExitStack() as stack:
        run = signals = None
        if is_writer():
            signals = stack.enter_context(stop_on_signals(patient=False))
            check_trackers(console.registry(), asked_for)
            asked = AskedRun(
                out=out,
                preset=name or preset,
                layers=layers,
                data=data,
                seed=seed,
                device=device,
                split_path=split_path,
                allow_leak=allow_leak,
                resume=resume,
                overwrite=overwrite,
                initial=from_run,
            )
            run = begin(asked)
        else:
            console.silence()
        stack.enter_context(_joined(device))
        signals = signals or stack.enter_context(stop_on_signals())
        signals.patient = True
        _run(_same_for_all(run), data, device, signals, trackers=asked_for)


def _joined(device: str) -> AbstractContextManager[None]:
    """Join this process with the others that torchrun started."""
    from gazekit.distributed.sharing import joined

    return joined(choose_device(device))


def _same_for_all(run: "RunDirectory | None") -> "RunDirectory":
    """Return the run directory of process 0."""
    from gazekit.distributed.sharing import from_writer
    from gazekit.runs.directory import RunDirectory

    return RunDirectory.open(Path(from_writer(str(run.path) if run else "")))


def _run(
    run: "RunDirectory", data: Path | None, device: str, signals: "Signals", *, trackers: list[str]
) -> None:
    from collections import Counter

    from gazekit.cli.train.progress import TrainingProgress
    from gazekit.distributed.membership import count, rank
    from gazekit.errors import GazekitError, Preempted
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.records.labels import describe
    from gazekit.runs.selection import why_selected
    from gazekit.runs.stored import data_folder, stored_preset
    from gazekit.runs.tracking import followed
    from gazekit.training.run import continue_run

    registry = console.registry()
    with run.lock():
        facts, preset = run.facts(), stored_preset(run, registry)
    dataset = PreparedDataset.open(data_folder(run, facts, data))
    chosen = choose_device(facts.device if device == "auto" else device)
    parts = Counter(run.split().values())
    console.note(
        f"{facts.preset}: {parts['train']} exams to train on, {parts['val']} to validate, {parts['test']} to test; "
        f"views {', '.join(preset.views)} of {' × '.join(map(str, dataset.size))} px; on {chosen.type}"
        f"{f' in {count()} processes' if count() > 1 else ''}; run directory {run.path}"
    )
    console.note(describe(dataset.classes))
    with ExitStack() as stack:
        progress = stack.enter_context(TrainingProgress(preset, chosen.type))

        try:
            report = stack.enter_context(
                followed(run, registry, trackers, progress.report, warn=console.warn)
            )
            state = continue_run(
                run,
                registry,
                dataset,
                device=chosen,
                should_stop=signals.asked,
                report=report,
                note=console.note,
                warn=console.warn,
            )
        except Exception as error:
            with suppress(StorageError):  # that already is the error
                if not isinstance(error, GazekitError):  # a bug, perhaps in a plugin: keep the traceback
                    for line in "".join(traceback.format_exception(error)).splitlines():
                        run.log(line)
                run.log(f"stopped: {error}")
            signals.explain(error, f"gazekit train --out {shlex.quote(str(run.path))} --resume")
            if isinstance(error, Preempted) and rank() > 0:
                raise typer.Exit(error.exit_code) from None
            raise
    if state.best_epoch == 0:
        best = f"no epoch of {state.epoch} could be selected: no validation had finite outputs"
    else:
        why = why_selected(run.read_metrics(), state.best_epoch, preset.training.select)
        best = f"epoch {state.best_epoch} of {state.epoch} is selected: {why}"
        if state.epoch < preset.training.epochs:
            best += f"; training.patience ended it before epoch {preset.training.epochs}"
    run.log(f"finished: {best}")
    console.note(
        f"done: {best}"
        + (f"; {state.skipped} steps skipped for a loss that was not finite" if state.skipped else "")
    )
    if facts.leak:
        console.warn(
            f"the model has seen patients of the test part, its numbers will flatter it: {facts.leak}"
        )
    if state.best_epoch:
        trained = shlex.quote(str(run.path))
        console.note(f"next: gazekit evaluate {trained}" + ("" if parts["test"] else " --part val"))
