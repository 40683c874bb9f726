"""``gazekit report``: one page that shows a run or a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gazekit.cli import console
from gazekit.cli.device import Device, choose_device

if TYPE_CHECKING:
    from gazekit.data.prepared import PreparedDataset
    from gazekit.evaluation.prediction import Predictions
    from gazekit.report.run_page import RunPage
    from gazekit.training.trained import Trained

WITH, WITHOUT, ALONE = "with gaze supervision", "without gaze supervision", "of this model"


def report(
    run: Annotated[
        Path, typer.Argument(help="Run directory of gazekit train, or study of gazekit benchmark.")
    ],
    without: Annotated[
        Path | None,
        typer.Option(help="A run on the same data to compare with, such as one without gaze supervision."),
    ] = None,
    split: Annotated[Literal["test", "val", "train"], typer.Option(help="Part of the run's split.")] = "test",
    threshold: Annotated[
        str,
        typer.Option(
            help="Probability above which the second class is called; 'val': the best by Youden's index on the "
            "validation part."
        ),
    ] = "0.5",
    exam: Annotated[
        list[str] | None,
        typer.Option(help="Exam of the figure; may be repeated.", show_default="the first two of each class"),
    ] = None,
    cases: Annotated[int, typer.Option(min=0, help="Exams in the case browser at most.")] = 200,
    originals: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the data were prepared from: draw the original images.",
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
    device: Device = "auto",
) -> None:
    """Write report.html into the directory of a run or a study: one page that needs nothing else, and no network.

    Of a run: measures with intervals, every exam with image, gaze, fixations, attention and lesion, ROC, precision and
    recall, calibration, confusion, training curves, provenance, limits; also attention.png and .svg. Of a study: its
    tables and figures, and a panel per system; the options are for runs.
    """
    from gazekit.errors import ConfigurationError

    if originals is None and (kind or overrides):
        raise ConfigurationError("--dataset and --set say what is in --originals SRC; add it")
    raw = (originals, kind, overrides) if originals is not None else None
    if (run / "study.json").is_file():
        from gazekit.report.study_page import write_study_page
        from gazekit.report.study_report import study_page

        path = run / "report.html"
        write_study_page(path, study_page(run))
    else:
        path = _report_run(run, without, split, threshold, tuple(exam or ()), cases, raw, device)
    console.stdout().print(str(path), markup=False, soft_wrap=True)


def _report_run(
    run: Path,
    without: Path | None,
    part: str,
    threshold: str,
    exams: tuple[str, ...],
    cases: int,
    raw: tuple[Path, str | None, list[str] | None] | None,
    device: Device,
) -> Path:
    from gazekit.cli.gaze_options import options_of
    from gazekit.report.originals import find_originals
    from gazekit.report.run_page import write_run_page
    from gazekit.report.run_report import run_page
    from gazekit.training.trained import open_data, open_trained

    registry, chosen = console.registry(), choose_device(device)
    trained = open_trained(run, registry, chosen, report=console.warn)
    dataset = open_data(trained, None)
    originals = None
    if raw is not None:
        root, kind, options = raw
        source = registry.create("dataset", kind, **options_of(options)) if kind else None
        originals = find_originals(dataset, root, source)
    own = trained.predict(dataset, part)
    systems = {(WITH if trained.preset.gaze else ALONE): own}
    if without is not None:
        other = open_trained(without, registry, chosen, report=console.warn)
        theirs = other.predict(dataset, part)
        _check_same(trained, other, own, theirs)
        title = f"of {other.run.path.name}" if other.preset.gaze else WITHOUT
        systems[title] = theirs
    value, origin = _threshold(threshold, trained, dataset)
    page = run_page(
        trained,
        dataset,
        systems,
        part=part,
        threshold=value,
        threshold_origin=origin,
        exams=exams,
        cases=cases,
        originals=originals,
    )
    path = trained.run.path / "report.html"
    write_run_page(path, page)
    _write_picture(trained.run.path, page)
    return path


def _threshold(wanted: str, trained: "Trained", dataset: "PreparedDataset") -> tuple[float, str]:
    from gazekit.errors import ConfigurationError
    from gazekit.report.confusion import youden_threshold
    from gazekit.report.curves import is_binary
    from gazekit.report.run_report import pooled_of

    if wanted == "val":
        validation = pooled_of(dataset, trained.predict(dataset, "val"))
        if not is_binary(validation):
            raise ConfigurationError(
                "--threshold val: the validation part does not hold two classes; give a number"
            )
        return youden_threshold(
            validation
        ), "The threshold of the greatest Youden index on the validation part."
    try:
        value = float(wanted)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigurationError(f"--threshold {wanted}: expected a number between 0 and 1, or 'val'")
    return value, "The threshold was given, not chosen on these exams."


def _check_same(trained: "Trained", other: "Trained", own: "Predictions", theirs: "Predictions") -> None:
    """Raise ConfigurationError if two runs cannot be shown side by side."""
    from gazekit.errors import ConfigurationError

    if trained.preset.views != other.preset.views or own.indices.tolist() != theirs.indices.tolist():
        raise ConfigurationError(
            f"{other.run.path}: has other views or another split than {trained.run.path}; a picture of both needs the "
            "same (train with the same --split FILE)"
        )


def _write_picture(folder: Path, page: "RunPage") -> None:
    """The figure of the page as files, to be used elsewhere."""
    from gazekit.atomic import write_atomically
    from gazekit.report.page import rendered

    if page.picture is not None:
        for kind in ("png", "svg"):
            write_atomically(folder / f"{page.picture_name}.{kind}", rendered(page.picture.figure, kind))
