"""A stranger with pydicom, PIL and a CSV reader can read the phantom's files."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from gazekit_datasets.folder import Folder
from gazekit_datasets.gaze_readers.plain import Plain
from gazekit_datasets.mammography.phantom import Phantom, files, writing
from gazekit_datasets.mammography.phantom.drawing import draw_scene
from gazekit_datasets.mammography.phantom.geometry import image_shape
from gazekit_datasets.mammography.phantom.render import render
from gazekit_datasets.mammography.phantom.scene import generator
from PIL import Image

import gazekit
from gazekit.errors import ConfigurationError, DataError, StorageError
from gazekit.reading.image import read_image

EXAMS = 16
VIEWS = ("cc", "mlo")


def silent(done: int, total: int) -> None:
    pass


def die(*_: object) -> None:
    os._exit(9)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def rows(root: Path) -> list[dict[str, str]]:
    with (root / "exams.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    Phantom(image_height=128, without_gaze=0.3).generate(root, exams=EXAMS, seed=5, progress=silent)
    return root


def test_same_seed_writes_the_same_bytes_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    phantom = Phantom(image_height=128, without_gaze=0.3)
    phantom.generate(tmp_path / "again", exams=EXAMS, seed=5, progress=silent)
    phantom.generate(tmp_path / "other", exams=2, seed=6, progress=silent)
    assert contents(tmp_path / "again") == contents(root)
    first = next(phantom.exams(root)).images["cc"]
    other = next(phantom.exams(tmp_path / "other")).images["cc"]
    assert first.read_bytes() != other.read_bytes()


def test_fewer_exams_are_the_first_of_more(root: Path, tmp_path: Path) -> None:
    Phantom(image_height=128, without_gaze=0.3).generate(tmp_path, exams=5, seed=5, progress=silent)
    few, many = contents(tmp_path), contents(root)
    table = few.pop("exams.csv")
    assert many["exams.csv"].startswith(table)
    assert all(many[name] == content for name, content in few.items())


def test_processes_write_the_same_bytes_as_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WORTH_A_POOL", 0)
    monkeypatch.setattr(writing, "available_cores", lambda: 2)
    seen: list[tuple[int, int]] = []
    phantom = Phantom(image_height=128, without_gaze=0.3)
    phantom.generate(tmp_path, exams=EXAMS, seed=5, progress=lambda done, total: seen.append((done, total)))
    assert contents(tmp_path) == contents(root)
    assert seen == [(done, EXAMS) for done in range(EXAMS + 1)]


@pytest.mark.parametrize("view", VIEWS)
def test_dicom_says_what_the_scene_is(root: Path, view: str) -> None:
    codes = {"cc": "399162004", "mlo": "399368009"}
    photometric, bits = set(), set()
    for row in rows(root):
        dataset = pydicom.dcmread(root / row[view])
        assert dataset.SOPClassUID.name == "Digital Mammography X-Ray Image Storage - For Presentation"
        assert (dataset.Modality, dataset.ViewPosition) == ("MG", view.upper())
        assert dataset.ViewCodeSequence[0].CodeValue == codes[view]
        assert dataset.ImageLaterality == row["exam_id"][-1]
        assert dataset.PatientID == row["patient_id"]
        assert dataset.BurnedInAnnotation == "NO"
        assert dataset.PatientOrientation[0] == ("A" if dataset.ImageLaterality == "L" else "P")
        assert float(dataset.ImagerPixelSpacing[0]) * dataset.Rows == pytest.approx(233.0, abs=0.01)
        stored = dataset.pixel_array
        assert stored.dtype == np.uint16
        assert stored.max() < 2**dataset.BitsStored
        photometric.add(dataset.PhotometricInterpretation)
        bits.add(dataset.BitsStored)
    assert photometric == {"MONOCHROME1", "MONOCHROME2"}
    assert bits == {12, 14}


def test_instances_have_identifiers_of_their_own_and_patients_share_a_study(root: Path) -> None:
    datasets = [pydicom.dcmread(root / row[view]) for row in rows(root) for view in VIEWS]
    assert len({d.SOPInstanceUID for d in datasets}) == 2 * EXAMS
    assert len({d.SeriesInstanceUID for d in datasets}) == EXAMS
    assert len({(d.PatientID, d.StudyInstanceUID) for d in datasets}) == len({d.PatientID for d in datasets})


def test_air_is_black_and_the_chest_wall_lies_on_its_side(root: Path) -> None:
    for exam in Phantom().exams(root):
        for view in VIEWS:
            image = read_image(exam.images[view])
            nipple_side = image.pixels[:, ::-1] if image.laterality == "L" else image.pixels
            assert not nipple_side[:, :4].any()  # exactly 0: air in front of the nipple
            assert (nipple_side[:, -1] > 0).mean() > 0.5  # tissue along most of the chest wall
            assert 0.15 < (image.pixels > 0).mean() < 0.8


def test_what_is_displayed_is_what_was_drawn(root: Path) -> None:
    """Through window, bit depth and MONOCHROME1 back to the brightness, to half a step of the stored bits."""
    options = Phantom(image_height=128, without_gaze=0.3).settings
    for index, exam in enumerate(Phantom().exams(root)):
        scene = draw_scene(options, 5, index)
        rng = generator(5, index, "tissue mlo")
        drawn, _ = render(scene, "mlo", image_shape(128), difficulty=0.5, rng=rng)
        pixels = read_image(exam.images["mlo"]).pixels
        np.testing.assert_allclose(pixels, drawn, atol=0.51 / (2**scene.bits - 1) + 1e-6)


def test_masks_are_of_the_image_and_lie_in_the_breast(root: Path) -> None:
    for exam in Phantom().exams(root):
        for view in VIEWS:
            mask = np.asarray(Image.open(exam.masks[view][0].path))
            pixels = read_image(exam.images[view]).pixels
            assert mask.dtype == np.uint8
            assert set(np.unique(mask)) == {0, 255}
            assert mask.shape == pixels.shape
            assert (pixels[mask > 0] > 0).all()


def test_table_is_what_the_files_are(root: Path) -> None:
    exams = list(Phantom().exams(root))
    assert exams == list(Folder(gaze_reader="plain", classes=("benign", "malignant")).exams(root))
    recorded = 0
    for exam in exams:
        assert set(exam.images) == set(exam.masks) == set(VIEWS)
        for view, path in exam.gaze.items():
            (recording,) = Plain().read(path)
            assert (recording.exam_id, recording.view) == (exam.exam_id, view)
        recorded += bool(exam.gaze)
    named = {p.relative_to(root).as_posix() for p in root.rglob("*.*") if p.parent != root}
    assert named == {row[column] for row in rows(root) for column in files.COLUMNS[3:]} - {""}
    assert 0 < recorded < EXAMS


def test_a_kept_folder_is_completed_and_finished_files_are_not_touched(tmp_path: Path) -> None:
    phantom = Phantom(image_height=64)
    phantom.generate(tmp_path, exams=4, seed=1, progress=silent)
    whole = contents(tmp_path)
    lost = next(phantom.exams(tmp_path)).images["mlo"]
    lost.unlink()
    (tmp_path / "exams.csv").unlink()
    with pytest.raises(DataError, match=r"exams\.csv.*complete phantom"):
        next(phantom.exams(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").iterdir()}
    phantom.generate(tmp_path, exams=4, seed=1, progress=silent)
    assert contents(tmp_path) == whole
    exam = lost.name.removesuffix("_mlo.dcm")
    assert all(path.stat().st_mtime_ns == t for path, t in before.items() if not path.name.startswith(exam))


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="is not empty and holds no phantom"):
        Phantom(image_height=64).generate(tmp_path, exams=1, seed=0, progress=silent)
    with pytest.raises(DataError, match="is a file"):
        Phantom(image_height=64).generate(tmp_path / "thesis.txt", exams=1, seed=0, progress=silent)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_phantom_of_other_options_or_another_seed_is_refused(tmp_path: Path) -> None:
    Phantom(image_height=64).generate(tmp_path, exams=1, seed=0, progress=silent)
    for phantom, seed in ((Phantom(image_height=64, contrast=1.5), 0), (Phantom(image_height=64), 1)):
        with pytest.raises(DataError, match="another seed or of other options"):
            phantom.generate(tmp_path, exams=1, seed=seed, progress=silent)
    assert json.loads((tmp_path / "phantom.json").read_text())["options"]["contrast"] == 1.25


@pytest.mark.parametrize(("exams", "seed"), [(0, 0), (1, -1)])
def test_numbers_without_sense_are_refused(tmp_path: Path, exams: int, seed: int) -> None:
    with pytest.raises(DataError, match="expected exams >= 1 and seed >= 0"):
        Phantom().generate(tmp_path / "new", exams=exams, seed=seed, progress=silent)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_one_line_and_leaves_no_torn_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if "masks" in self.parts:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match=r"masks.*No space left on device"):
        Phantom(image_height=64).generate(tmp_path, exams=1, seed=0, progress=silent)
    assert not list(tmp_path.glob("masks/*"))
    assert not (tmp_path / "exams.csv").exists()


def test_a_killed_process_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WORTH_A_POOL", 0)
    monkeypatch.setattr(writing, "available_cores", lambda: 2)
    monkeypatch.setattr(writing, "write_exam", die)
    with pytest.raises(StorageError, match=r"killed.*run again"):
        Phantom(image_height=64).generate(tmp_path, exams=2, seed=0, progress=silent)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image_height", 32),
        ("difficulty", 1.1),
        ("contrast", -0.1),
        ("lesion_size", (0.1, 0.5)),
        ("lesion_size", (0.12, 0.08)),
        ("gaze_quality", 2.0),
        ("without_gaze", -0.1),
        ("calcifications", 1.5),
        ("unmatched", 1.1),
        ("look_alike_contrast", -1.0),
        ("findings", (0, 1)),
        ("findings", (3, 2)),
        ("readers", 0),
        ("reader_spread", -0.1),
        ("disagreement", 1.1),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Phantom(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=option):
        gazekit.load_registry().create("dataset", "phantom", **{option: value})
