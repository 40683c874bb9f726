"""``gazekit report``: write a page about a run or a study."""

from pathlib import Path
from typing import Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, FormerPart, Part, existing_run, part_of, refuse_options
from gazekit.machine import choose_device

_OF_RUNS = (
    "without",
    "data",
    "part",
    "split",
    "threshold",
    "exam",
    "cases",
    "originals",
    "kind",
    "overrides",
    "device",
)
"""Options that the report of a study does not take."""


def report(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Run directory of gazekit train, or study of gazekit benchmark.")
    ],
    without: Annotated[
        Path | None,
        typer.Option(
            help="Run on the same data to compare with, e.g. without gaze supervision.", callback=existing_run
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Other prepared data, with --part all.", show_default="the one that was trained on"
        ),
    ] = None,
    part: Part = "test",
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Probability above which the second class is called; 'val': the best by Youden's index on the "
            "validation part.",
            show_default="the run's, of gazekit calibrate, or 0.5",
        ),
    ] = None,
    exam: Annotated[
        list[str] | None,
        typer.Option(help="Exam of the figure; may be repeated.", show_default="the first two of each class"),
    ] = None,
    cases: Annotated[
        int, typer.Option(min=0, help="Maximum number of exams in the case browser, 200 a page.")
    ] = 200,
    originals: Annotated[
        Path | None,
        typer.Option(
            help="Folder the data were prepared from: draw the original images.",
            show_default="draw the prepared ones",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--dataset", help="Kind of data set in --originals, if it was prepared without --image-names."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Option of that data set; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Page to write.", show_default="report.html in RUN")
    ] = None,
    device: Device = "auto",
    split: FormerPart = None,
) -> None:
    """Write report.html into the directory of a run or a study: one self-contained page that needs no network.

    For a run: measures with intervals, every exam with image, gaze, fixations, attention and lesion, ROC, precision and
    recall, calibration, decision curve, confusion, training curves, provenance, limits; also attention.png and .svg. Of
    more than 200 cases the others are on pages in report_cases/. For a study: tables and figures, and a panel per
    system; it takes --out alone.
    """
    if (run / "study.json").is_file():
        from gazekit.disk.atomic import check_place
        from gazekit.reporting.study.page import write_study_page
        from gazekit.reporting.study.report import newer_in_words, study_page

        refuse_options(context, _OF_RUNS, "the report of a study")
        path = out or run / "report.html"
        check_place(path)
        page = study_page(run)
        write_study_page(path, page)
        if page.newer:
            console.warn(newer_in_words(page.newer, str(run)))
    else:
        existing_run(run)
        from gazekit.cli.gaze.options import options_of
        from gazekit.errors import ConfigurationError
        from gazekit.reporting.drawing.originals.files import find_originals
        from gazekit.reporting.run.files import write_report
        from gazekit.reporting.run.report import ReportSettings
        from gazekit.runs.trained import open_data, open_trained

        part = part_of(part, split)
        if originals is None and (kind or overrides):
            raise ConfigurationError("--dataset and --set say what is in --originals SRC; add it")
        registry, chosen = console.registry(), choose_device(device)
        trained = open_trained(run, registry, chosen, report=console.warn)
        dataset = open_data(trained, data)
        found = None
        if originals is not None:
            source = registry.create("dataset", kind, **options_of(overrides)) if kind else None
            found = find_originals(dataset, originals, source)
        settings = ReportSettings(
            part=part, threshold=threshold, exams=exam or (), cases=cases, originals=found
        )
        other = None if without is None else open_trained(without, registry, chosen, report=console.warn)
        with console.progress("exams predicted and drawn") as report:
            path = write_report(trained, dataset, settings, without=other, out=out, report=report)
    console.stdout().print(str(path), markup=False, soft_wrap=True)
