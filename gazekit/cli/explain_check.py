"""``gazekit explain-check``: check the attention maps of a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Json, Part, Run, existing_run
from gazekit.machine import choose_device

if TYPE_CHECKING:
    from gazekit.runs.explain_check.file import ExplainCheck


def explain_check(
    run: Run,
    data: Annotated[
        Path | None, typer.Option(help="Prepared data set.", show_default="the one that was trained on")
    ] = None,
    part: Part = "test",
    random_labels: Annotated[
        Path | None,
        typer.Option(
            help="Run to compare with: the same preset and split, trained with --set training.labels=permuted.",
            callback=existing_run,
        ),
    ] = None,
    exams: Annotated[
        int, typer.Option(min=1, help="Most exams to check, drawn at random from the part.")
    ] = 100,
    draws: Annotated[int, typer.Option(min=1, help="Random weights, and noises, that are averaged.")] = 3,
    noise: Annotated[
        float,
        typer.Option(min=0, help="Standard deviation of the noise, as a share of the full range of pixels."),
    ] = 0.02,
    fill: Annotated[
        Literal["linear", "blur"],
        typer.Option(
            help="What replaces removed pixels: noisy linear imputation (ROAD), or the blurred image, which is faster."
        ),
    ] = "linear",
    steps: Annotated[int, typer.Option(min=2, help="Steps from all pixels to none.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of exams, random weights, noise and random orders.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check what the attention maps of a run depend on: weights, labels, pixels, noise; each with 95 % intervals.

    Gives layers random weights, one by one and from the top, and compares the maps with those of the trained model and
    with gaze; removes and shows pixels in the order of the maps against a random order; adds noise; shifts the images.
    Writes explain_check.json into the run; report and benchmark show it. Stopped, the same command goes on.
    """
    from gazekit.runs.explain_check.check import check_explanations
    from gazekit.runs.explain_check.checked_maps import ExplainCheckSettings
    from gazekit.runs.explain_check.file import SCHEMA
    from gazekit.runs.trained import open_data, open_trained

    registry, chosen = console.registry(), choose_device(device)
    trained = open_trained(run, registry, chosen, report=console.warn)
    other = (
        None if random_labels is None else open_trained(random_labels, registry, chosen, report=console.warn)
    )
    settings = ExplainCheckSettings(exams=exams, draws=draws, noise=noise, fill=fill, steps=steps, seed=seed)
    with console.progress("checking attention maps") as report:
        found = check_explanations(
            trained,
            open_data(trained, data),
            part,
            settings,
            random_labels=other,
            report=report,
            warn=console.warn,
        )
    if as_json:
        console.print_json(SCHEMA, found.model_dump(by_alias=True, exclude={"schema_"}))
    else:
        _print(found)


def _print(found: "ExplainCheck") -> None:
    from gazekit.reporting.run.explain_check import explain_check_tables

    for title, columns, rows in explain_check_tables(found):
        console.print_table(columns, rows, title=title)
    for sentence in found.statements:
        console.print_text(f"- {sentence}")
    console.note(f"intervals: {found.interval}; docs/explain_check.md says how to read it")
