"""CBIS-DDSM: the counts of the real tables, and a miniature set in every layout, with its faults."""

import csv
from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.mammography.cbis_ddsm import CbisDdsm
from made_cbis import BOX, LESIONS, Lesion, uid, write_images, write_tables
from made_mammography import write_mammogram
from made_preparation import prepare, validate
from pydicom import dcmread

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reading.lesion_masks import lesion_mask
from gazekit.records.exam import Exam, Finding
from gazekit.records.lesions import MaskFile

REAL = Path(__file__).parents[4] / "shared" / "data" / "cbis_ddsm_csv"
needs_real_tables = pytest.mark.skipif(not REAL.is_dir(), reason="needs the real case descriptions")
LAYOUTS = ("new", "old", "jpeg")


def read(root, **options):
    found = list(CbisDdsm(**options).exams(root))
    exams = {each.exam_id: each for each in found if isinstance(each, Exam)}
    return exams, [each for each in found if isinstance(each, Finding)]


def number(findings, sentence):
    return sum(sentence in each.what for each in findings)


def miniature(root, layout="new", lesions=LESIONS, **how):
    write_tables(root, lesions)
    write_images(root, lesions, layout, **how)
    return root


@needs_real_tables
def test_the_masses_of_the_real_tables_are_counted_as_published():
    found = validate(CbisDdsm(subset="mass"), REAL, read_images=False)
    assert (found.whole.patients, found.whole.exams) == (892, 932)
    assert found.whole.views == {"cc + mlo": 660, "mlo": 189, "cc": 83}
    assert {part: found.parts[part].views["cc + mlo"] for part in found.parts} == {"train": 509, "test": 151}
    noticed = {each.what: len(each.about) for each in found.noticed}
    assert noticed["image with several findings: one mask holds all"] == 71
    assert noticed["image with benign and malignant findings"] == 8
    assert noticed["breast with benign and malignant findings: it is malignant"] == 5
    assert (found.images, len(found.missing)) == (1592, 1592)
    assert found.two_sided == ()


@needs_real_tables
def test_masses_and_calcifications_together_leak_until_mended():
    found = validate(CbisDdsm(), REAL, read_images=False)
    assert (found.whole.patients, sum(found.datasets.values())) == (1566, found.whole.exams)
    noticed = {each.what: len(each.about) for each in found.noticed}
    assert noticed["patient on both sides of the official split"] == 31
    assert len(found.two_sided) + noticed["breast on both sides of the official split: it goes to test"] >= 31
    mended = validate(CbisDdsm(split="patient"), REAL, read_images=False)
    assert mended.two_sided == ()
    assert {what: n for what, n in _noticed(mended).items() if "all its exams go to test" in what} == {
        "patient on both sides of the official split: all its exams go to test": 31
    }
    by_mass = validate(CbisDdsm(task="mass"), REAL, read_images=False)
    assert by_mass.whole.classes == {"no_mass": by_mass.whole.exams - 932, "mass": 932}
    assert validate(CbisDdsm(split="none"), REAL, read_images=False).parts == {}


def _noticed(validation):
    return {each.what: len(each.about) for each in validation.noticed}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_miniature_set_is_prepared_from_every_layout(tmp_path, layout):
    root = miniature(tmp_path / "raw", layout)
    summary = prepare(CbisDdsm(), root, tmp_path / "out", size=(32, 24), jobs=0)
    (refused,) = summary.refused
    assert refused.key == "P_00005_L" and "missing view cc" in refused.reason
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.exam_ids == ("P_00001_L", "P_00002_R", "P_00003_L", "P_00004_R")
    assert dataset.labels.tolist() == [1, 0, 1, 0]
    assert dataset.parts == ("train", "train", "test", "test")
    assert dataset.datasets == ("mass", "mass", "calc+mass", "calc")
    assert dataset.has_mask.all()
    assert [dataset.geometry[i]["cc"].flip for i in range(4)] == [False, True, False, True]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_told_from_crops_by_content(tmp_path, layout):
    exams, findings = read(miniature(tmp_path, layout))
    lesions = exams["P_00001_L"].masks["cc"]
    assert len(lesions) == 2
    mask = lesion_mask(lesions, (64, 48))
    expected = np.zeros((64, 48), dtype=bool)
    expected[BOX] = True
    assert (mask != expected).mean() < 0.002
    assert number(findings, "its view has no mask") == 0


