"""The page of a run says what became of the exams: refused, prepared, in each part."""

from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder

from gazekit.prepared.dataset import PreparedDataset
from gazekit.reporting.run.exam_flow import exam_flow


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of 12 exams, of which three cannot be read, two for the same reason."""
    folder = tmp_path_factory.mktemp("flow")
    raw = make_folder(folder / "raw", exams=12, seed=3)
    first, second, third = sorted(path for path in raw.rglob("*cc*.png") if "mask" not in str(path))[:3]
    first.write_text("no image")
    second.write_text("no image")
    third.unlink()
    gazekit("data", "prepare", "folder", raw, folder / "set", "--size", 16, "--crop", "none", "--jobs", 1)
    return folder / "set"


def test_exams_are_counted_from_the_source_to_the_parts(damaged: Path) -> None:
    dataset = PreparedDataset.open(damaged)
    split = {exam: ("train", "val", "test")[row % 3] for row, exam in enumerate(dataset.exam_ids)}
    found = exam_flow(dataset, split)
    assert found["read"] == "12 exams"
    assert found["refused"].startswith("3: 2 × ") and ", 1 × " in found["refused"]
    assert found["prepared"].startswith(f"9 exams of {len(set(dataset.patient_ids))} patients (")
    rows = np.arange(9) % 3 == 1
    patients = len({patient for patient, own in zip(dataset.patient_ids, rows, strict=True) if own})
    benign = int((dataset.labels[rows] == 0).sum())
    without = int((~dataset.has_gaze[rows].any(axis=1)).sum())
    words = f"{patients} patients" if patients > 1 else "1 patient"
    assert found["to validate"] == (
        f"3 exams of {words} ({benign} benign, {3 - benign} malignant), {without} without gaze"
    )
    assert list(exam_flow(dataset, None)) == ["read", "refused", "prepared"]
