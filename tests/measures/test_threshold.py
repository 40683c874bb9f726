"""A threshold that calls every exam one class is reported, with a remedy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit

from gazekit.measures.classification.threshold import (
    _best_youden,
    _youden,
    called_class,
    on_one_side,
    separates_nothing,
    share_above,
    with_advice,
)
from gazekit.measures.statistics.intervals import Interval

CLASSES = ("benign", "malignant")
LABELS = np.array([0, 0, 0, 1, 1, 1])


def test_the_second_class_is_called_above_the_threshold_and_not_at_it():
    chances = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert called_class(chances).tolist() == [0, 1] and called_class(chances, 0.6).tolist() == [0, 0]
    assert "all 6 exams are called benign" in separates_nothing(np.full(6, 0.5), LABELS, CLASSES)


@pytest.mark.parametrize(
    ("benign", "malignant", "said"),
    [
        ([0.6, 0.1, 0.1, 0.1], [0.6, 0.3, 0.3, 0.1], "separates next to nothing"),  # 0 here, 0.5 at 0.1
        ([0.6, 0.2, 0.2, 0.1], [0.6, 0.3, 0.1, 0.1], ""),  # nor does another threshold help
        ([0.6, 0.1, 0.1, 0.1, 0.1], [0.6, 0.7, 0.3, 0.3, 0.3], ""),  # 0.2 here
    ],
)
def test_calls_hardly_separate_below_a_tenth_where_another_threshold_would_by_a_half(benign, malignant, said):
    labels = np.repeat([0, 1], [len(benign), len(malignant)])
    found = separates_nothing(np.array([*benign, *malignant]), labels, CLASSES)
    assert (said in found) if said else found == ""


def test_an_order_that_may_be_chance_is_not_called_better():
    said = separates_nothing(np.full(6, 0.2), LABELS, CLASSES, Interval(0.8, 0.45, 1.0))
    assert "nor is their order shown to be better than chance (AUC 0.800)" in said
    said = separates_nothing(np.linspace(0.1, 0.4, 6), LABELS, CLASSES, Interval(1.0, 0.29, 1.0, "exact"))
    assert "their order has no error here (AUC 1.000), so another threshold would do better" in said
    assert "than chance" not in said and "gazekit calibrate RUN" in with_advice(said, "RUN")


def test_all_called_one_class_in_the_right_order_is_a_fault_of_calibration():
    said = separates_nothing(
        np.array([0.1, 0.12, 0.2, 0.3, 0.4, 0.45]), LABELS, CLASSES, Interval(1.0, 0.9, 1.0)
    )
    assert said == (
        "the threshold 0.5 separates nothing: all 6 exams are called benign, and 3 are benign and 3 malignant "
        "(P(malignant) from 0.100 to 0.450); their order is better than chance (AUC 1.000), so another threshold would "
        "do better"
    )
    assert with_advice(said, "my/run") == (
        f"{said}; choose one on the validation part, which predict then uses (gazekit calibrate my/run "
        "--at-specificity 0.9), or compare probabilities"
    )
    calibrated = with_advice(said, "my/run", 0.751)  # the same command would choose the same threshold again
    assert (
        calibrated
        == f"{said}; gazekit calibrate chose it on the validation part; compare probabilities instead"
    )


def test_classes_called_0_and_1_are_told_apart_from_numbers_of_exams():
    said = separates_nothing(np.linspace(0.1, 0.4, 6), LABELS, ("0", "1"))
    assert "all 6 exams are called '0', and 3 are '0' and 3 '1'" in said
    assert "all 12 exams are called '1' (" in on_one_side(np.full(12, 0.7), ("0", "1"))


def test_all_called_one_class_in_no_order_is_no_matter_of_a_threshold():
    said = separates_nothing(
        np.array([0.8, 0.7, 0.6, 0.8, 0.7, 0.6]), LABELS, CLASSES, Interval(0.5, 0.1, 0.9)
    )
    assert "all 6 exams are called malignant" in said
    assert said.endswith(
        "nor is their order shown to be better than chance (AUC 0.500): train longer, or on more exams"
    )


def test_few_calls_are_next_to_nothing_where_another_threshold_would_do():
    chances = np.r_[np.linspace(0.1, 0.2, 20), np.linspace(0.3, 0.4, 19), 0.6]
    said = separates_nothing(chances, np.repeat([0, 1], 20), CLASSES, Interval(1.0, 0.9, 1.0))
    assert "separates next to nothing: 1 of 40 exams are called malignant" in said


@pytest.mark.parametrize(
    ("chances", "labels"),
    [
        ([0.1, 0.2, 0.6, 0.4, 0.7, 0.8], LABELS),  # it separates
        ([0.4, 0.45, 0.6, 0.4, 0.45, 0.6], LABELS),  # no other threshold would do better
        ([0.1, 0.2, 0.3, 0.1, 0.2, 0.3], np.zeros(6, dtype=int)),  # rightly called one class
    ],
)
def test_a_threshold_that_separates_or_cannot_be_judged_is_not_blamed(chances, labels):
    assert separates_nothing(np.array(chances), labels, CLASSES) == ""


def test_without_labels_only_many_exams_on_one_side_are_odd():
    said = on_one_side(np.full(10, 0.4), CLASSES)
    assert "all 10 exams are called benign" in said and "calibrate run --at-specificity" in with_advice(
        said, "run"
    )
    assert "all 12 exams are called malignant" in on_one_side(np.full(12, 0.6), CLASSES)
    assert on_one_side(np.full(9, 0.4), CLASSES) == ""
    assert on_one_side(np.r_[np.full(10, 0.4), 0.6], CLASSES) == ""


def test_evaluate_says_it_and_predict_remembers(tiny_run, dataset, raw_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))

    def probabilities(logits):
        shifted = 1 / (1 + np.exp(-np.asarray(logits[:, 0]) / 100 + 3))
        import torch

        return torch.tensor(np.stack([1 - shifted, shifted], axis=1), dtype=torch.float32)

    monkeypatch.setattr("gazekit.prediction.calibration.probabilities", probabilities)
    finished = gazekit("evaluate", run, "--resamples", 100)
    assert "warning: the threshold 0.5 separates nothing: all" in finished.stderr
    assert (f"gazekit calibrate {run} --at" in finished.stderr) or ("train longer" in finished.stderr)
    assert json.loads((run / "evaluation.json").read_text())["threshold"].startswith(
        "the threshold 0.5 separates"
    )
    monkeypatch.undo()
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)
    pair = [raw_folder / f"e003_{view}.png" for view in ("cc", "mlo")]
    said = gazekit("predict", run, *pair).stderr
    assert "warning: run, as evaluated on its test part: the threshold 0.5 separates nothing" in said
    assert "separates" not in gazekit("predict", tiny_run, *pair).stderr, (
        "one exam says nothing about a threshold"
    )
    gazekit("calibrate", run)
    assert "separates" not in gazekit("predict", run, *pair).stderr, (
        "the evaluation is of the probabilities before the calibration"
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 8])
def test_the_best_youden_index_is_that_of_trying_every_threshold(seed, digits):
    random = np.random.default_rng(seed)
    chances, labels = random.random(80).round(digits).astype(np.float32), random.integers(0, 2, 80)
    assert _best_youden(chances, labels) == max(_youden(chances > cut, labels) for cut in np.unique(chances))
    cuts = np.r_[0, chances[:10], 0.35, 1]
    assert share_above(chances, cuts).tolist() == [(chances > cut).mean() for cut in cuts]
