"""INbreast: a miniature release in the exact layout, and releases that are damaged."""

from collections import Counter

import numpy as np
import pytest
from gazekit_datasets.mammography.inbreast import INbreast
from made_mammography import (
    ANNA,
    BERTA,
    CLARA,
    INBREAST_ROWS,
    make_inbreast,
    write_inbreast_table,
    write_regions,
)
from made_preparation import prepare

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.exam import Exam, Finding


@pytest.fixture
def root(tmp_path):
    return make_inbreast(tmp_path / "INbreast Release 1.0")


def listed(root, **options):
    """Exams by id, and findings as (kind, about, what)."""
    every = list(INbreast(**options).exams(root))
    exams = {each.exam_id: each for each in every if isinstance(each, Exam)}
    return exams, [(each.kind, each.about, each.what) for each in every if isinstance(each, Finding)]


def test_breasts_with_the_labels_of_their_worse_view(root):
    exams, findings = listed(root)
    assert {name: exam.label for name, exam in exams.items()} == {
        f"{ANNA}_L": "benign",
        f"{ANNA}_R": "malignant",
        f"{BERTA}_R": "benign",
        f"{CLARA}_200912_L": "benign",
        f"{CLARA}_201106_L": "malignant",
    }
    assert {exam.patient_id for exam in exams.values()} == {ANNA, BERTA, CLARA}
    assert set(exams[f"{ANNA}_R"].images) == {"cc", "mlo"}
    assert exams[f"{ANNA}_R"].images["mlo"].name == f"20586986_{ANNA}_MG_R_ML_ANON.dcm"
    assert exams[f"{ANNA}_R"].laterality == {"cc": "R", "mlo": "R"}
    assert ("dropped", f"{BERTA}_L", "exam left out: BI-RADS 3 has no class") in findings
    assert ("dropped", "20587194", "view FB: not used") in findings
    assert Counter(kind for kind, *_ in findings) == {"dropped": 2, "note": 3}


def test_the_last_of_a_repeated_view_is_taken_unless_asked_otherwise(root):
    exam = f"{CLARA}_201106_L"
    assert listed(root)[0][exam].images["mlo"].name.startswith("20588242")
    assert listed(root, repeated="first")[0][exam].images["mlo"].name.startswith("20588216")
    exams, findings = listed(root, repeated="drop")
    assert exam not in exams
    assert ("dropped", exam, "exam left out: a view comes twice") in findings


def test_views_of_a_breast_that_disagree_on_its_class(root):
    exam = f"{BERTA}_L"
    assert exam not in listed(root)[0]
    exams, findings = listed(root, birads3="malignant")
    assert exams[exam].label == "malignant"
    assert ("disagrees", exam, "views of a breast disagree: the worse is taken") in findings
    exams, findings = listed(root, birads3="malignant", disagreement="drop")
    assert exam not in exams
    assert ("dropped", exam, "exam left out: its views disagree") in findings
    exams, findings = listed(root, birads3="benign")
    assert exams[exam].label == "benign"
    assert not [each for each in findings if each[0] == "disagrees"]


@pytest.mark.parametrize(
    ("labels", "classes", "found"),
    [
        ("malignancy", ("benign", "malignant"), ["benign", "benign", "benign", "malignant", "malignant"]),
        ("birads", tuple("123456"), ["1", "2", "2", "3", "5", "6"]),
        ("birads_4abc", ("1", "2", "3", "4a", "4b", "4c", "5", "6"), ["1", "2", "2", "3", "5", "6"]),
    ],
)
def test_label_rules(root, labels, classes, found):
    source = INbreast(labels=labels)
    assert tuple(source.classes) == classes
    assert sorted(exam.label for exam in listed(root, labels=labels)[0].values()) == found


def test_subgroups_of_category_4_are_one_class_or_three(root):
    write_inbreast_table(root, [(*row[:5], "4b") for row in INBREAST_ROWS])
    assert {exam.label for exam in listed(root, labels="birads")[0].values()} == {"4"}
    assert {exam.label for exam in listed(root, labels="birads_4abc")[0].values()} == {"4b"}


