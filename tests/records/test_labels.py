"""Class names: one spelling each, the positive one, and likely mistakes."""

from dataclasses import replace
from pathlib import Path

import pytest

from gazekit.errors import ConfigurationError, DataError
from gazekit.preparing.raw.source import classes_of, list_exams
from gazekit.records.exam import Exam
from gazekit.records.labels import (
    check_label,
    count_classes,
    describe,
    doubts,
    in_order,
    near_misses,
    positive_of,
    same_class,
    sounds_negative,
    spell_alike,
)
from gazekit.training.checking.checks import doubts as doubts_at_start


def exams(*labels):
    return [Exam(f"e{i}", f"p{i}", label, {}) for i, label in enumerate(labels)]


class Listed:
    def __init__(self, found, classes=None):
        self.found, self.classes = found, classes

    def exams(self, root):
        yield from self.found


@pytest.mark.parametrize(
    ("one", "other"),
    [("Malignant", " malignant"), ("no  finding", "No Finding"), ("1", "1.0"), ("01", "1"), ("+2.50", "2.5")],
)
def test_case_blanks_and_zeros_make_no_other_class(one, other):
    assert same_class(one) == same_class(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("1", "10"), ("1.5", "1"), ("4a", "4b"), ("-1", "1"), ("a b", "ab")),
        *(("1234567", "1234568"), ("0.1234567", "0.1234568"), ("9" * 40, "9" * 39 + "8")),
    ],
)
def test_other_labels_stay_apart(one, other):
    assert same_class(one) != same_class(other)


def test_the_spelling_that_most_exams_have_wins_and_each_change_is_told():
    spelled, findings = spell_alike(exams("benign", "Malignant", "malignant", "malignant", "BENIGN"), None)
    assert [exam.label for exam in spelled] == ["benign", "malignant", "malignant", "malignant", "benign"]
    assert [(each.kind, each.about, each.what) for each in findings] == [
        ("note", "e1", "label 'Malignant' read as 'malignant', which is spelled alike"),
        ("note", "e4", "label 'BENIGN' read as 'benign', which is spelled alike"),
    ]


def test_the_sources_own_spelling_wins_and_classes_that_differ_in_case_alone_stay():
    spelled, findings = spell_alike(exams("Benign", "benign", "CANCER"), ("Benign", "Cancer"))
    assert [exam.label for exam in spelled] == ["Benign", "Benign", "Cancer"]
    assert [each.about for each in findings] == ["e1", "e2"]
    assert spell_alike(exams("a", "A"), ("a", "A")) == (exams("a", "A"), [])


def test_classes_of_further_targets_are_spelled_alike_too():
    named = [
        {"density": "C"},
        {"density": "c"},
        {"density": "C", "mass": "1.0"},
        {"mass": "1"},
        {"mass": "1"},
    ]
    plain = exams(*"ababa")
    found = [replace(exam, targets=targets) for exam, targets in zip(plain, named, strict=True)]
    spelled, findings = spell_alike(found, ("a", "b"))
    assert [exam.targets.get("density") for exam in spelled] == ["C", "C", "C", None, None]
    assert [exam.targets.get("mass") for exam in spelled] == [None, None, "1", "1", "1"]
    assert [(each.about, each.what) for each in findings] == [
        ("e1", "target density 'c' read as 'C', which is spelled alike"),
        ("e2", "target mass '1.0' read as '1', which is spelled alike"),
    ]


def test_every_data_source_is_spelled_alike(tmp_path):
    found, findings = list_exams(Listed(exams("yes", "no", "Yes", "no", "yes")), tmp_path)
    assert classes_of(Listed(found), found) == ("no", "yes")
    assert len(findings) == 1


def test_numbers_are_in_order_of_value_and_words_of_letters():
    assert in_order(["10", "9", "-1", "2.5"]) == ("-1", "2.5", "9", "10")
    more = "010000000000000001"
    assert in_order([more, "10000000000000000"]) == ("10000000000000000", more)
    assert in_order(["normal", "cancer"]) == ("cancer", "normal")


def test_the_positive_class_can_be_chosen_for_every_source(tmp_path):
    found = exams("cancer", "normal", "normal")
    assert classes_of(Listed(found), found) == ("cancer", "normal")
    assert classes_of(Listed(found), found, "Cancer") == ("normal", "cancer")
    assert classes_of(Listed(found, ("normal", "cancer")), found, "normal") == ("cancer", "normal")
    with pytest.raises(ConfigurationError, match=r"positive=cancr: no such class; did you mean 'cancer'\?"):
        classes_of(Listed(found), found, "cancr")
    three = exams("a", "b", "c")
    with pytest.raises(
        ConfigurationError, match="one of two classes can be positive, and there are 3: a, b, c"
    ):
        classes_of(Listed(three), three, "a")


def test_what_the_classes_are_is_one_line():
    assert describe(("normal", "cancer")) == "2 classes: 'cancer' is positive, 'normal' negative"
    assert describe(("a",)) == "1 class: 'a'"
    assert describe(("a", "b", "c")) == "3 classes, none of them the positive one: 'a', 'b', 'c'"
    assert (positive_of(("normal", "cancer")), positive_of(("a", "b", "c"))) == ("cancer", None)


