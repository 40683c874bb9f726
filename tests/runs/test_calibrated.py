"""A calibrated run predicts, evaluates, reports and exports calibrated probabilities; others are as they were."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from command_line import gazekit

from gazekit import api
from gazekit.exporting import deployed_model
from gazekit.exporting.deployed_model import DeployedModel
from gazekit.measures.classification.calibration import fit_platt, fit_temperature, threshold_at_specificity
from gazekit.prediction.calibration import UNCALIBRATED
from gazekit.runs.calibration.calibrated import CalibrationSettings, calibrate_run
from gazekit.runs.trained import open_trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def calibrated(tiny_run, tmp_path_factory) -> Path:
    """The run with a temperature, and a threshold of specificity 0.6; not to be changed."""
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("calibrated") / "run")
    said = gazekit("calibrate", run, "--at-specificity", 0.6, "--json")
    found = json.loads(said.stdout)
    assert found["schema"] == "gazekit.calibration/1"
    said = gazekit("calibrate", run, "--at-specificity", 0.6)
    assert f"calls above {found['threshold']:.4g}. The lowest threshold of specificity 0.6 on" in said.stderr
    return run


def test_it_is_fitted_to_the_validation_part_of_the_selected_weights(calibrated, tiny_run, dataset, registry):
    plain = open_trained(tiny_run, registry, CPU)
    predictions = plain.predict(dataset, "val", explain=False)
    labels = dataset.labels[predictions.indices]
    found = json.loads((calibrated / "calibration.json").read_text())
    assert found["temperature"] == pytest.approx(fit_temperature(predictions.logits, labels))
    assert found["exams"] == len(labels)
    assert found["after"]["log_loss"] <= found["before"]["log_loss"]
    scores = 1 / (1 + np.exp(-predictions.logits[:, 0].astype(np.float64) / found["temperature"]))
    assert found["threshold"] == pytest.approx(threshold_at_specificity(scores, labels == 1, 0.6), abs=1e-6)


def test_predictions_are_calibrated_and_called_at_the_threshold(calibrated, tiny_run, dataset, registry):
    plain, ours = (open_trained(run, registry, CPU) for run in (tiny_run, calibrated))
    before, after = (each.predict(dataset, "test", explain=False) for each in (plain, ours))
    np.testing.assert_array_equal(before.logits, after.logits)
    scaled = torch.as_tensor(before.logits) / ours.calibration.temperature
    np.testing.assert_allclose(after.probabilities[:, 1], scaled[:, 0].sigmoid(), rtol=1e-6)
    assert (before.threshold, after.threshold) == (0.5, ours.calibration.threshold)
    said = json.loads(gazekit("predict", calibrated, dataset.root, "--json").stdout)
    for exam in said["exams"]:
        positive = exam["probabilities"][dataset.classes[1]]
        if abs(positive - after.threshold) > 1e-5:
            assert exam["predicted"] == dataset.classes[int(positive > after.threshold)]


def test_evaluation_says_so_and_keeps_the_order_of_the_exams(calibrated, tiny_run, dataset):
    plain, ours = (
        json.loads(gazekit("evaluate", run, "--part", "all", "--resamples", 100, "--json").stdout)
        for run in (shutil.copytree(tiny_run, calibrated.parent / "plain"), calibrated)
    )
    assert (plain["calibration"], plain["called_above"]) == ("none", 0.5)
    assert ours["calibration"].startswith("temperature ") and ours["called_above"] != 0.5
    measures = [each["metrics"]["classification"] for each in (plain, ours)]
    assert measures[0]["auc"] == measures[1]["auc"] and measures[0]["brier"] != measures[1]["brier"]
    rows = (calibrated / "predictions_all.csv").read_text().splitlines()[1:]
    chances, labels = (
        np.array([row.split(",")[-1] for row in rows], dtype=float),
        np.array([row.split(",")[2] == dataset.classes[1] for row in rows]),
    )
    accuracy = np.mean((chances > ours["called_above"]) == labels)
    assert measures[1]["accuracy"]["value"] == pytest.approx(accuracy)


@pytest.mark.usefixtures("undrawn")
def test_the_decision_curve_of_a_report_says_whether_probabilities_are_calibrated(
    calibrated, tiny_run, tmp_path
):
    only_a_threshold = shutil.copytree(tiny_run, tmp_path / "threshold")
    gazekit("calibrate", only_a_threshold, "--method", "none", "--at-specificity", 0.6)
    for run, said in (
        (calibrated, "calibrated, 0."),
        (only_a_threshold, "not calibrated (gazekit calibrate)"),
    ):
        gazekit("report", run, "--part", "all", "--cases", 0, "--out", tmp_path / "page.html")
        assert f"It trusts the probabilities: {said}" in (tmp_path / "page.html").read_text()


def test_an_exported_model_has_calibrated_probabilities(calibrated, registry, monkeypatch):
    ours = open_trained(calibrated, registry, CPU)
    made = DeployedModel(ours.model, ours.attention_map, ours.preset, (16, 16), ours.calibration).eval()
    assert made.outputs[-1] == "probabilities"
    logits, *_, chances = made(*made.examples((16, 16), 3))
    torch.testing.assert_close(chances, ours.calibration.probabilities(logits))
    monkeypatch.setattr(deployed_model, "_trace", lambda *_: torch.nn.Identity())  # its names are asked for
    plain = DeployedModel(ours.model, ours.attention_map, ours.preset, (16, 16), UNCALIBRATED).eval()
    assert plain.outputs == made.outputs[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_an_exported_file_agrees_and_says_how_it_was_calibrated(tiny_run, tmp_path, method, form):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    gazekit("calibrate", run, "--method", method, "--at-specificity", 0.6)
    gazekit("export", run, "--format", form)  # compares every output
    if form == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(run / "model.onnx", providers=["CPUExecutionProvider"])
        about = json.loads(session.get_modelmeta().custom_metadata_map["gazekit"])
        assert about["calibration"].startswith(method) and about["outputs"][-1] == "probabilities"
        assert 0 < about["threshold"] < 1 and "calibrated" in about["probabilities"]


@pytest.mark.parametrize(("share", "warns"), [(0.1, True), (0.5, False)])
def test_a_temperature_that_leaves_the_mean_off_the_share_says_so(tiny_run, share, warns):
    """Logits of a network that weighed the classes alike; a tenth, or a half, of the exams are positive."""
    random = np.random.default_rng(0)
    labels = (random.random(400) < share).astype(np.int64)
    logits = 1.5 * (random.normal(size=(400, 1)) + 1.5 * labels[:, None] - 0.75)
    run = SimpleNamespace(path=tiny_run, write_json=lambda _name, _values: None)
    predictions = SimpleNamespace(indices=np.arange(400), logits=logits)
    trained = SimpleNamespace(
        facts=SimpleNamespace(classes=("benign", "malignant")),
        predict=lambda *_args, **_options: predictions,
        run=run,
        weights=SimpleNamespace(tensors={}, epoch=1),
    )
    data = SimpleNamespace(labels=labels, patient_ids=[str(i) for i in range(400)])
    for method, expected in (("temperature", warns), ("platt", False)):
        said: list[str] = []
        found = calibrate_run(trained, data, CalibrationSettings(method=method), warn=said.append)
        assert any("a temperature cannot move it" in text for text in said) == expected
    assert (found["temperature"], found["shift"]) == pytest.approx(fit_platt(logits[:, 0], labels == 1))
    assert found["after"]["brier"] < found["before"]["brier"] or not warns


def test_a_shift_is_told_as_the_mean_that_it_makes(tiny_run, dataset, registry, tmp_path):
    """Its sign does not tell whether probabilities were too high: the temperature moves their mean, too."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    said = gazekit("calibrate", run, "--method", "platt").stderr
    assert (
        "mean probability of the positive class is its share of these exams" in said
        and "too high" not in said
    )
    found = open_trained(run, registry, CPU).predict(dataset, "val", explain=False)
    share = np.mean(dataset.labels[found.indices] == 1)
    assert found.probabilities[:, 1].mean() == pytest.approx(share, abs=1e-6)