def test_visits_have_four_views(root):
    exams, _ = listed(root, unit="visit")
    assert set(exams[ANNA].images) == {"l_cc", "l_mlo", "r_cc", "r_mlo"}
    assert exams[ANNA].laterality == {"l_cc": "L", "l_mlo": "L", "r_cc": "R", "r_mlo": "R"}
    assert exams[ANNA].label == "malignant"
    assert {name for name in exams if name.startswith(CLARA)} == {f"{CLARA}_200912", f"{CLARA}_201106"}


def test_a_prepared_set_has_the_masks_and_sides_of_the_release(root):
    out = root.parent / "prepared"
    prepare(INbreast(), root.parent, out, size=(64, 48), crop="none", jobs=0)
    data = PreparedDataset.open(out)
    assert len(data) == 5
    assert data.views == ("cc", "mlo")
    assert data.labels.tolist() == [0, 1, 0, 0, 1]
    assert data.has_mask.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1], [0, 1]]
    expected = np.zeros((64, 48), dtype=bool)
    expected[20:30, 10:20] = True
    right = data.exam_ids.index(f"{ANNA}_R")
    np.testing.assert_array_equal(data.masks[right, 0] > 0, expected[:, ::-1])
    expected[50, 40] = True  # a single point
    expected[:4, :4] = True  # of which the rest lies outside
    np.testing.assert_array_equal(data.masks[right, 1] > 0, expected[:, ::-1])
    left, right_half = data.images[:, :, :, :8].mean(), data.images[:, :, :, -8:].mean()
    assert left > 50 > right_half == 0  # every chest wall is on the left


def test_only_the_kinds_asked_for_make_the_mask(root):
    exams, findings = listed(root, annotations=("Spiculated Region",))
    assert "cc" not in exams[f"{ANNA}_R"].masks
    (outline,) = exams[f"{ANNA}_R"].masks["mlo"]
    assert outline.points[2] == (20, 30)
    assert ("note", "20586986.xml", "lesion 'Espiculated Region' taken as Spiculated Region") in findings
    assert ("note", "20586986.xml", "lesion of no known kind ('Unnamed')") in findings
    with pytest.raises(ConfigurationError, match="annotations: no kind 'mass'; expected some of Asymmetry"):
        INbreast(annotations=("mass",))


def test_an_annotation_that_cannot_be_read_costs_its_exam(root):
    (root / "AllXML" / "20586960.xml").write_bytes(b"<plist><dict>")
    exams, findings = listed(root)
    assert f"{ANNA}_R" not in exams
    assert len(exams) == 4
    said = "not an XML property list, or damaged; copy it again"
    assert ("missing", "20586960.xml", said) in findings
    assert ("dropped", f"{ANNA}_R", "exam left out: an annotation cannot be read") in findings


def test_what_is_missing_is_said(root):
    (root / "AllDICOMs" / f"20586908_{ANNA}_MG_L_CC_ANON.dcm").unlink()
    (root / "AllXML" / "20586960.xml").unlink()
    (root / "AllDICOMs" / "._20586908.dcm").write_bytes(b"of another operating system")
    (root / "AllDICOMs" / "ReadMe.txt").write_bytes(b"")
    (root / "AllDICOMs" / f"99999999_{ANNA}_MG_L_CC_ANON.dcm").write_bytes(b"")
    write_regions(root / "AllXML" / "99999999.xml", [])
    exams, findings = listed(root)
    assert set(exams[f"{ANNA}_L"].images) == {"mlo"}
    assert set(findings) - set(listed(make_inbreast(root.parent / "whole"))[1]) == {
        ("missing", "20586908", "image file not there"),
        ("note", f"20586960_{ANNA}_MG_R_CC_ANON.dcm", "no annotation, though BI-RADS is not 1: no mask"),
        ("dropped", "ReadMe.txt", "file name of another pattern: not used"),
        ("dropped", f"99999999_{ANNA}_MG_L_CC_ANON.dcm", "image without a row in INbreast.csv: not used"),
        ("note", "99999999.xml", "annotation without a row in INbreast.csv: not used"),
    }


