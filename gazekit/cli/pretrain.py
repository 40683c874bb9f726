"""``gazekit pretrain``: train a backbone on patches before any training on exams."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, say_given_twice
from gazekit.machine import choose_device


def pretrain(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            help="Preset whose backbone to pre-train: a name (gazekit presets list) or a TOML file.",
            autocompletion=console.preset_names,
        ),
    ],
    data: Annotated[Path, typer.Option(help="Prepared data set (gazekit data prepare).")],
    out: Annotated[Path, typer.Option(help="File to write, NAME.safetensors.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the preset; may be repeated."),
    ] = None,
    pretext: Annotated[
        Literal["patches", "contrastive"],
        typer.Option(
            help="Task: tell patches apart by masks and labels, or pair two looks at a place without either."
        ),
    ] = "patches",
    patch: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side of a patch, px.",
            show_default="three times the median lesion, at least 0.19 of the image's height",
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Further target of the data that divides lesions, such as mass and calcification.",
            show_default="by the label alone",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Number of batches.")] = 2000,
    batch_size: Annotated[
        int, typer.Option(min=2, help="Patches in a batch, in equal shares of the classes.")
    ] = 32,
    learning_rate: Annotated[float, typer.Option("--lr", help="Learning rate at the start.")] = 5e-3,
    held_out: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.9, help="Share of the patients that only measure, where no split is given."
        ),
    ] = 0.2,
    split_path: Annotated[
        Path | None,
        typer.Option(
            "--split",
            help="Split file; the test part stays closed, the validation part only measures.",
            show_default="that of the data, else one by patient",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of weights, patches and split.")] = 0,
    device: Device = "auto",
) -> None:
    """Pre-train a preset's backbone to tell patches apart (tissue, and lesions of each class), or without labels.

    Write its weights, which backbone.weights=FILE starts from. The same command goes on where it was stopped.
    """
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.prepared.splits import read_split
    from gazekit.pretraining.pretrain import pretrain as run
    from gazekit.pretraining.settings import PretrainSettings
    from gazekit.training.signals import stop_on_signals

    say_given_twice(overrides)
    registry = console.registry()
    chosen = registry.preset(preset, environment=os.environ, overrides=overrides or ())
    settings = PretrainSettings(
        pretext=pretext,
        patch=patch,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        held_out=held_out,
        kinds=kinds,
        seed=seed,
        split=None if split_path is None else read_split(split_path),
    )
    dataset = PreparedDataset.open(data)
    with stop_on_signals() as signals, console.progress("steps") as report:
        try:
            done = run(
                out,
                chosen,
                registry,
                dataset,
                settings,
                device=choose_device(device),
                should_stop=signals.asked,
                report=report,
            )
        except Exception as error:
            signals.explain(error, "the same command")
            raise
    origin = done.origin
    console.note(f"{origin.made}; started from {origin.start}")
    counts = ", ".join(f"{name} {count}" for name, count in done.classes.items())
    measured = origin.held_out
    console.print_table(
        ("held out", "value"),
        [(name, f"{value:.3f}") for name, value in measured.items() if name not in ("patches", "exams")],
        title=f"{measured['patches']:.0f} patches of {measured['exams']:.0f} exams ({counts})",
    )
    where = ["--data", str(data)] if split_path is None else ["--data", str(data), "--split", str(split_path)]
    if split_path is None and dataset.parts is None:
        where = ["--data", "OTHER"]
        console.note(
            f"it has seen patients of every part of {data}: train on other data, or pre-train with --split FILE (of "
            "gazekit data split), whose test part stays closed"
        )
    kept = [each for each in overrides or () if "backbone.weights" not in each]
    sets = [word for each in (*kept, f"backbone.weights={out}") for word in ("--set", each)]
    console.note(f"next: {shlex.join(['gazekit', 'train', preset, *where, *sets])}")