def test_a_calibration_of_other_weights_is_not_used(calibrated, registry, tmp_path):
    run = shutil.copytree(calibrated, tmp_path / "run")
    stored = json.loads((run / "calibration.json").read_text()) | {"weights": "0" * 16}
    (run / "calibration.json").write_text(json.dumps(stored))
    said: list[str] = []
    assert open_trained(run, registry, CPU, report=said.append).calibration == UNCALIBRATED
    assert len(said) == 1 and "fit it again with gazekit calibrate" in said[0]


def test_a_damaged_calibration_is_an_error_of_one_line_and_runs_verify_finds_it(calibrated, tmp_path):
    run = shutil.copytree(calibrated, tmp_path / "run")
    stored = json.loads((run / "calibration.json").read_text())
    (run / "calibration.json").write_text(json.dumps(stored | {"method": "isotonic", "knots": [[0.5, 2.0]]}))
    assert "calibration.json" in gazekit("evaluate", run, code=3).stderr
    verified = gazekit("runs", "verify", run, code=3)
    assert "calibration.json" in verified.stderr and "1 fault" in verified.stdout
    assert "1 faults" not in verified.stdout
    assert "do what the warnings say, else get another copy" in verified.stderr
    (run / "calibration.json").write_text(json.dumps(stored | {"temperature": 0}))
    assert "temperature" in gazekit("predict", run, ".", code=3).stderr