def test_a_side_that_is_another_in_the_file_name_is_not_guessed(root):
    rows = [("20586908", "", "R", *INBREAST_ROWS[0][3:]), *INBREAST_ROWS[1:]]
    write_inbreast_table(root, rows)
    exams, findings = listed(root)
    about = f"20586908_{ANNA}_MG_L_CC_ANON.dcm"
    assert ("disagrees", about, "side or view is another in the file name: image not used") in findings
    assert set(exams[f"{ANNA}_L"].images) == {"mlo"}
    assert f"20586960_{ANNA}_MG_R_CC_ANON.dcm" == exams[f"{ANNA}_R"].images["cc"].name


def test_the_spreadsheet_beside_the_table_is_never_opened(root):
    (root / "INbreast.xls").mkdir()  # opening it would fail
    assert len(listed(root)[0]) == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Bi-Rads", b"Birads", "no column Bi-Rads; the file has"),
        (b";L;CC;201001", b";left;CC;201001", "row 2: Laterality is 'left'; expected L or R"),
        (b";L;CC;201001", b";;CC;201001", "row 2: Laterality is ''; expected L or R"),
        (b";L;CC;201001", b";L;XCCL;201001", "row 2: View is 'XCCL'; expected CC, MLO or FB"),
        (
            b";L;CC;201001",
            b";L;CC;Jan 2010",
            "row 2: Acquisition date is 'Jan 2010'; expected year and month",
        ),
        (b";20586908;", b";2058690;", "row 2: File Name is '2058690'; expected eight digits"),
        (b";20586908;", b";../20586908;", "row 2: File Name is '../20586908'; expected eight digits"),
        (b";20586908;2;1", b";20586908;2;7", "row 2: BI-RADS is '7'; expected one of 1, 2, 3, 4a, 4b"),
        (b";20586908;2;1", b";20586908;2;", "row 2: BI-RADS is ''; expected one of"),
        (b";20586908;2;1", b";20586908;2;4", "row 2: BI-RADS is '4'; expected one of"),
        (b";20586934;", b";20586908;", "row 3: File Name '20586908' comes again, first in row 2"),
        (b";20586908;2;1\r\n", b";2058", "row 2: 13 cells; expected 8"),
        (b"removed;removed;L", b"rem\0oved;removed;L", "contains bytes that are not text"),
        (b";20586908;2;1\r\n", b';20586908;"2;1\r\n', "check its quotes"),
    ],
)
def test_damaged_tables_are_one_clear_line(root, old, new, message):
    table = root / "INbreast.csv"
    content = table.read_bytes()
    assert old in content
    table.write_bytes(content.replace(old, new, 1))
    with pytest.raises(DataError, match=message.replace("(", r"\(").replace(".", r"\.")) as caught:
        listed(root)
    assert str(caught.value).startswith(str(table))
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_release(tmp_path, root):
    with pytest.raises(
        DataError, match=r"INbreast\.csv: there is no such file; expected it beside AllDICOMs"
    ):
        listed(tmp_path / "elsewhere")
    twin = root / "AllDICOMs" / f"20586908_{BERTA}_MG_L_CC_ANON.dcm"
    twin.write_bytes(b"")
    with pytest.raises(DataError, match="another file has its number; expected one; remove one"):
        listed(root)
    (root / "AllDICOMs").rename(root / "images")
    with pytest.raises(DataError, match="AllDICOMs: there is no such folder"):
        listed(root)


def test_a_rule_for_category_3_that_cannot_matter_is_refused():
    with pytest.raises(
        ConfigurationError, match="birads3 is 'benign', but with labels 'birads' category 3 is"
    ):
        INbreast(labels="birads", birads3="benign")
