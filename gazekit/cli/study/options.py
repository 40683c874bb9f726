"""Options shared by the commands of studies."""

from typing import Annotated, Literal

import typer

Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time (local: processes, slurm: jobs).")]
Launcher = Annotated[Literal["local", "slurm"], typer.Option(help="Where to run them.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of every preset; may be repeated."),
]
