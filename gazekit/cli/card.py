"""``gazekit card``: write a model card."""

from pathlib import Path
from typing import Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import existing_run


def card(
    run: Annotated[
        Path, typer.Argument(help="Run directory of gazekit train, evaluated.", callback=existing_run)
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="README.md in the run")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="ID", help="License of the model, as the hub names it: apache-2.0."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a card that was changed by hand.")
    ] = False,
) -> None:
    """Write a model card in Markdown: data, intended use, measures with intervals, calibration, limits, versions.

    It begins with the header of the Hugging Face hub, and holds no id of a patient and no path. Read it before you
    publish it: what a preset or a weights file is called comes from you. A card that you changed by hand is not
    replaced without --overwrite.
    """
    from gazekit.reporting.run.card import model_card, write_card
    from gazekit.runs.directory import RunDirectory

    opened = RunDirectory.open(run)
    path = out or run / "README.md"
    write_card(path, model_card(opened, console.registry(), licence=licence), overwrite=overwrite)
    console.stdout().print(str(path), markup=False, soft_wrap=True)
