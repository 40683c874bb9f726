"""``gazekit calibrate``: make the probabilities of a run mean what they say, and choose its threshold."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Json, Run, refuse_options
from gazekit.machine import choose_device


def calibrate(
    context: typer.Context,
    run: Run,
    method: Annotated[
        Literal["temperature", "platt", "isotonic", "none"],
        typer.Option(
            help="temperature: one number; platt: two, the second moves the mean; isotonic: any rising function (both "
            "of two classes); none: a threshold alone."
        ),
    ] = "temperature",
    at_specificity: Annotated[
        float | None,
        typer.Option(
            help="Choose the lowest threshold of this specificity on the validation part, e.g. 0.9.",
            show_default="call above 0.5",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the calibration and the threshold of the run.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Prepared data set.", show_default="the one that was trained on")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Fit probabilities, and a threshold, on the validation part; write calibration.json into the run directory.

    From then on evaluate, report, predict and export use them. temperature and platt leave the order of exams of two
    classes, and so their AUC.
    """
    from gazekit.runs.calibration.calibrated import CalibrationSettings, calibrate_run, forget_calibration
    from gazekit.runs.calibration.calibration_file import SCHEMA
    from gazekit.runs.directory import RunDirectory
    from gazekit.runs.trained import open_data, open_trained

    if remove:
        refuse_options(context, ("method", "at_specificity", "data", "as_json"), "--remove")
        removed = forget_calibration(RunDirectory.open(run))
        console.note(f"{run}: {'its calibration is removed' if removed else 'it has no calibration'}")
        return
    chosen = choose_device(device)
    trained = open_trained(run, console.registry(), chosen, report=console.warn, calibrated=False)
    settings = CalibrationSettings(method=method, at_specificity=at_specificity)
    dataset = open_data(trained, data)
    with console.progress("predicting") as report:
        found = calibrate_run(trained, dataset, settings, warn=console.warn, report=report)
    if as_json:
        console.print_json(SCHEMA, {key: value for key, value in found.items() if key != "schema"})
    else:
        _print(found, classes=len(trained.facts.classes))
    evaluated = f"next: gazekit evaluate {shlex.quote(str(run))}"
    if "test" in trained.run.split().values():
        console.note(
            f"fitted to these exams, so that they flatter it; the test part measures it; {evaluated}"
        )
    else:
        console.note(f"fitted to these exams, so that they flatter it; {evaluated} --data OTHER --part all")


def _print(found: dict[str, Any], *, classes: int) -> None:
    from gazekit.measures.numbers import three

    rows = [
        (name.replace("_", " "), three(value), three(found["after"][name]))
        for name, value in found["before"].items()
    ]
    title = f"{found['method']}, on {found['exams']} validation exams of {found['patients']} patients"
    console.print_table(("measure", "before", "after"), rows, title=title)
    if found["method"] in ("temperature", "platt"):
        console.note(f"temperature {found['temperature']:.4g}: {_reading(found['temperature'])}")
    if found["method"] == "platt":
        console.note(
            f"shift {found['shift']:+.4g}: with it the mean probability of the positive class is its share of these "
            "exams"
        )
    above = f"calls above {found['threshold']:.4g}" if classes == 2 else "calls the likeliest class"
    console.note(". ".join(filter(None, (above, found["threshold_origin"]))))


def _reading(temperature: float) -> str:
    return "the model was too sure" if temperature > 1 else "the model was not sure enough"