@pytest.mark.parametrize("damage", ["{", "a link"])
def test_a_damaged_calibration_can_be_fitted_again_or_removed(calibrated, tmp_path, damage):
    run = shutil.copytree(calibrated, tmp_path / "run")
    stored = run / "calibration.json"
    for options in (["--method", "none", "--at-specificity", 0.6], ["--remove"]):
        stored.unlink()
        stored.write_text(damage) if damage == "{" else stored.symlink_to(tmp_path / "nowhere")
        assert "fit it again with gazekit calibrate" in gazekit("evaluate", run, code=3).stderr
        gazekit("calibrate", run, *options)
        assert stored.is_file() == (options != ["--remove"])
        gazekit("evaluate", run, "--resamples", 100)
    stored.write_text(damage)
    assert api.calibrate(run, method="none", at_specificity=0.6)["method"] == "none"


def test_evaluate_and_predict_say_how_probabilities_and_calls_were_made(
    calibrated, tiny_run, dataset, registry
):
    ours = open_trained(calibrated, registry, CPU).calibration
    how, above = f"probabilities are calibrated ({ours.words()})", f"called above {ours.threshold:.4g}"
    for command in (("evaluate", calibrated, "--resamples", 100), ("predict", calibrated, dataset.root)):
        said = gazekit(*command).stderr
        assert f"by gazekit calibrate: {how}, '{dataset.classes[1]}' is {above}" in said, command[0]
    both = gazekit("predict", calibrated, dataset.root, "--ensemble", tiny_run).stderr
    assert how in both and above not in both, "an ensemble calls above 0.5"
    assert "by gazekit calibrate" not in gazekit("predict", tiny_run, dataset.root).stderr


def test_it_can_be_removed(calibrated, registry, tmp_path):
    run = shutil.copytree(calibrated, tmp_path / "run")
    assert "its calibration is removed" in gazekit("calibrate", run, "--remove").stderr
    assert open_trained(run, registry, CPU).calibration == UNCALIBRATED
    assert "it has no calibration" in gazekit("calibrate", run, "--remove").stderr


@pytest.mark.parametrize(
    "options", [("--method", "platt"), ("--at-specificity", 0.9), ("--data", "other"), ("--json",)]
)
def test_a_removal_takes_no_option_of_a_fit_and_then_removes_nothing(calibrated, tmp_path, options):
    run = shutil.copytree(calibrated, tmp_path / "run")
    said = gazekit("calibrate", run, "--remove", *options, code=2).stderr
    assert f"--remove takes no {options[0]}; leave it out" in said and (run / "calibration.json").is_file()


def test_the_next_command_is_one_that_works_whether_or_not_there_is_a_test_part(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert gazekit("calibrate", run).stderr.endswith(f"next: gazekit evaluate {run}\n")
    split = run / "split.csv"
    split.write_text(split.read_text().replace("test", "train"))
    (run / "checksums.json").unlink()
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"split_fingerprint": ""}))  # as earlier versions do
    assert gazekit("calibrate", run).stderr.endswith(
        f"next: gazekit evaluate {run} --data OTHER --part all\n"
    )
    gazekit("evaluate", run, code=3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "none"), "--method none calibrates nothing"),
        (("--at-specificity", "1.5"), "expected a number between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_said(calibrated, options, said):
    assert said in gazekit("calibrate", calibrated, *options, code=2).stderr