def test_metadata_csv_finds_series_in_folders_of_any_name(tmp_path):
    root = miniature(tmp_path / "raw")
    rows = []
    for position, folder in enumerate(sorted({path.parent for path in root.rglob("*.dcm")})):
        subject = folder.parent.parent.name
        moved = root / "manifest" / f"s{position}"
        moved.parent.mkdir(exist_ok=True)
        folder.rename(moved)
        rows.append([uid(subject, "series"), subject, f".\\manifest\\s{position}"])
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Series UID", "Subject ID", "File Location"], *rows])
    exams, findings = read(root)
    assert len(exams) == 5 and number(findings, "not there") == 0
    (root / "metadata.csv").write_text("Series UID\n1.2.3\n")
    assert number(read(root)[1], "unreadable: series are found by the names of their folders") == 1


def test_a_mask_of_another_size_is_left_out_or_stretched_and_said(tmp_path):
    root = miniature(tmp_path, mask_shape=(60, 44))
    exams, findings = read(root)
    assert not any(exam.masks for exam in exams.values())
    assert number(findings, "mask of another size than its image: its view has no mask") == 12
    exams, findings = read(root, mismatched_masks="resize")
    assert all(
        isinstance(each, MaskFile) and each.resize
        for e in exams.values()
        for v in e.masks.values()
        for each in v
    )
    assert number(findings, "mask of another size: stretched") == 12


def test_a_mask_with_the_window_of_its_mammogram_is_told_from_its_crop(tmp_path):
    root = miniature(tmp_path, mask_shape=(60, 44))
    for path in root.rglob("*.dcm"):
        dataset = dcmread(path)
        dataset.WindowCenter, dataset.WindowWidth = 100, 1000
        dataset.save_as(path)
    exams, findings = read(root, mismatched_masks="resize")
    assert number(findings, "mask of another size: stretched") == 12
    assert lesion_mask(exams["P_00001_L"].masks["mlo"], (60, 44)).sum() == 100


def test_one_lost_mask_takes_the_others_of_its_view_along(tmp_path):
    root = miniature(tmp_path)
    for path in (root / "Mass-Training_P_00001_LEFT_CC_2").rglob("*.dcm"):
        path.unlink()
    exams, findings = read(root)
    assert "cc" not in exams["P_00001_L"].masks and "mlo" in exams["P_00001_L"].masks
    assert (
        Finding("missing", "Mass-Training_P_00001_LEFT_CC_2", "mask file not there: its view has no mask")
        in findings
    )


def test_the_split_official_mended_or_none(tmp_path):
    lesions = [*LESIONS, *(Lesion("P_00003", "RIGHT", view, kind="calc") for view in ("CC", "MLO"))]
    root = miniature(tmp_path, lesions=lesions)
    exams, findings = read(root)
    assert (exams["P_00003_L"].part, exams["P_00003_R"].part) == ("test", "train")
    assert number(findings, "patient on both sides of the official split") == 1
    exams, _ = read(root, split="patient")
    assert (exams["P_00003_L"].part, exams["P_00003_R"].part) == ("test", "test")
    assert {exam.part for exam in read(root, split="none")[0].values()} == {None}


def test_the_tasks(tmp_path):
    root = miniature(tmp_path)
    labels = {name: exam.label for name, exam in read(root)[0].items()}
    assert labels == {
        **{"P_00001_L": "malignant", "P_00002_R": "benign", "P_00003_L": "malignant"},
        **{"P_00004_R": "benign", "P_00005_L": "malignant"},
    }
    labels = {name: exam.label for name, exam in read(root, task="mass")[0].items()}
    assert [labels[f"P_0000{i}_{s}"] for i, s in ((1, "L"), (3, "L"), (4, "R"))] == [
        "mass",
        "mass",
        "no_mass",
    ]
    assert set(read(root, subset="calc")[0]) == {"P_00003_L", "P_00004_R", "P_00005_L"}
    with pytest.raises(ConfigurationError, match="task 'mass' has one class in the subset 'calc'"):
        CbisDdsm(task="mass", subset="calc")


