"""The argument ``RUN``, ``--part``, ``--device`` and ``--json``, and options that hold for some inputs only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.errors import ConfigurationError

PartName = Literal["test", "val", "train", "all"]
Part = Annotated[
    PartName, typer.Option(help="Part of the run's split; all = every exam, e.g. of another data set.")
]
FormerPart = Annotated[PartName | None, typer.Option("--split", hidden=True)]
"""The name of ``--part`` until 0.1."""


def existing_run(path: Path | None) -> Path | None:
    """Return a run directory that is there, if one is given; torch is not imported. Raises: DataError."""
    from gazekit.runs.directory import RunDirectory

    return None if path is None else RunDirectory.open(path).path


Run = Annotated[Path, typer.Argument(help="Run directory of gazekit train.", callback=existing_run)]
WhichWeights = Annotated[
    Literal["selected", "last"],
    typer.Option(
        "--weights", help="Weights of the epoch that training selected (training.select), or of the last."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with a schema version.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto (cuda where there is one).")]


def part_of(part: PartName, former: PartName | None) -> PartName:
    """Return the part to use, and warn where it was given under the option's former name."""
    if former is None:
        return part
    console.warn(f"--split {former} is now --part {former}; the former name goes in the next release")
    return former


def say_given_twice(items: Sequence[str] | None) -> None:
    """Warn of keys that ``--set``, or flags in the form of its items, give twice. Raises: ConfigurationError."""
    from gazekit.presets.layers import given_twice

    for said in given_twice(items or ()):
        console.warn(said)


def refuse_options(context: typer.Context, names: Sequence[str], what: str) -> None:
    """Raise ConfigurationError if one of these options was given; ``what``: the input that does not take them."""
    typed = [
        name
        for name in names
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    flags = {each.name: each.opts[0] for each in context.command.params}
    if typed:
        them = "them" if len(typed) > 1 else "it"
        raise ConfigurationError(
            f"{what} takes no {', '.join(flags[name] for name in typed)}; leave {them} out"
        )
