"""An evaluation says what flatters its numbers and what they cannot tell, and keeps those of other data apart."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder

from gazekit.errors import DataError
from gazekit.measures.evaluate import evaluate
from gazekit.measures.limits import limits_of
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.runs.directory import RunDirectory
from gazekit.runs.verification import faults_of


@pytest.fixture(scope="module")
def evaluated(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A copy of the run, and other data whose patients have the names of the first four."""
    folder = tmp_path_factory.mktemp("evaluated")
    raw = make_folder(folder / "raw", exams=8, seed=7)
    gazekit("data", "prepare", "folder", raw, folder / "others", "--size", 16, "--crop", "none", "--jobs", 1)
    return Path(shutil.copytree(tiny_run, folder / "run")), folder / "others"


def test_it_says_that_the_model_was_trained_on_these_exams(evaluated: tuple[Path, Path]) -> None:
    run, _ = evaluated
    said = "warning: The model was trained on most of these exams: their numbers flatter it."
    assert said in gazekit("evaluate", run, "--part", "all", "--resamples", 100).stderr
    assert "flatter" not in gazekit("evaluate", run, "--resamples", 100).stderr


def test_other_data_have_files_of_their_own_and_patients_of_the_same_name_are_pointed_out(
    evaluated: tuple[Path, Path],
) -> None:
    run, others = evaluated
    gazekit("evaluate", run, "--part", "all", "--resamples", 100)
    own = (run / "evaluation_all.json").read_bytes()
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()[1:]]
    known = {patient for _, patient, _, part in rows if part != "test"}
    common = len(known & set(PreparedDataset.open(others).patient_ids))
    assert common
    said = gazekit("evaluate", run, "--data", others, "--part", "all", "--resamples", 100).stderr
    assert (
        f"{common} of the 4 patients are called like patients that the model was trained or selected on"
        in said
    )
    fingerprint = PreparedDataset.open(others).fingerprint
    name = f"evaluation_all_{fingerprint[:8]}.json"
    assert name in said and (run / "evaluation_all.json").read_bytes() == own
    assert json.loads((run / name).read_text())["data"] == fingerprint
    assert not faults_of(RunDirectory.open(run))
    RunDirectory.check_free(run, overwrite=True)  # they belong to the run
    table = run / f"predictions_all_{fingerprint[:8]}.csv"
    table.write_text(table.read_text().replace("0.", "x."))
    (fault,) = faults_of(RunDirectory.open(run))
    assert table.name in fault


def test_measures_without_interval_and_a_target_of_one_class_are_limits(dataset: PreparedDataset) -> None:
    exams = np.arange(8)
    chances = np.stack([1 - dataset.labels[exams], dataset.labels[exams]], axis=1).astype(np.float32)
    targets = {"grade": np.zeros(len(dataset), dtype=np.int64), "told": np.full(len(dataset), -1)}
    told = replace_targets(dataset, targets)
    further = dict.fromkeys(targets, chances)
    found = Predictions(exams, chances, chances, {}, further=further)
    said = limits_of(told, found, evaluate(told, found, resamples=50))
    assert said == [
        "No interval of average precision, brier, calibration error, negative likelihood ratio: resamples of the 4 "
        "patients repeat one value, or there is none without one of the patients. They say nothing about other "
        "patients.",
        "Target grade is not measured: every exam that says it has low.",
        "Target told is not measured: no exam says it.",
    ]
    score = np.random.default_rng(0).uniform(size=len(dataset)).astype(np.float32)
    varied = np.stack([1 - score, score], axis=1)
    mixed = replace(found, indices=np.arange(len(dataset)), probabilities=varied, further={})
    assert limits_of(dataset, mixed, evaluate(dataset, mixed, resamples=50)) == []


def replace_targets(dataset: PreparedDataset, targets: dict[str, np.ndarray]) -> PreparedDataset:
    """The data with further targets of the classes low and high."""
    told = PreparedDataset.open(dataset.root)
    told.__dict__["targets"] = targets
    told.__dict__["target_classes"] = dict.fromkeys(targets, ("low", "high"))
    return told


def test_exams_of_one_class_are_named_by_it(dataset: PreparedDataset) -> None:
    exams = np.flatnonzero(dataset.labels == 1)
    chances = np.full((len(exams), 2), 0.5, dtype=np.float32)
    with pytest.raises(DataError, match=r"all 12 exams to measure are of the class 'malignant'"):
        evaluate(dataset, Predictions(exams, chances, chances, {}))


def test_data_whose_views_are_called_otherwise_are_refused_with_what_helps(
    evaluated: tuple[Path, Path], tmp_path: Path
) -> None:
    run, others = evaluated
    raw = Path(shutil.copytree(others.parent / "raw", tmp_path / "raw"))
    header, rest = (raw / "exams.csv").read_text().split("\n", maxsplit=1)
    (raw / "exams.csv").write_text(f"{header.replace('cc', 'CC').replace('mlo', 'MLO')}\n{rest}")
    again = ("--size", 16, "--crop", "none", "--jobs", 1)
    gazekit("data", "prepare", "folder", raw, tmp_path / "CAPITALS", *again)
    said = gazekit("evaluate", run, "--data", tmp_path / "CAPITALS", "--part", "all", code=3).stderr
    assert "no view 'cc', which the model of" in said and "the data have CC, MLO" in said
    assert "call them cc, mlo in the table of exams, and prepare them again" in said and "--set" not in said