@pytest.mark.parametrize(
    "name",
    [
        "normal",
        "Benign",
        "negative",
        "healthy",
        "no finding",
        "No findings",
        "control",
        "controls",
        "0",
        "0.0",
        "none",
        "non-cancer",
        "noncancerous",
        "without lesion",
        "BI-RADS 1",
        "false",
        "no",
        "kein Befund",
        "gutartig",
        "bénin",
        "bénigne",
        "négatif",
        "normaux",
        "sana",
        "sin hallazgos",
    ],
)
def test_words_for_the_absence_of_a_finding(name):
    assert sounds_negative(name)


@pytest.mark.parametrize(
    "name",
    [
        "cancer",
        "malignant",
        "1",
        "nodule",
        "positive",
        "abnormal",
        "notch",
        "BI-RADS 5",
        "normal2",
        "sin-gle",
    ],
)
def test_other_words_are_no_such(name):
    assert not sounds_negative(name)


def test_a_positive_class_that_sounds_negative_is_doubted_unless_it_was_chosen():
    labels, patients = ["cancer"] * 5 + ["normal"] * 5, [f"p{i}" for i in range(10)]
    (said,) = doubts(("cancer", "normal"), labels, patients)
    assert "the positive class is 'normal'" in said and "--set 'positive=cancer'" in said
    assert doubts(("cancer", "normal"), labels, patients, chosen=True) == []
    assert doubts(("normal", "cancer"), labels, patients) == []


@pytest.mark.parametrize(
    ("rare", "name"),
    [("malignnant", "malignant"), ("bengin", "benign"), ("canser", "cancer"), ("malign", "malignant")],
)
def test_a_rare_label_that_is_spelled_much_like_another_is_a_near_miss(rare, name):
    assert near_misses({rare: 2, name: 10, "other": 30}) == {rare: name}
    assert near_misses({rare: 3, name: 10, "other": 30}) == {}  # too many to be a slip


@pytest.mark.parametrize(
    ("rare", "name"),
    [
        ("normal", "abnormal"),
        ("abnormal", "normal"),
        ("BI-RADS 4a", "BI-RADS 4b"),
        ("grade a", "grade b"),
        ("cancer", "no cancer"),
        ("malignant", "benign"),
        ("0", "1"),
    ],
)
def test_opposites_and_grades_are_no_near_misses(rare, name):
    assert near_misses({rare: 1, name: 100}) == {}


def test_few_patients_and_slips_are_said_with_their_numbers():
    labels = ["benign"] * 10 + ["malignant"] * 10 + ["malignnant"] + ["cyst"] * 5
    patients = [f"p{i}" for i in range(21)] + ["p21"] * 4 + ["p22"]
    typo, few = doubts(in_order(labels), labels, patients)
    assert typo.startswith("class 'malignnant' (1 exam) is spelled much like 'malignant' (10 exams)")
    assert typo.endswith("did you mean 'malignant'?")
    assert few.startswith("class of fewer than 3 patients") and few.endswith(": 'cyst' (2)")


def test_labels_that_are_measurements_are_said_once():
    labels = [f"{1.37 * i:.2f}" for i in range(40)]
    (said,) = doubts(in_order(labels), labels, labels)
    assert "'0.00' (1)" in said and said.endswith(
        "and 35 more; are the labels measurements rather than classes?"
    )


def test_a_label_outside_the_classes_is_one_line_with_the_one_that_was_meant():
    check_label("Cancer", ("benign", "cancer"), "row 3")
    with pytest.raises(
        DataError, match=r"^row 3: label 'canser' is none of the classes .*; did you mean 'cancer'\?$"
    ):
        check_label("canser", ("benign", "cancer"), "row 3")


def test_a_file_or_nothing_in_place_of_a_folder_is_told_apart(tmp_path):
    (tmp_path / "exams.csv").touch()
    with pytest.raises(DataError, match=f"exams.csv: is a file; give its folder, {tmp_path}"):
        list_exams(Listed([]), tmp_path / "exams.csv")
    with pytest.raises(DataError, match="there is no such folder"):
        list_exams(Listed([]), Path("nowhere"))


def test_a_positive_class_that_was_chosen_is_not_doubted_when_a_training_starts(dataset, registry):
    preset = registry.preset("mammonet_small", overrides=["data.size=16"])
    split = dict.fromkeys(dataset.exam_ids, "train")

    def said(*classes):
        lines = doubts_at_start(preset, replace(dataset, classes=classes), split, (4, 4))
        return [line for line in lines if "the positive class is" in line]

    assert len(said("cancer", "normal")) == 1  # in the order of letters: nobody chose
    assert said("tumour", "normal") == []


def test_a_class_that_begins_with_a_digit_is_quoted_beside_its_number_of_exams():
    assert count_classes({"benign": 9, "4a": 10}) == "9 benign, 10 '4a'"
    assert count_classes({"0": 9, "1": 10}) == "9 '0', 10 '1'"


def test_patients_that_are_called_alike_are_pointed_out():
    labels = ["a", "b"] * 6
    patients = ["p1", "P1", "P01", "7", "007", "10", "p2", "p3", "p4", "p5", "p6", "p20"]
    (said,) = doubts(("a", "b"), labels, patients)
    assert "but for case or leading zeros (007 = 7, P01 = P1 = p1): if they are the same" in said
    apart = [f"P{number:02}" for number in range(8)] + ["1.05", "1.5", "2020-01-02", "2020-1-2"]
    assert doubts(("a", "b"), labels, apart) == []
