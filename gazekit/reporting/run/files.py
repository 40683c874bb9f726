"""Write the report of a run into its directory: report.html, and the figure as files."""

from dataclasses import replace
from pathlib import Path

from gazekit.disk.atomic import check_folder, check_place, write_atomically
from gazekit.errors import ConfigurationError
from gazekit.measures.classification.curves import is_binary
from gazekit.measures.evaluate import pooled_of
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reporting.run.confusion import youden_threshold
from gazekit.reporting.run.page import PICTURE, RunPage, cases_folder, write_run_page
from gazekit.reporting.run.report import ReportSettings, run_page
from gazekit.runs.trained import Progress, Trained, open_data

WITH, WITHOUT, ALONE = "with gaze supervision", "without gaze supervision", "of this model"
_GIVEN = "The threshold was given, not chosen on these exams."


def write_report(
    trained: Trained,
    dataset: PreparedDataset,
    settings: ReportSettings,
    *,
    without: Trained | None = None,
    out: Path | None = None,
    report: Progress = lambda _done, _total: None,
) -> Path:
    """Write the report of a run as one page, with attention.png and .svg next to it.

    Args:
        trained: the run.
        dataset: the data to report on.
        settings: exams and appearance of the report.
        without: a run on the same data to compare with, or None.
        out: path of the page; None is ``report.html`` in the run.
        report: told the exams predicted and drawn, and the number of both.

    Returns:
        The path of the page.

    Raises:
        ConfigurationError: the threshold is invalid, or the runs cannot be shown side by side.
        StorageError: the page cannot be written, which is said before the work as far as it shows.
    """
    path = out or trained.run.path / "report.html"
    check_place(path)
    for kind in ("png", "svg"):
        check_place(path.with_name(f"{PICTURE}.{kind}"))
    check_folder(cases_folder(path))
    exams = len(trained.exams_of(dataset, settings.part))
    predicted = exams * (1 if without is None else 2)
    total = predicted + min(settings.cases, exams)
    own = trained.predict(dataset, settings.part, report=lambda done, _: report(done, total))
    systems = {(WITH if trained.preset.supervised else ALONE): own}
    if without is not None:
        theirs = without.predict(dataset, settings.part, report=lambda done, _: report(exams + done, total))
        _check_same(trained, without, own, theirs)
        title = f"of {without.run.path.name}" if without.preset.supervised else WITHOUT
        systems[title] = theirs
    value, origin = _threshold(settings.threshold, trained, dataset)
    if settings.threshold is not None:
        systems = {title: replace(each, threshold=value) for title, each in systems.items()}
    page = run_page(
        trained,
        dataset,
        systems,
        settings,
        threshold=value,
        threshold_origin=origin,
        drawn=lambda cases: report(predicted + cases, total),
    )
    write_run_page(path, page)
    _write_picture(path.parent, page)
    return path


def _threshold(wanted: str | float | None, trained: Trained, dataset: PreparedDataset) -> tuple[float, str]:
    if wanted is None:
        return trained.calibration.threshold, trained.calibration.threshold_origin or _GIVEN
    if wanted == "val":
        if dataset.fingerprint != trained.facts.fingerprint:  # the validation part is in the training data
            dataset = open_data(trained, None)
        val = pooled_of(dataset, trained.predict(dataset, "val", explain=False))
        if not is_binary(val):
            raise ConfigurationError(
                "--threshold val: the validation part does not hold two classes; give a number"
            )
        return youden_threshold(val), "The threshold of the greatest Youden index on the validation part."
    try:
        value = float(wanted)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ConfigurationError(f"--threshold {wanted}: expected a number between 0 and 1, or 'val'")
    return value, _GIVEN


def _check_same(trained: Trained, other: Trained, own: Predictions, theirs: Predictions) -> None:
    """Raise ConfigurationError if two runs cannot be shown side by side."""
    if trained.preset.views != other.preset.views or own.indices.tolist() != theirs.indices.tolist():
        raise ConfigurationError(
            f"{other.run.path}: has other views or another split than {trained.run.path}; a picture of both needs the "
            "same (train with the same --split FILE)"
        )


def _write_picture(folder: Path, page: RunPage) -> None:
    """Write the figure of the page as files, for use elsewhere."""
    if page.picture is not None:
        write_atomically(folder / f"{PICTURE}.png", page.picture.png)
        write_atomically(folder / f"{PICTURE}.svg", page.picture.svg)
