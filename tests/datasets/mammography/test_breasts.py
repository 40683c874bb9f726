"""Mammograms to exams: units, labels, disagreement, repeated and missing views."""

from pathlib import Path

import pytest
from gazekit_datasets.mammography.breasts import BreastGrouping, Mammogram, group

from gazekit.records.exam import Exam, Finding
from gazekit.records.lesions import Outline

CLASSES = (None, "benign", "malignant")
LESION = Outline(((1, 2),))


@pytest.fixture
def image(tmp_path):
    """``image("p L cc 1", …)``: a mammogram whose file is there."""

    def make(words, *, there=True, **fields):
        patient, side, view, grade = words.split()
        path = tmp_path / f"{patient}_{side}_{view}_{len(list(tmp_path.iterdir()))}.dcm"
        if there:
            path.write_bytes(b"")
        return Mammogram(patient, side, view, path, None if grade == "-" else int(grade), **fields)

    return make


def grouped(mammograms, **options):
    every = list(group(mammograms, BreastGrouping(CLASSES.__getitem__, **options)))
    findings = [(each.kind, each.about, each.what) for each in every if isinstance(each, Finding)]
    return [each for each in every if isinstance(each, Exam)], findings


def test_one_exam_per_breast_in_the_order_of_the_table(image):
    exams, findings = grouped(
        [image("q R mlo 2"), image("p L mlo 1"), image("q R cc 2", lesions=(LESION,)), image("q L cc 1")]
    )
    assert [(exam.exam_id, exam.patient_id, exam.label) for exam in exams] == [
        ("q_R", "q", "malignant"),
        ("p_L", "p", "benign"),
        ("q_L", "q", "benign"),
    ]
    assert list(exams[0].images) == ["cc", "mlo"]
    assert exams[0].masks == {"cc": (LESION,)}
    assert exams[0].laterality == {"cc": "R", "mlo": "R"}
    assert exams[1].masks == {}
    assert findings == []


def test_one_exam_per_visit_is_as_bad_as_its_worse_breast(image):
    both = [image("p L cc 1"), image("p R cc 2"), image("p L mlo 1"), image("p R mlo 2")]
    (exam,), findings = grouped(both, unit="visit", disagreement="drop")
    assert (exam.exam_id, exam.label) == ("p", "malignant")
    assert list(exam.images) == ["l_cc", "l_mlo", "r_cc", "r_mlo"]
    assert exam.laterality["l_mlo"] == "L"
    assert exam.laterality["r_cc"] == "R"
    assert findings == []  # two breasts may well differ


@pytest.mark.parametrize(
    ("unit", "ids"), [("breast", ["p_1_L", "p_2_L", "q_L"]), ("visit", ["p_1", "p_2", "q"])]
)
def test_visits_are_told_apart_where_a_patient_has_several(image, unit, ids):
    rows = [image("p L cc 1", visit="1"), image("p L cc 2", visit="2"), image("q L cc 1", visit="1")]
    exams, _ = grouped(rows, unit=unit)
    assert [exam.exam_id for exam in exams] == ids
    assert [exam.label for exam in exams] == ["benign", "malignant", "benign"]


def test_views_of_a_breast_that_disagree(image):
    rows = [image("p L cc 1"), image("p L mlo 2"), image("p R cc 2"), image("p R mlo 2")]
    (left, right), findings = grouped(rows)
    assert (left.label, right.label) == ("malignant", "malignant")
    assert findings == [("disagrees", "p_L", "views of a breast disagree: the worse is taken")]
    (right,), findings = grouped(rows, disagreement="drop")
    assert right.exam_id == "p_R"
    assert findings == [("dropped", "p_L", "exam left out: its views disagree")]


def test_grades_of_one_class_do_not_disagree(image):
    rows = [image("p L cc 1"), image("p L mlo 2")]
    one_class = BreastGrouping(lambda grade: "same", disagreement="drop")
    (exam,) = group(rows, one_class)
    assert exam.label == "same"


@pytest.mark.parametrize(
    ("repeated", "order", "taken"),
    [
        ("first", (0, 0, 0), 0),
        ("last", (0, 0, 0), 2),
        ("first", (2, 1, 3), 1),
        ("last", (2, 3, 1), 1),
    ],
)
def test_a_repeated_view(image, repeated, order, taken):
    rows = [image("p L cc 1", order=number) for number in order]
    (exam,), findings = grouped(rows, repeated=repeated)
    assert exam.images == {"cc": rows[taken].path}
    assert findings == [("note", "p_L", f"view repeated: the {repeated} one is taken")]
    exams, findings = grouped(rows, repeated="drop")
    assert exams == []
    assert findings == [("dropped", "p_L", "exam left out: a view comes twice")]


def test_a_repeated_view_that_is_not_there_is_not_taken(image):
    rows = [image("p L cc 1"), image("p L cc 1", there=False)]
    (exam,), _ = grouped(rows, repeated="last")
    assert exam.images == {"cc": rows[0].path}


def test_the_label_is_that_of_the_worst_image_of_the_tables_there_or_not(image):
    rows = [image("p L cc 1"), image("p L mlo 2", there=False)]
    (exam,), findings = grouped(rows)
    assert exam.label == "malignant"
    assert ("missing", rows[1].path.name, "image file not there") in findings


def test_a_grade_without_a_class_is_dropped_by_name(image):
    rows = [image("p L cc 0"), image("p R cc 1")]
    exams, findings = grouped(rows, grade_name="BI-RADS {}".format)
    assert [exam.exam_id for exam in exams] == ["p_R"]
    assert findings == [("dropped", "p_L", "exam left out: BI-RADS 0 has no class")]


def test_no_breast_inherits_a_label(image):
    rows = [image("p L cc 2"), image("p R cc -")]
    exams, findings = grouped(rows)
    assert [exam.exam_id for exam in exams] == ["p_L"]
    assert findings == [("dropped", "p_R", "exam left out: an image has no label")]
    assert grouped(rows, unit="visit") == ([], [("dropped", "p", "exam left out: an image has no label")])
    (visit,), _ = grouped(rows, unit="visit", unlabelled="ignore")
    assert visit.label == "malignant"
    assert list(visit.images) == ["l_cc", "r_cc"]
    assert grouped(rows[1:], unit="visit", unlabelled="ignore")[0] == []


def test_a_refused_mammogram_costs_the_exam_and_findings_pass_through(image):
    said = Finding("note", "x", "something")
    exams, findings = grouped([image("p L cc 1", refused="a mask is torn"), said, image("p R cc 1")])
    assert [exam.exam_id for exam in exams] == ["p_R"]
    assert findings == [("note", "x", "something"), ("dropped", "p_L", "exam left out: a mask is torn")]


def test_parts_of_a_data_set_are_named_together(image):
    rows = [image("p L cc 1", dataset="mass"), image("p L mlo 1", dataset="calc"), image("q L cc 1")]
    first, second = grouped(rows)[0]
    assert (first.dataset, second.dataset) == ("calc+mass", "")
    assert isinstance(first.images["cc"], Path)
