"""A report says which epoch's weights it is of, and doubts the part that chose them; also of which exams it is."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import gazekit

from gazekit.measures.classification.metrics import classification_metrics
from gazekit.reporting.run.report import _summary


@pytest.mark.parametrize(
    ("select", "said", "doubt"),
    [
        ("auc", "the epoch is selected by the validation AUC.", "The model was selected on these exams"),
        ("loss", "the epoch is selected by the validation loss.", "The model was selected on these exams"),
        ("last", "the last epoch is used.", "if its settings, calibration or threshold were chosen on them"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_the_page_names_the_epoch_that_is_used(tiny_run, tmp_path, select, said, doubt):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "checksums.json").unlink()
    stored = (run / "preset.toml").read_text()
    assert stored.count('select = "auc"') == 1
    (run / "preset.toml").write_text(stored.replace('select = "auc"', f'select = "{select}"'))
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()]
    exam = next(row[0] for row in rows if row[-1] == "val")
    gazekit("report", run, "--part", "val", "--cases", 0, "--exam", exam)
    page = (run / "report.html").read_text()
    assert said in page and doubt in page


@pytest.mark.usefixtures("undrawn")
def test_data_given_as_the_folder_one_is_in_have_their_name(tiny_run, tmp_path, dataset, monkeypatch):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    monkeypatch.chdir(dataset.root)
    gazekit("report", run, "--data", ".", "--cases", 0)
    assert f"Exams ({dataset.root.name})<" in (run / "report.html").read_text()


@pytest.mark.parametrize(("positive", "said"), [(1, "AUC is 0.667."), (2, "95 % interval over patients.")])
def test_the_first_sentence_promises_no_interval_where_there_is_none(dataset, positive, said):
    """The AUC of one positive patient exists by that patient alone."""
    labels, stated = np.array([0, 0, 0, 1])[[0, 1, 2, *[3] * positive]], np.array([0.2, 0.3, 0.6, 0.5, 0.1])
    patients = list("abcde")[: len(labels)]
    measured = classification_metrics(
        np.c_[1 - stated, stated][: len(labels)], labels, patients, resamples=200
    )
    found = SimpleNamespace(labels=labels, patient_ids=patients)
    assert _summary(dataset, found, {"classification": measured}, "the test part").endswith(said)
