"""Attention as DICOM: valid by an independent validator, in the place where it was, silent about the patient."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from command_line import gazekit
from made_mammography import view_sequence, write_mammogram

from gazekit.data.geometry import Geometry
from gazekit.dicom_out.projection import on_raw_image

highdicom = pytest.importorskip("highdicom")
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "P-77",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20200102",
    "StudyTime": "101112",
    "AccessionNumber": "ACC-9",
    "StudyID": "S-1",
    "ReferringPhysicianName": "Roe^Richard",
}


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.evaluation.raw.available_cores", lambda: 0)


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("mammograms")
    return [
        write_mammogram(
            folder / view,
            side="R",
            seed=number,
            ImageLaterality="R",
            PatientOrientation=["P", "L"] if view == "CC" else ["P", "FL"],
            ViewCodeSequence=view_sequence(view),
            ImagerPixelSpacing=[0.07, 0.07],
            StudyInstanceUID="1.2.3",
            SeriesInstanceUID=f"1.2.3.{number}",
            Modality="MG",
            **PATIENT,
        )
        for number, view in enumerate(("CC", "MLO"))
    ]


def write(run: Path, mammograms: list[Path], out: Path, *options: str) -> dict[str, pydicom.Dataset]:
    gazekit("predict", run, *mammograms, "--dicom-out", out, *options)
    found = {path.name: pydicom.dcmread(path) for path in sorted(out.iterdir())}
    assert list(found) == [
        f"exam-0001_{v}_{kind}.dcm" for v in ("cc", "mlo") for kind in ("capture", "segmentation")
    ]
    return found


def test_objects_refer_to_their_image_and_say_nothing_of_the_patient_unless_asked(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    sources = {"cc": pydicom.dcmread(mammograms[0]), "mlo": pydicom.dcmread(mammograms[1])}
    for copied in (False, True):
        options = ["--copy-patient"] if copied else []
        for name, made in write(tiny_run, mammograms, tmp_path / str(copied), *options).items():
            source = sources[name.split("_")[1]]
            assert made.StudyInstanceUID == source.StudyInstanceUID
            assert made.SeriesInstanceUID != source.SeriesInstanceUID
            reference = (
                made.get("SourceImageSequence") or made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
            )
            assert reference[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
            for field, value in PATIENT.items():
                assert str(made.get(field) or "") == (value if copied else ""), field
            if not copied:
                text = (tmp_path / str(copied) / name).read_bytes()
                assert not [value for value in PATIENT.values() if len(value) > 1 and value.encode() in text]


def test_the_segmentation_has_the_pixels_of_the_image_and_the_capture_its_looks(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    made = write(tiny_run, mammograms, tmp_path / "d")
    segmentation, capture = made["exam-0001_cc_segmentation.dcm"], made["exam-0001_cc_capture.dcm"]
    assert (
        segmentation.SegmentationType == "FRACTIONAL"
        and segmentation.SegmentationFractionalType == "PROBABILITY"
    )
    values = np.squeeze(segmentation.pixel_array)
    source = pydicom.dcmread(mammograms[0])
    assert (
        values.shape == (source.Rows, source.Columns) and values.max() == segmentation.MaximumFractionalValue
    )
    picture = capture.pixel_array.astype(int)
    assert picture.shape == (*values.shape, 3)
    coloured = np.ptp(picture, axis=2) > 0
    assert coloured[values > 100].mean() > 0.95, "what is attended to is coloured"
    assert not coloured[values == 0].any(), "the rest is grey"


def test_attention_lands_where_it_came_from() -> None:
    attention = np.zeros((8, 8), dtype=np.float32)
    attention[2, 5] = 1
    geometry = Geometry.fit((10, 20, 90, 120), (64, 64), flip=True, keep_left=True)
    placed = on_raw_image(attention, geometry, (130, 100), (130, 100))
    row, column = np.unravel_index(placed.argmax(), placed.shape)
    x, y = geometry.inverse(np.array([5.5 * 8]), np.array([2.5 * 8]))
    assert abs(column + 0.5 - x[0]) <= 1 and abs(row + 0.5 - y[0]) <= 1
    outside = np.ones(placed.shape, dtype=bool)
    outside[20:120, 10:90] = False
    assert not placed[outside].any()
    everywhere = on_raw_image(np.ones((8, 8), dtype=np.float32), geometry, (130, 100), (65, 50))
    np.testing.assert_allclose(everywhere[10:60, 5:45], 1)


@pytest.mark.skipif(
    not shutil.which("dciodvfy"), reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize("options", [[], ["--copy-patient"]])
def test_an_independent_validator_finds_no_error(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, options: list[str]
) -> None:
    write(tiny_run, mammograms, tmp_path / "d", *options)
    for path in (tmp_path / "d").iterdir():
        finished = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in finished.stdout + finished.stderr, path.name
        assert (
            "Segmentation" if "segmentation" in path.name else "SCImage"
        ) in finished.stderr + finished.stdout


def test_a_file_without_identifiers_and_a_missing_extra_are_said(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gazekit.dicom_out.secondary_capture", None)
    finished = gazekit("predict", tiny_run, *mammograms, "--dicom-out", tmp_path / "d", code=2)
    assert "pip install 'gazekit[dicom]'" in finished.stderr
