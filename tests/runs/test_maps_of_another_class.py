"""Where gaze aligned the map of the true class, the maps of the positive class are measured in each class by itself."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gazekit.measures.evaluate import evaluate
from gazekit.measures.gaze.agreement import nss
from gazekit.measures.gaze.looked_at import LookedAt
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.runs.evaluation import evaluate_run
from gazekit.runs.explain_check.check import check_explanations
from gazekit.runs.explain_check.checked_maps import ExplainCheckSettings
from gazekit.runs.explain_check.words import find
from gazekit.runs.trained import Trained, open_trained
from gazekit.study.results.pooling import read_run


@pytest.fixture
def label_run(tiny_run: Path, tmp_path: Path, registry: Registry) -> Trained:
    """A copy of the run, as if its gaze had aligned the maps of the true class."""
    copy = shutil.copytree(tiny_run, tmp_path / "run")
    (copy / "checksums.json").unlink()
    preset = (copy / "preset.toml").read_text()
    assert 'target = "positive"' in preset
    (copy / "preset.toml").write_text(preset.replace('target = "positive"', 'target = "label"'))
    return open_trained(copy, registry, torch.device("cpu"))


def nss_of_class(run: Trained, dataset: PreparedDataset, label: int) -> float:
    """Mean NSS of the exams of a class, an exam's views averaged, by a slow loop."""
    found = run.predict(dataset, "all")
    looked = LookedAt.of(dataset, found.indices.tolist(), found.attention)
    exams = []
    for row, exam in enumerate(found.indices.tolist()):
        views = [
            np.mean([nss(maps[row], own, dataset.size) for own in points.values()])
            for view, maps in found.attention.items()
            if dataset.labels[exam] == label and (points := looked.points(exam, view))
        ]
        exams += [np.mean(views)] if views else []
    return float(np.mean(exams))


def test_evaluation_measures_each_class_and_says_why(label_run: Trained, dataset: PreparedDataset) -> None:
    measured = evaluate_run(label_run, dataset, "all")
    for label, name in enumerate(dataset.classes):
        of_class = measured["metrics"][f"in_{name}"]
        assert of_class["nss"]["value"] == pytest.approx(nss_of_class(label_run, dataset, label), rel=1e-6)
        assert of_class["nss"]["low"] < of_class["nss"]["value"] < of_class["nss"]["high"]
        assert {*of_class} == {*measured["metrics"]["gaze_agreement"], *measured["metrics"]["localisation"]}
    [said] = [sentence for sentence in measured["limits"] if "gaze.target = label" in sentence]
    assert f"in exams of {dataset.classes[0]} the training asked for the opposite" in said


def test_where_positive_exams_alone_have_gaze_and_masks_nothing_is_mixed(
    label_run: Trained, dataset: PreparedDataset
) -> None:
    """As in data whose readers' gaze, or lesions, are of the positive exams."""
    positive = (dataset.labels == 1)[:, None]
    alone = replace(dataset, has_gaze=dataset.has_gaze & positive, has_mask=dataset.has_mask & positive)
    measured = evaluate(alone, label_run.predict(alone, "all"), by_class=True)
    assert "gaze_agreement" in measured and not any(group.startswith("in_") for group in measured)


def test_a_run_that_aligned_the_positive_class_is_measured_as_a_whole(
    tiny_run: Path, label_run: Trained, dataset: PreparedDataset, registry: Registry
) -> None:
    positive = open_trained(tiny_run, registry, torch.device("cpu"))
    assert label_run.explains_another
    assert not positive.explains_another
    groups = evaluate(dataset, positive.predict(dataset, "all"))
    assert not any(group.startswith("in_") for group in groups)


def test_checks_count_the_exams_whose_map_gaze_aligned(label_run: Trained, dataset: PreparedDataset) -> None:
    settings = ExplainCheckSettings(draws=1, steps=2, fill="blur", exams=100)
    checked = check_explanations(label_run, dataset, "all", settings)
    row = find(checked.rows, "gaze", "trained", "nss")
    assert row is not None and row.value == pytest.approx(nss_of_class(label_run, dataset, 1), rel=1e-6)
    assert any("counts the exams of malignant alone" in sentence for sentence in checked.statements)


def test_a_study_reads_that_a_run_has_maps_of_another_class(
    tiny_run: Path, label_run: Trained, dataset: PreparedDataset
) -> None:
    measured = evaluate_run(label_run, dataset, "test")
    record = read_run(label_run.run.path)
    assert record.explains_another
    assert record.metrics["nss"] == pytest.approx(measured["metrics"]["gaze_agreement"]["nss"]["value"])
