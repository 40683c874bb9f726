"""``gazekit train``: train a preset on a prepared data set."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.device import Device, choose_device

if TYPE_CHECKING:
    import torch

    from gazekit.data.prepared import PreparedDataset
    from gazekit.preset import Preset
    from gazekit.registry import Registry
    from gazekit.training.loop import State
    from gazekit.training.run_directory import RunDirectory


def train(
    preset: Annotated[
        str | None, typer.Option(help="Preset to train: a name (gazekit presets list) or a TOML file.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared data set (gazekit data prepare).", show_default="the preset's own phantom"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory.", show_default="runs/PRESET-N")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Same as --set training.epochs=N.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Of initial weights, order, augmentation and dropout.",
            show_default="0",
        ),
    ] = None,
    device: Device = "auto",
    split: Annotated[
        Path | None,
        typer.Option(help="Split file (gazekit data split).", show_default="made by patient, 7:3"),
    ] = None,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Train even if a patient is on both sides of the split; every report will say so.",
        ),
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file on top of the preset.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the preset; may be repeated."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="Also write the metrics as event files, in the run's tensorboard/."
        ),
    ] = False,
) -> None:
    """Train a preset; writes a run directory with checkpoints, metrics and all that is needed to trace it.

    Values: defaults < preset < --config < environment (GAZEKIT_TRAINING__EPOCHS=5) < --set and flags.
    """
    from gazekit.errors import ConfigurationError
    from gazekit.training.run import start_run

    registry = console.registry()
    overrides = [*(overrides or ()), *([f"training.epochs={epochs}"] if epochs else [])]
    layers = {"config": config, "environment": os.environ, "overrides": overrides}
    if resume and out is None:
        raise ConfigurationError("--resume needs the run directory: --out RUN --resume")
    if resume and out is not None and (out / "run.json").exists():
        run = _reopen(out, registry, preset, layers, seed=seed, split=split)
        dataset = _open_data(data or Path(run.facts().data))
    elif resume and preset is None:
        raise ConfigurationError(f"{out}: nothing to resume; start it with --preset as well")
    elif preset is None:
        raise ConfigurationError("--preset is needed; gazekit presets list shows them all")
    else:
        wanted = registry.preset(preset, **layers)  # type: ignore[arg-type]
        chosen = choose_device(device)
        dataset = _open_data(data or _default_data(wanted, registry))
        parts = _parts(dataset, split, wanted, allow_leak)
        run = start_run(
            out or _free_folder(Path("runs"), wanted.name),
            wanted,
            registry,
            dataset,
            parts,
            seed=seed or 0,
            device=chosen,
            overwrite=overwrite or resume,
            allow_leak=allow_leak,
        )
    chosen = choose_device(run.facts().device if device == "auto" else device)
    _run(run, registry, dataset, chosen, tensorboard=tensorboard)


def _reopen(
    out: Path,
    registry: "Registry",
    preset: str | None,
    layers: dict[str, Any],
    *,
    seed: int | None,
    split: Path | None,
) -> "RunDirectory":
    """The run to go on with. Raises ConfigurationError: the command line asks for another one."""
    from gazekit.data.splits import read_split
    from gazekit.errors import ConfigurationError
    from gazekit.training.run import check_resume, stored_preset
    from gazekit.training.run_directory import RunDirectory

    run = RunDirectory.open(out)
    facts = run.facts()
    check_resume(run, stored_preset(run, registry), registry.preset(preset or str(run.preset), **layers))
    if seed not in (None, facts.seed):
        raise ConfigurationError(f"{out}: began with --seed {facts.seed}; resume without --seed")
    if split and read_split(split) != read_split(run.split):
        raise ConfigurationError(f"{out}: began with another split than {split}; resume without --split")
    return run


def _parts(
    dataset: "PreparedDataset", split: Path | None, preset: "Preset", allow_leak: bool
) -> dict[str, str]:
    """The split of the file, else one made as the preset says."""
    from gazekit.data.splits import make_split, read_split

    if split is not None:
        return read_split(split)
    settings = preset.data
    return make_split(
        dataset,
        seed=settings.split_seed,
        test=settings.test,
        val=settings.validation,
        allow_leak=allow_leak,
    )


def _run(
    run: "RunDirectory",
    registry: "Registry",
    dataset: "PreparedDataset",
    device: "torch.device",
    *,
    tensorboard: bool,
) -> None:
    from collections import Counter
    from contextlib import ExitStack

    from gazekit.cli.train_progress import TrainingProgress
    from gazekit.data.splits import read_split
    from gazekit.training.event_files import EventFiles
    from gazekit.training.run import continue_run, stored_preset
    from gazekit.training.signals import stop_on_signals

    with run.lock():
        facts, preset = run.facts(), stored_preset(run, registry)
    parts = Counter(read_split(run.split).values())
    console.note(
        f"{facts.preset}: {parts['train']} exams to train on, {parts['val']} to validate, {parts['test']} to test; "
        f"views {', '.join(preset.views)} of {' × '.join(map(str, dataset.size))} px; on {device.type}; run "
        f"directory {run.path}"
    )
    with ExitStack() as stack:
        signals = stack.enter_context(stop_on_signals())
        events = stack.enter_context(EventFiles(run)) if tensorboard else None
        progress = stack.enter_context(TrainingProgress(preset, device.type))

        def report(state: "State", batches: int) -> None:
            progress.report(state, batches)
            if events is not None and state.batch == 0:  # an epoch has ended, and its line is written
                events.update()

        try:
            state = continue_run(
                run,
                registry,
                dataset,
                device=device,
                should_stop=signals.asked,
                report=report,
            )
        except Exception as error:
            run.log(f"stopped: {error}")
            signals.explain(error, f"gazekit train --out {run.path} --resume")
            raise
    best = f"best validation AUC {state.best_auc:.3f} in epoch {state.best_epoch} of {state.epoch}"
    run.log(f"finished: {best}")
    console.note(
        f"done: {best}"
        + (f"; {state.skipped} steps skipped for a loss that was not finite" if state.skipped else "")
    )
    if facts.leak:
        console.warn(f"the split leaks, its numbers will flatter the model: {facts.leak}")
    console.note(f"next: gazekit evaluate {run.path}")


def _open_data(path: Path) -> "PreparedDataset":
    from gazekit.data.prepared import PreparedDataset

    return PreparedDataset.open(path)


def _default_data(preset: "Preset", registry: "Registry") -> Path:
    from gazekit.data.default import default_data

    with console.progress("making the default data") as report:
        return default_data(preset, registry, note=console.note, progress=report)


def _free_folder(parent: Path, name: str) -> Path:
    """``parent/name-1``, or the first number that is free."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"