def change(name, old, new):
    def apply(root):
        path = root / name
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))

    return apply


MASSES = "mass_case_description_train_set.csv"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda root: (root / MASSES).unlink(), f"expected one {MASSES} .* there is none"),
        (
            lambda root: write_tables(root / "copy", LESIONS),
            f"expected one {MASSES} .* there is mass.* and copy/mass",
        ),
        (lambda root: (root / MASSES).write_bytes(b""), "the first row is empty"),
        (lambda root: (root / MASSES).write_bytes(b"\x00\x01"), "not text"),
        (change(MASSES, b"pathology", b"diagnosis"), "no column pathology"),
        (change(MASSES, b"image view", b"patient_id"), "column 'patient_id' comes twice"),
        (change(MASSES, b"MALIGNANT", b"DUBIOUS"), "row .*: pathology is 'DUBIOUS'; expected MALIGNANT"),
        (change(MASSES, b"MALIGNANT", b""), "row .*: pathology is ''"),
        (
            change(MASSES, b"P_00001,3,LEFT", b"P_00001,3,BOTH"),
            "left or right breast is 'BOTH'; expected LEFT, RIGHT",
        ),
        (change(MASSES, b"LEFT,CC,1", b"LEFT,ML,1"), "image view is 'ML'; expected CC, MLO"),
        (change(MASSES, b"P_00001,3", b",3"), "patient_id is empty"),
        (change(MASSES, b"CC,2,mass", b"CC,1,mass"), "cropped image file path is .*_CC_2"),
        (
            change(MASSES, b"P_00001_LEFT_CC/1.3.6", b"P_00001_LEFT_CC/x"),
            "image file path is .*unique identifiers",
        ),
        (change(MASSES, b"/000000.dcm", b""), "image file path is"),
        (change(MASSES, b"Mass-Training_P_00001_LEFT_CC/", b"../../etc/"), "image file path is"),
        (change(MASSES, b"P_00001,3,", b'"P_00001,3,'), "not a row of a text table|cells; expected"),
        (change(MASSES, b",3,LEFT", b",LEFT"), "13 cells; expected 14"),
        (lambda root: (root / MASSES).write_bytes((root / MASSES).read_bytes()[:400]), "row"),
        (
            lambda root: (root / MASSES).write_bytes((root / MASSES).read_bytes().split(b"\r\n")[0]),
            "no rows below",
        ),
        (lambda root: append_first_row_again(root / MASSES), "abnormality .* comes again"),
    ],
)
def test_faults_of_the_tables_are_one_clear_line(tmp_path, fault, message):
    write_tables(tmp_path, LESIONS)
    fault(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def append_first_row_again(path):
    header, first, *rest = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([header, first, *rest[:-1], first, b""]))


@pytest.mark.parametrize("content", [b"", b"not a picture", bytes(200)])
def test_damaged_images_and_masks_are_findings_or_refused(tmp_path, content):
    root = miniature(tmp_path / "raw")
    full, mask = (
        next((root / subject).rglob("1-1.dcm"))
        for subject in ("Mass-Training_P_00002_RIGHT_CC", "Mass-Training_P_00002_RIGHT_MLO_1")
    )
    full.write_bytes(content)
    mask.write_bytes(content)
    exams, findings = read(root)
    assert exams["P_00002_R"].masks == {}
    assert number(findings, "head of the image unreadable: no masks for it") == 1
    assert number(findings, "mask unreadable: its view has no mask") == 1
    summary = prepare(CbisDdsm(), root, tmp_path / "out", size=(32, 24), jobs=0)
    assert "P_00002_R" in [each.key for each in summary.refused]
    assert summary.exams == 3


def test_two_files_of_one_series_and_a_set_without_images(tmp_path):
    root = miniature(tmp_path)
    full = next((root / "Mass-Training_P_00002_RIGHT_CC").rglob("1-1.dcm"))
    write_mammogram(full.with_name("1-2.dcm"), side="R")
    assert (
        Finding("note", "Mass-Training_P_00002_RIGHT_CC", "image with several files: the first is taken")
        in read(root)[1]
    )
    full.unlink()
    full.with_name("1-2.dcm").unlink()
    exams, findings = read(root)
    assert "cc" in exams["P_00002_R"].images and number(findings, "image file not there") == 1
