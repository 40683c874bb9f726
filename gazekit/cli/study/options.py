"""Options shared by the commands of studies."""

from typing import Annotated

import typer

from gazekit.study.launch.launchers import LAUNCHERS

Jobs = Annotated[
    int, typer.Option(min=1, help="Runs at a time, each a process, or a job or task of the launcher.")
]
LauncherName = Annotated[
    str,
    typer.Option(
        help=f"Where to run them: {' or '.join(LAUNCHERS)}.", autocompletion=lambda: list(LAUNCHERS)
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of every preset; may be repeated."),
]
