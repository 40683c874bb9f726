"""VinDr-Mammo: a miniature download in the exact layout, and downloads that are damaged."""

import numpy as np
import pytest
from gazekit_datasets.mammography.vindr_mammo import VinDrMammo
from made_mammography import make_vindr_mammo, vindr_images
from made_preparation import prepare

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.exam import Exam, Finding

FIRST, SECOND, THIRD = ("0" * 31 + number for number in "123")
BREASTS, BOXES = "breast-level_annotations.csv", "finding_annotations.csv"


@pytest.fixture
def root(tmp_path):
    return make_vindr_mammo(tmp_path / "vindr-mammo")


def listed(root, **options):
    every = list(VinDrMammo(**options).exams(root))
    exams = {each.exam_id: each for each in every if isinstance(each, Exam)}
    return exams, [(each.kind, each.about, each.what) for each in every if isinstance(each, Finding)]


def test_breasts_with_category_label_and_official_split(root):
    exams, findings = listed(root)
    assert {name: (exam.label, exam.part) for name, exam in exams.items()} == {
        f"{FIRST}_L": ("benign", "train"),
        f"{FIRST}_R": ("malignant", "train"),
        f"{SECOND}_L": ("benign", "train"),
        f"{THIRD}_L": ("malignant", "test"),
        f"{THIRD}_R": ("benign", "test"),
    }
    assert exams[f"{FIRST}_R"].patient_id == FIRST
    assert exams[f"{FIRST}_R"].images["cc"] == root / "images" / FIRST / f"{'1rcc'.rjust(32, '0')}.dicom"
    assert findings == [("dropped", f"{SECOND}_R", "exam left out: BI-RADS 3 has no class")]


def test_visits_of_four_views_and_categories_as_classes(root):
    exams, findings = listed(root, unit="visit", labels="birads")
    assert tuple(VinDrMammo(labels="birads").classes) == ("1", "2", "3", "4", "5")
    assert {name: exam.label for name, exam in exams.items()} == {FIRST: "4", SECOND: "3", THIRD: "5"}
    assert all(list(exam.images) == ["l_cc", "l_mlo", "r_cc", "r_mlo"] for exam in exams.values())
    assert list(exams[FIRST].masks) == ["r_cc", "r_mlo"]
    assert findings == []
    assert listed(root, birads3="malignant")[0][f"{SECOND}_R"].label == "malignant"
    with pytest.raises(ConfigurationError, match="birads3 is 'malignant', but with labels 'birads'"):
        VinDrMammo(labels="birads", birads3="malignant")


def test_a_prepared_set_has_the_boxes_and_the_split(root, tmp_path):
    out = tmp_path / "prepared"
    prepare(VinDrMammo(), root, out, size=(64, 48), crop="none", jobs=0)
    data = PreparedDataset.open(out)
    assert data.labels.tolist() == [0, 1, 0, 1, 0]
    assert data.parts == ("train", "train", "train", "test", "test")
    assert data.has_mask.tolist() == [[0, 0], [1, 1], [0, 0], [1, 1], [0, 0]]
    expected = np.zeros((64, 48), dtype=bool)
    left, right = data.masks[3, 0] > 0, data.masks[1, 0] > 0
    assert 100 <= left.sum() <= 110
    rows, columns = np.nonzero(left)
    assert (rows.min(), rows.max()) == (20, 29)
    assert columns.min() in (10, 11) and columns.max() in (19, 20)
    np.testing.assert_array_equal(right, left[:, ::-1])
    assert expected.shape == left.shape
    assert data.images[:, :, :, -8:].max() == 0 < data.images[:, :, :, :8].mean()


def test_what_is_missing_is_said(root):
    (root / BOXES).unlink()
    study, image, *_ = vindr_images()[0]
    path = root / "images" / study / f"{image}.dicom"
    path.rename(path.with_name("unknown.dicom"))
    exams, findings = listed(root)
    assert not any(exam.masks for exam in exams.values())
    assert ("missing", BOXES, "no boxes around findings: no masks") in findings
    assert ("missing", path.name, "image file not there") in findings
    assert ("dropped", "unknown.dicom", f"image without a row in {BREASTS}: not used") in findings


def test_boxes_of_an_unknown_image_are_a_note(root):
    text = (root / BOXES).read_text()
    image = next(image for _, image, *_, birads, _ in vindr_images() if birads == "4")
    (root / BOXES).write_text(text.replace(f",{image},", ",unknown,"))
    exams, findings = listed(root)
    assert ("note", "unknown", f"boxes of an image that {BREASTS} does not list") in findings
    assert list(exams[f"{FIRST}_R"].masks) == ["mlo"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("breast_birads", "birads", "no column breast_birads; the file has study_id"),
        ("series_id", "image_id", "column 'image_id' comes twice"),
        (",L,CC,", ",left,CC,", "row 2: laterality is 'left'; expected L or R"),
        (",L,CC,", ",L,LM,", "row 2: view_position is 'LM'; expected CC or MLO"),
        ("BI-RADS 1", "BI-RADS 0", "row 2: BI-RADS is 'BI-RADS 0'; expected one of 1, 2, 3, 4, 5"),
        ("BI-RADS 1", "BI-RADS 4a", "row 2: BI-RADS is 'BI-RADS 4a'; expected one of"),
        ("BI-RADS 1", "", "row 2: BI-RADS is ''; expected one of"),
        (",training", ",train", "row 2: split is 'train'; expected training or test"),
        (",training", "", "row 2: 9 cells; expected 10"),
        (
            f",{'1lmlo'.rjust(32, '0')},",
            f",{'1lcc'.rjust(32, '0')},",
            "1lcc' comes again, first in row 2; expected it once",
        ),
        (f"\n{FIRST},", "\n../secret,", "row 2: study_id is '../secret'; expected letters and digits"),
        (f"\n{FIRST},", "\n,", "row 2: study_id is ''; expected letters and digits"),
        (f",{'1lcc'.rjust(32, '0')},", ",a/b,", "row 2: image_id is 'a/b'; expected letters and digits"),
    ],
)
def test_damaged_tables_are_one_clear_line(root, old, new, message):
    change(root / BREASTS, old, new)
    with pytest.raises(DataError) as caught:
        listed(root)
    assert str(caught.value).startswith(str(root / BREASTS))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("xmin", "x0", "no column xmin"),
        (
            "10.5,20.0,",
            "30.5,20.0,",
            "the box is (30.5, 20.0, 20.5, 30.0); expected xmin < xmax and ymin < ymax",
        ),
        ("10.5,20.0,", ",20.0,", "the box is (nan, 20.0"),
        ("10.5,20.0,", "ten,20.0,", "xmin is 'ten'; expected a number"),
        ("10.5,20.0,", "1e999,20.0,", "xmin is '1e999'; expected a number"),
        ("\"['Mass']\"", "\"['Mass']", "check its quotes"),
    ],
)
def test_damaged_boxes_are_one_clear_line(root, old, new, message):
    change(root / BOXES, old, new)
    with pytest.raises(DataError) as caught:
        listed(root)
    assert str(caught.value).startswith(str(root / BOXES))
    assert message in str(caught.value)


def change(table, old, new):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))


def test_a_folder_without_the_table(tmp_path):
    with pytest.raises(
        DataError, match=r"annotations\.csv: there is no such file; expected a table of study_id, "
    ):
        listed(tmp_path)
