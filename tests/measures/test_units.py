"""Exams of one side, or of one patient, are measured together."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gazekit
from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.units import _unit, pooled
from gazekit.prepared.dataset import PreparedDataset


@pytest.mark.parametrize("how", ["max", "mean"])
def test_pooling_is_that_of_a_loop(how: str) -> None:
    random = np.random.default_rng(0)
    units = [(f"p{number}", side) for number in random.integers(0, 9, 40) for side in ("L",)]
    chances = random.random(40)
    labels = random.integers(0, 2, 40)
    exams = Pooled(
        [str(n) for n in range(40)], [p for p, _ in units], labels, np.stack([1 - chances, chances], axis=1)
    )
    found = pooled(units, exams, how)
    for number, unit in enumerate(dict.fromkeys(units)):
        own = [row for row, each in enumerate(units) if each == unit]
        expected = max(chances[own]) if how == "max" else sum(chances[own]) / len(own)
        assert found.probabilities[number, 1] == pytest.approx(expected)
        assert found.probabilities[number].sum() == pytest.approx(1)
        assert found.labels[number] == max(labels[own]) and found.patient_ids[number] == unit[0]


def test_an_exam_whose_side_is_unknown_stands_alone() -> None:
    sides = [{"cc": "L", "mlo": "L"}, {"cc": "L", "mlo": ""}, {"cc": "", "mlo": ""}, {"cc": "L", "mlo": "R"}]
    data = SimpleNamespace(patient_ids=["p"] * 4, exam_ids=list("abcd"), laterality=sides)
    of_side = [_unit(data, exam, "side") for exam in range(4)]  # type: ignore[arg-type]
    assert of_side == [("p", "L"), ("p", "L"), ("p", "c"), ("p", "d")]
    assert {_unit(data, exam, "patient") for exam in range(4)} == {("p", "")}  # type: ignore[arg-type]


def test_an_evaluation_states_patients_by_their_maximum(
    tiny_run: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    result = gazekit.evaluate(copy, part="all", data=dataset, resamples=100, per="patient")
    groups = list(result["metrics"])
    assert groups[:2] == ["classification", "per_patient_by_max"]
    rows = [line.split(",") for line in (copy / "predictions_all.csv").read_text().splitlines()[1:]]
    highest: dict[str, float] = {}
    truth: dict[str, bool] = {}
    for _, patient, label, _, chance in rows:
        highest[patient] = max(highest.get(patient, 0), float(chance))
        truth[patient] = truth.get(patient, False) or label == "malignant"
    ill = [highest[patient] for patient in highest if truth[patient]]
    well = [highest[patient] for patient in highest if not truth[patient]]
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in ill for b in well])
    assert result["metrics"]["per_patient_by_max"]["auc"]["value"] == pytest.approx(expected)


def test_patients_of_one_class_are_refused_by_its_name() -> None:
    """Each patient has a benign and a malignant exam, so that all patients are malignant."""
    from gazekit.measures.units import pooled_metrics

    names = SimpleNamespace(
        classes=("benign", "malignant"),
        exam_ids=list("abcd"),
        patient_ids=list("ppqq"),
        labels=np.array([0, 1, 0, 1]),
    )
    found = SimpleNamespace(indices=np.arange(4), probabilities=np.full((4, 2), 0.5), threshold=0.5)
    with pytest.raises(DataError, match=r"all 2 patients are of the class 'malignant', .*; leave out --per$"):
        pooled_metrics(names, found, "patient", "mean")  # type: ignore[arg-type]


def test_a_maximum_of_several_classes_is_refused() -> None:
    from gazekit.measures.units import pooled_metrics

    class ThreeClasses:
        classes = ("a", "b", "c")

    with pytest.raises(ConfigurationError, match="a maximum over exams needs two classes, and there are 3"):
        pooled_metrics(ThreeClasses(), None, "patient", "max")  # type: ignore[arg-type]
