"""A model card has the header of the hub and every number of the evaluation, and neither patients nor paths."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import gazekit

import gazekit as package
from gazekit.errors import ConfigurationError, DataError
from gazekit.reporting.run.card import model_card
from gazekit.reporting.run.provenance import run_facts
from gazekit.runs.directory import RunDirectory
from gazekit.runs.trained import open_trained


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory) -> Path:
    """An evaluated and calibrated run, whose split leaks; not to be changed."""
    copy = shutil.copytree(tiny_run, tmp_path_factory.mktemp("carded") / "my|run")
    gazekit("calibrate", copy, "--at-specificity", 0.6)
    gazekit("evaluate", copy, "--resamples", 100)
    opened = RunDirectory(copy)
    opened.unseal()
    opened.write_facts(
        replace(
            opened.facts(),
            leak="patient sentinel-patient is in train and test",
            weights_origin=("/home/me/w.pt (a b)", "timm/r18 of C:\\me\\x.pt"),
        )
    )
    return copy


def test_the_header_is_that_of_the_hub(run, registry):
    yaml = pytest.importorskip("yaml")
    text = model_card(RunDirectory(run), registry, licence="apache-2.0")
    _, header, body = text.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["license"] == "apache-2.0" and found["library_name"] == "gazekit"
    [model] = found["model-index"]
    [result] = model["results"]
    assert model["name"] == "my|run" and result["task"]["type"] == "image-classification"
    evaluation = json.loads((run / "evaluation.json").read_text())["metrics"]["classification"]
    values = {each["type"]: each["value"] for each in result["metrics"]}
    assert values["roc_auc"] == evaluation["auc"]["value"] and values["f1"] == evaluation["f1"]["value"]
    assert "license" not in model_card(RunDirectory(run), registry).split("---\n")[1]
    assert body.strip().startswith("# my\\|run")


def test_it_states_data_measures_calibration_limits_and_versions(run, registry):
    text = model_card(RunDirectory(run), registry)
    evaluation = json.loads((run / "evaluation.json").read_text())
    area = evaluation["metrics"]["classification"]["auc"]
    assert f"| classification | AUC | {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}] |" in text
    assert "8 of 4 patients" in text and "Sensitivity at 90 % specificity" in text
    stored = json.loads((run / "calibration.json").read_text())
    assert f"temperature {stored['temperature']:.4g}" in text and stored["threshold_origin"] in text
    assert f"Fitted on {stored['exams']} validation exams of {stored['patients']} patients" in text
    assert f"called above {stored['threshold']:.4g}. " in text and stored["exams"] != stored["patients"]
    parts = [line.rsplit(",", 1)[1] for line in RunDirectory(run).split_path.read_text().split()]
    train, val, test = (parts.count(part) for part in ("train", "val", "test"))
    assert f"split: {train} exams to train on, {val} to validate, {test} to test" in text
    for words in (
        "Not a medical device",
        "## Intended use",
        "exams to train on",
        "torch ",
        "too few to show",
    ):
        assert words in text
    assert "has seen patients of the test part" in text
    prepared = next(line for line in text.splitlines() if line.startswith("- preparation"))
    assert "colour False" in prepared and "None" not in prepared


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("auc", "epochs: 1; epoch 1 is selected by the validation AUC"),
        ("loss", "epochs: 1; epoch 1 is selected by the validation loss"),
        ("last", "epochs: 1; the last is used"),
    ],
)
def test_it_says_which_epoch_is_used(run, registry, tmp_path, select, said):
    copy = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    stored = copy.preset_path.read_text()
    assert stored.count('select = "auc"') == 1
    copy.preset_path.write_text(stored.replace('select = "auc"', f'select = "{select}"'))
    assert f"- {said}\n" in model_card(copy, registry)


def test_it_has_every_value_of_the_preset_such_as_the_network_that_was_chosen(run, registry, tmp_path):
    copy = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    stored = copy.preset_path.read_text()
    assert stored.count("covariates = []") == 1
    copy.preset_path.write_text(stored.replace("covariates = []", 'covariates = ["age"] # --set'))
    text = model_card(copy, registry)
    assert copy.preset_path.read_text().strip() in text and 'covariates = ["age"] # --set' in text


def test_it_names_no_patient_and_no_path(run, registry, dataset):
    text = model_card(RunDirectory(run), registry)
    assert "sentinel-patient" not in text and str(run.parent) not in text and str(dataset.root) not in text
    origin = "w.pt (a b); timm/r18 of x.pt"
    assert f"initial weights: {origin}" in text
    page = run_facts(open_trained(run, registry, torch.device("cpu")), dataset)
    assert page["Run"]["initial weights"] == origin
    assert str(Path.home()) not in text and "/tmp" not in text
    assert not [exam for exam in (*dataset.exam_ids, *dataset.patient_ids) if len(exam) > 3 and exam in text]


def test_the_command_writes_it_into_the_run_and_python_beside_it(run, tmp_path):
    said = gazekit("card", run)
    assert said.stdout.strip() == str(run / "README.md")
    path = package.card(run, tmp_path / "card.md")
    assert path.read_text() == (run / "README.md").read_text()


def test_a_card_that_was_changed_by_hand_is_kept(run, tmp_path):
    path = tmp_path / "card.md"
    written = gazekit("card", run, "--out", path) and path.read_text()
    gazekit("card", run, "--out", path, "--license", "mit")
    assert "license" in path.read_text()
    ours = path.read_text().replace("It is not meant", "Ours is not meant")
    path.write_text(ours)
    said = gazekit("card", run, "--out", path, code=2).stderr
    assert "was changed by hand" in said and "--overwrite" in said and path.read_text() == ours
    with pytest.raises(ConfigurationError, match="overwrite=True"):
        package.card(run, path)
    gazekit("card", run, "--out", path, "--overwrite")
    assert path.read_text() == written


@pytest.mark.parametrize("found", ["", "# My notes\n", "\n", "\xff"])
def test_a_readme_of_another_origin_is_kept(run, tmp_path, found):
    path = tmp_path / "README.md"
    path.write_bytes(found.encode("latin-1"))
    assert "is no model card" in gazekit("card", run, "--out", path, code=2).stderr
    assert path.read_bytes() == found.encode("latin-1")


def test_a_run_that_was_not_evaluated_has_no_card(tiny_run, tmp_path, registry):
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    for file in copy.glob("evaluation*"):
        file.unlink()
    with pytest.raises(DataError, match="gazekit evaluate"):
        model_card(RunDirectory(copy), registry)


def test_a_card_is_not_written_of_measures_from_before_the_calibration(tiny_run, registry, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    gazekit("evaluate", run, "--resamples", 100)
    gazekit("calibrate", run, "--at-specificity", 0.5)
    with pytest.raises(DataError, match=r"was calibrated after it was evaluated .* gazekit evaluate"):
        model_card(RunDirectory.open(run), registry)
    gazekit("evaluate", run, "--resamples", 100)
    assert "temperature" in model_card(RunDirectory.open(run), registry)


def test_the_region_is_named_with_the_version_of_its_rules(run, registry, tmp_path):
    copy = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    assert "- region" not in model_card(copy, registry)
    preparation = copy.facts().preparation
    for changed in ({"crop": "breast"}, {"masked_by": "breast"}):
        copy.write_facts(replace(copy.facts(), preparation=preparation | {"region": 2} | changed))
        text = model_card(copy, registry)
        assert "- region: breast, version 2 of its rules\n" in text and "region 2" not in text


def test_it_says_what_is_predicted_and_read_beside_label_and_images(run, registry, tmp_path):
    copy = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    plain = model_card(copy, registry)
    assert "- further targets" not in plain and "- covariates" not in plain
    stored = copy.preset_path.read_text()
    assert stored.count("covariates = []") == 1
    copy.preset_path.write_text(stored.replace("covariates = []", 'covariates = ["age", "thickness"]'))
    copy.write_facts(replace(copy.facts(), targets={"density": ("A", "B"), "birads": ("2", "4")}))
    text = model_card(copy, registry)
    assert "\n- further targets: density (A, B); birads (2, 4)\n- covariates: age, thickness\n" in text
    [command] = [line for line in text.splitlines() if line.startswith("gazekit predict")]
    assert command.startswith("gazekit predict RUN exams.csv ") and "covariates" in command


def test_a_model_that_reads_gaze_to_predict_is_not_said_to_need_none(run, registry, tmp_path):
    copy = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    assert "gazekit predict RUN images/ " in model_card(copy, registry)
    stored = copy.preset_path.read_text()
    assert stored.count('images = "none"') == 1
    copy.preset_path.write_text(stored.replace('images = "none"', 'images = "gaze_overlay"'))
    text = model_card(copy, registry)
    assert "- gaze as an input: in training and to predict\n" in text
    assert "no gaze needed" not in text and "gazekit predict RUN PREPARED " in text
