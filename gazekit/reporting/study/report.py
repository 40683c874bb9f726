"""Collect the contents of a study's page from its results and the predictions of its runs."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gazekit.disk.plain_text import visible
from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit.measures.classification.curves import is_binary
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.numbers import interval, three
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.labels import count_classes
from gazekit.reporting.drawing.charts.classification import calibration_figure, roc_figure
from gazekit.reporting.drawing.charts.training import training_figure
from gazekit.reporting.page import Section
from gazekit.reporting.study.figures import study_figures
from gazekit.reporting.study.page import StudyPage, StudyPicture, SystemPanel
from gazekit.reporting.study.table import StudyTable, study_table
from gazekit.reporting.study.words import over_sets_in_words
from gazekit.runs.directory import RunDirectory
from gazekit.runs.files import read_evaluation
from gazekit.study.folder import StudyFolder
from gazekit.study.results.pooling import RunRecord, pool_data_sets, read_run
from gazekit.study.results.result import StudyResult

_FIGURES = {
    "auc": ("AUC", "AUC of each system with its interval; the table has the numbers."),
    "roc": ("ROC curves", "A ROC curve per system with its band, the reference in grey."),
    "differences": (
        "Paired differences",
        "AUC of each system minus that of the reference, with its interval; the table has the numbers.",
    ),
}
"""Title and alternative text of each of ``study_figures``."""


def study_page(folder: Path) -> StudyPage:
    """Assemble the report of a study. Raises DataError: the study has no results yet, or files are missing."""
    study = StudyFolder(folder)
    path = folder / "results.json"
    if not os.path.lexists(path):
        raise DataError(
            f"{path}: there is no such file; finish the study: gazekit benchmark --out {shlex.quote(str(folder))}"
        )
    result = StudyResult.read(path)
    settings = study.settings()
    unknown = [
        row.name for row in result.rows if row.name not in {system.name for system in settings.systems}
    ]
    if unknown:
        raise DataError(
            f"{path}: rows: '{visible(unknown[0])}' is no system of this study; make the results again: "
            f"gazekit benchmark --out {shlex.quote(str(folder))}"
        )
    sets = dict(zip(settings.data_names, map(PreparedDataset.open, settings.data_paths), strict=True))
    runs = {row.name: _runs(folder, row.name) for row in result.rows}
    pooled = {name: pool_data_sets(sets, list(records.values())) for name, records in runs.items() if records}
    table = study_table(result)
    newer = sum(len(_runs(folder, system.name)) for system in settings.systems)
    newer -= sum(row.runs for row in result.rows)
    if newer > 0:
        said = newer_in_words(newer, folder.resolve().name)
        table = replace(table, warnings=(*table.warnings, said))
    figures = study_figures(result, pooled)
    classes = count_classes(result.classes)
    return StudyPage(
        table=table,
        summary=f"{len(result.rows)} systems, all tested on the same {result.exams} exams of "
        f"{result.patients} patients ({classes}){_of_sets(result)} by models that had not seen them. The reference "
        f"is {result.reference}.",
        figures=[Section(_FIGURES[name][0], figure, _FIGURES[name][1]) for name, figure in figures.items()],
        pictures=_pictures(folder),
        panels=[
            _panel(
                result,
                table,
                row.name,
                runs[row.name],
                [*_curves(result, row.name, pooled), *_training(folder, row.name, runs[row.name])],
            )
            for row in result.rows
        ],
        facts={
            "Study": {
                "systems": [row.name for row in result.rows],
                "protocol": result.protocol,
                "folds": result.folds,
                "repeats": result.repeats,
                "seeds": result.seeds,
                "date": result.evidence.date,
                "device": result.evidence.device,
                "minutes of all runs": f"{result.evidence.minutes:.1f}",
            },
            "Data": {
                "prepared set": result.dataset,
                "fingerprint": ", ".join(each[:16] for each in result.fingerprint.split(", ")),
                "exams": result.exams,
                "patients": result.patients,
                **{
                    each.name: f"{each.exams} exams of {each.patients} patients, fingerprint {each.fingerprint[:16]}"
                    for each in result.data_sets
                },
            },
            "Software": result.evidence.versions,
        },
        newer=max(newer, 0),
    )


def newer_in_words(runs: int, study: str) -> str:
    """Say that runs are newer than the results of a study, and which command collects them."""
    return (
        f"{runs} run{'s are' if runs > 1 else ' is'} newer than these results; collect them: gazekit benchmark "
        f"--out {shlex.quote(study)} --so-far"
    )


def _of_sets(result: StudyResult) -> str:
    return f" in {len(result.data_sets)} data sets" if result.data_sets else ""


def _pictures(folder: Path) -> list[StudyPicture]:
    """Collect the pictures of attention side by side, if ``benchmark`` could draw them."""
    path = folder / "attention.png"
    if not os.path.lexists(path):
        return []
    return [
        StudyPicture(
            "Where the systems look",
            path,
            "For each exam a row per view: the image, the gaze heat map over it, and each system's attention over it.",
            "Attention of each system's first finished run of the first fold, on the first exam of each class that "
            "this fold tests; not hand-picked. attention.png next to this page has a higher resolution.",
        )
    ]


def _runs(folder: Path, system: str) -> dict[str, RunRecord]:
    """Map name → finished run of a system."""
    found = sorted((folder / "runs" / system).glob("*/evaluation.json"))
    return {
        path.parent.name: read_run(path.parent) for path in found if read_evaluation(path)["split"] == "test"
    }


def _panel(
    result: StudyResult,
    table: StudyTable,
    name: str,
    runs: Mapping[str, RunRecord],
    curves: Sequence[Section],
) -> SystemPanel:
    [row] = [row for row in result.rows if row.name == name]
    [line] = [line for line in table.blocks[0].lines if line.name == name]
    words = [f"{row.runs} of {row.planned} runs."]
    if row.over_data_sets is not None:
        words += over_sets_in_words(row.over_data_sets, result.reference)
    elif row.comparison is not None:
        difference = interval(row.comparison.auc_difference, signed=True)
        words.append(f"AUC minus that of {result.reference}: {difference}.")
    words += [f"{note[:1].upper()}{note[1:]}." for note in (table.footnotes[mark - 1] for mark in line.marks)]
    return SystemPanel(
        name=f"{name} (reference)" if name == result.reference else name,
        words=words,
        curves=curves,
        runs=[(run, three(record.metrics.get("auc"))) for run, record in runs.items()],
    )


def _curves(result: StudyResult, name: str, pooled: Mapping[str, Pooled]) -> list[Section]:
    """Draw ROC curve and calibration of a system next to the reference."""
    found = {row.name: row.metrics["auc"].pooled for row in result.rows if "auc" in row.metrics}
    areas = {each: area for each, area in found.items() if area is not None}
    names = dict.fromkeys((name, result.reference))
    both = {each: pooled[each] for each in names if each in areas and is_binary(pooled.get(each))}
    if name not in both:
        return []
    curves = roc_figure(both, areas)
    stated = {each: (p.probabilities[:, 1], p.labels == 1) for each, p in both.items()}
    calibration = calibration_figure(stated, "Stated probability of the positive class")
    return [
        Section(f"ROC curve of {name}", curves, f"ROC curve of {name}, with the reference.", "ROC curve"),
        Section(f"Calibration of {name}", calibration, f"Calibration of {name}.", "Calibration"),
    ]


def _training(folder: Path, name: str, runs: Mapping[str, RunRecord]) -> list[Section]:
    """Draw loss terms and validation AUC of a system's finished runs."""
    found = [RunDirectory(folder / "runs" / name / run).read_metrics() for run in runs]
    trained = [metrics for metrics in found if metrics]
    if not trained:
        return []
    return [
        Section(
            f"Training of {name}",
            training_figure(*trained),
            f"Loss terms and validation AUC of {name} by epoch, a line per run.",
            f"Training, {counted(len(trained), 'run')}",
        )
    ]
