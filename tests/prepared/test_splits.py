"""Splits: no patient on two sides, ever; proportions, classes, determinism, files."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.settings import PreparationSettings
from gazekit.prepared.splits import (
    PARTS,
    check_split,
    inner_folds,
    k_folds,
    leak_of,
    make_split,
    read_split,
    write_split,
)
from gazekit.prepared.strata import spread, strata


def dataset(patients, labels, *, parts=None, datasets=None, duplicates=(), classes=("benign", "malignant")):
    """A data set without pixels."""
    count = len(patients)
    blank = np.zeros((count, 1, 8, 8), dtype=np.uint8)
    flags = np.zeros((count, 1), dtype=bool)
    return PreparedDataset(
        root=Path("data"),
        settings=PreparationSettings(("cc",), (8, 8)),
        classes=classes,
        images=blank,
        masks=blank,
        has_gaze=flags,
        has_mask=flags,
        has_image=~flags,
        labels=np.array(labels, dtype=np.int64),
        exam_ids=tuple(f"e{i}" for i in range(count)),
        patient_ids=tuple(patients),
        parts=parts,
        datasets=datasets or ("",) * count,
        fingerprint="0",
        duplicates=duplicates,
    )


@st.composite
def datasets(draw):
    """Patients of one to three exams, at least six per class, in mixed order, some with shared images."""
    exams = []
    for label, count in enumerate((draw(st.integers(6, 40)), draw(st.integers(6, 40)))):
        for patient in range(count):
            other = draw(st.integers(0, label))
            exams += [(f"p{label}-{patient}", label)]
            exams += [(f"p{label}-{patient}", other)] * draw(st.integers(0, 2))
    order = draw(st.permutations(range(len(exams))))
    return dataset([exams[i][0] for i in order], [exams[i][1] for i in order])


def patients_of(data, split):
    parts = {"train": set(), "val": set(), "test": set()}
    for exam_id, patient in zip(data.exam_ids, data.patient_ids, strict=True):
        parts[split[exam_id]].add(patient)
    return parts


@settings(max_examples=40, deadline=None)
@given(datasets(), st.integers(0, 10**6))
def test_parts_are_disjoint_in_patients_stratified_and_repeatable(data, seed):
    split = make_split(data, seed=seed)
    assert split == make_split(data, seed=seed)
    assert list(split) == list(data.exam_ids)
    parts = patients_of(data, split)
    assert sum(map(len, parts.values())) == len(set(data.patient_ids))
    for label in (0, 1):
        per_part = {part: sum(p.startswith(f"p{label}") for p in names) for part, names in parts.items()}
        total = sum(per_part.values())
        assert abs(per_part["test"] - 0.3 * total) <= 0.5
        assert abs(per_part["val"] - max(0.2 * (total - per_part["test"]), 1)) <= 0.5


@settings(max_examples=25, deadline=None)
@given(datasets(), st.integers(2, 5), st.integers(0, 99))
def test_folds_test_every_exam_once_and_never_part_a_patient(data, folds, seed):
    splits = k_folds(data, folds, seed)
    assert splits == k_folds(data, folds, seed)
    tested = [exam for split in splits for exam, part in split.items() if part == "test"]
    assert sorted(tested) == sorted(data.exam_ids)
    sizes = []
    for split in splits:
        parts = patients_of(data, split)
        assert sum(map(len, parts.values())) == len(set(data.patient_ids))
        sizes.append(len(parts["test"]))
        check_split(data, split)
    assert max(sizes) - min(sizes) <= 1


def test_inner_folds_validate_each_exam_once_and_leave_the_test_part_closed():
    data = dataset([f"p{i // 2}" for i in range(48)], [i // 2 % 2 for i in range(48)])
    outer = make_split(data)
    tested = {exam for exam, part in outer.items() if part == "test"}
    inner = inner_folds(data, outer, 3)
    for split in inner:
        assert {exam for exam, part in split.items() if part == "test"} == tested
        check_split(data, split)
    validated = [exam for split in inner for exam, part in split.items() if part == "val"]
    assert len(inner) == 3 and sorted(validated) == sorted(set(outer) - tested)


def test_seeds_differ_and_row_order_does_not_matter():
    patients, labels = [f"p{i}" for i in range(40)], [i % 2 for i in range(40)]
    data = dataset(patients, labels)
    assert make_split(data, seed=0) != make_split(data, seed=1)
    mirrored = PreparedDataset(
        **vars(data)
        | {
            "exam_ids": data.exam_ids[::-1],
            "patient_ids": data.patient_ids[::-1],
            "labels": data.labels[::-1].copy(),
        }
    )
    assert make_split(mirrored) == make_split(data)


def test_a_patient_with_both_labels_counts_as_the_greater():
    """20 patients, each with a benign breast, 10 of them with a malignant one too."""
    patients = [f"p{i}" for i in range(20)] + [f"p{i}" for i in range(10)]
    split = make_split(dataset(patients, [0] * 20 + [1] * 10), test=0.5, val=0)
    tested = {patients[int(exam[1:])] for exam, part in split.items() if part == "test"}
    assert len(tested) == 10
    assert sum(int(patient[1:]) < 10 for patient in tested) == 5


@pytest.mark.parametrize("last", [("e7", "e12", "e20"), ("e12", "e7", "e20"), ("e12", "e20", "e7")])
@settings(max_examples=7, deadline=None)
@given(st.integers(0, 1000))
def test_patients_that_share_an_image_stay_together(last, seed):
    patients, labels = [f"p{i}" for i in range(24)], [i % 2 for i in range(24)]
    data = dataset(patients, labels, duplicates=(("e0", "e7"), last))
    for split in (make_split(data, seed=seed), *k_folds(data, 3, seed)):
        assert len({split[exam] for exam in ("e0", "e7", "e12", "e20")}) == 1


def test_a_given_split_is_kept_and_validation_carved_from_its_training_part():
    patients = [f"p{i // 2}" for i in range(80)]
    labels = [i // 2 % 2 for i in range(80)]
    given_parts = tuple("train" if i < 60 else "test" for i in range(80))
    split = make_split(dataset(patients, labels, parts=given_parts))
    assert [exam for exam in split if split[exam] == "test"] == [f"e{i}" for i in range(60, 80)]
    assert sum(part == "val" for part in split.values()) == 12
    whole = tuple("train" if i < 40 else "val" if i < 60 else "test" for i in range(80))
    assert tuple(make_split(dataset(patients, labels, parts=whole), seed=5).values()) == whole


def test_more_than_two_classes_are_stratified():
    labels = [i % 3 for i in range(90)]
    split = make_split(dataset([f"p{i}" for i in range(90)], labels, classes=("a", "b", "c")))
    for label in range(3):
        tested = [exam for exam, part in split.items() if part == "test" and labels[int(exam[1:])] == label]
        assert len(tested) == 9


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"e1": "test"}, "1 patient is on two sides of the split \\(p0\\)"),
        ({"e9": "train"}, "names exam e9"),
        ({"e1": "dev", "e0": "dev"}, "exam e0 in 'dev'; expected train, val, test"),
        ({"e6": "val", "e7": "val"}, "one class only: every exam of the val part is 'malignant'"),
        ({f"e{i}": "test" for i in range(8)}, "no training part"),
    ],
)
def test_a_bad_split_is_refused(change, expected):
    data = dataset(["p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3"], [0, 0, 1, 1, 0, 0, 1, 1])
    good = dict.fromkeys(data.exam_ids, "train")
    check_split(data, good)
    with pytest.raises(DataError, match=expected):
        check_split(data, good | change)
    with pytest.raises(DataError, match="lacks exam e3"):
        check_split(data, {exam: part for exam, part in good.items() if exam != "e3"})
    respelled = {("E3" if exam == "e3" else exam): part for exam, part in good.items()}
    both = r"lacks exam e3 \(1 such\) and names exam E3, which the data do not have \(1 such\); expected"
    with pytest.raises(DataError, match=both):
        check_split(data, respelled)


def test_a_given_split_that_parts_a_patient_is_refused():
    parts = ("train", "test", "train", "val", "test", "val")
    with pytest.raises(
        DataError,
        match=r"1 patient is on two sides of the split \(p0\); .* --anew\), or use it all the same with --allow-leak",
    ):
        make_split(dataset(["p0", "p0", "p1", "p2", "p3", "p4"], [0, 1, 1, 0, 0, 1], parts=parts))


def test_too_few_patients_and_wrong_fractions_are_refused():
    with pytest.raises(DataError, match="class 'malignant' has 2 patients to split; expected at least 3"):
        make_split(dataset([f"p{i}" for i in range(9)], [0] * 7 + [1] * 2))
    with pytest.raises(DataError, match="one class only among 9 exams"):
        make_split(dataset([f"p{i}" for i in range(9)], [0] * 9))
    many = dataset([f"p{i}" for i in range(20)], [i % 2 for i in range(20)])
    with pytest.raises(DataError, match="expected at least 11"):
        k_folds(many, 11)
    with pytest.raises(ConfigurationError, match="test is 1"):
        make_split(many, test=1.0)
    with pytest.raises(ConfigurationError, match="1 folds"):
        k_folds(many, 1)


def test_three_patients_of_a_class_are_enough_for_three_parts():
    split = make_split(dataset([f"p{i}" for i in range(6)], [0, 1] * 3))
    assert sorted(split.values()) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2


@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize("val", [0.01, 0.99])
@pytest.mark.parametrize("test", [0.01, 0.99])
def test_no_share_is_so_large_or_small_that_a_part_lacks_a_class(test, val, count):
    data = dataset([f"p{i}" for i in range(2 * count)], [0, 1] * count)
    split = make_split(data, test=test, val=val)
    found = {(split[exam], int(label)) for exam, label in zip(data.exam_ids, data.labels, strict=True)}
    assert found == {(part, label) for part in PARTS for label in (0, 1)}


def test_a_split_survives_its_file(tmp_path):
    data = dataset([f"p,{i}" for i in range(12)], [i % 2 for i in range(12)])
    split = make_split(data)
    write_split(tmp_path / "split.csv", data, split)
    assert read_split(tmp_path / "split.csv") == split
    lines = (tmp_path / "split.csv").read_text().splitlines()
    assert lines[0] == "exam_id,patient_id,label,split"
    assert lines[1] == f'e0,"p,0",benign,{split["e0"]}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exam_id,part\ne0,train\n", "no column split; the file has exam_id, part"),
        ("exam_id,split\ne0,train\ne0,test\n", "row 3: exam_id 'e0' comes again, first in row 2"),
        ("exam_id,split\ne0\n", "row 2: 1 cell; expected 2"),
        ("", "the first row is empty"),
    ],
)
def test_a_damaged_split_file_is_one_clear_line(tmp_path, text, expected):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=expected):
        read_split(tmp_path / "split.csv")
    with pytest.raises(DataError, match="no such file"):
        read_split(tmp_path / "absent.csv")


def test_an_identical_image_on_two_sides_of_a_split_is_refused():
    data = dataset([f"p{i}" for i in range(8)], [0, 1] * 4, duplicates=(("e0", "e3"),))
    split = {f"e{i}": "train" if i < 4 else "test" for i in range(8)}
    check_split(data, split)
    split |= {"e3": "test", "e7": "train"}
    with pytest.raises(DataError, match=r"1 identical image is in exams on two sides \(e0 = e3\)"):
        check_split(data, split)


def test_a_leak_may_be_allowed_and_names_its_patients():
    parts = ("train", "test") * 7
    patients = [f"p{i // 2}" for i in range(14)]
    data = dataset(patients, [0, 0, 1, 1] * 3 + [0, 1], parts=parts)
    with pytest.raises(
        DataError, match=r"7 patients are on two sides of the split \(p0, p1, p2, p3, p4 and 2 more"
    ):
        make_split(data, val=0)
    kept = make_split(data, val=0, allow_leak=True)
    assert tuple(kept.values()) == parts
    assert leak_of(data, kept).patients == tuple(f"p{i}" for i in range(7))
    anew = make_split(data, anew=True)
    assert leak_of(data, anew) is None
    assert set(anew.values()) == {"train", "val", "test"}


def test_every_data_set_has_its_share_of_every_part():
    count = 240
    names = ["mass"] * 180 + ["calc"] * 60
    data = dataset([f"p{i}" for i in range(count)], [i % 3 == 0 for i in range(count)], datasets=tuple(names))
    split = make_split(data, test=0.25, val=0.2)
    for name in ("mass", "calc"):
        for label in (0, 1):
            exams = [
                e
                for e, d, y in zip(data.exam_ids, names, data.labels, strict=True)
                if (d, y) == (name, label)
            ]
            assert sum(split[exam] == "test" for exam in exams) == len(exams) // 4


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("aaaabbbbc", [{0, 2, 8}, {4, 6}, {1, 3}, {5, 7}]),  # the rest is too small, too, and joins the first
        ("aaaabbcba", [{0, 2, 8}, {4, 6}, {1, 3}, {5, 7}]),
        ("abcdefghi", [{0, 2, 4, 6, 8}, {1, 3, 5, 7}]),
    ],
)
def test_within_a_label_a_data_set_has_a_stratum_and_the_too_small_ones_share_one(names, expected):
    data = dataset([f"p{i}" for i in range(9)], [i % 2 for i in range(9)], datasets=tuple(names))
    found = strata(data, range(9), 0, least=2)
    assert [{exam for group in stratum for exam in group} for stratum in found] == expected


def test_a_part_gets_the_class_that_it_lacks_from_its_own_stratum_if_possible():
    labels = np.array([1, 1, 0, 0, 1])
    first, lacks, has, also, other = ((exam,) for exam in range(5))
    parts = {first: "test", lacks: "test", has: "train", also: "train", other: "train"}
    spread(labels, [[first], [lacks, has, also, other]], parts, {"test": 1, "train": 1})
    assert parts == {first: "test", lacks: "train", has: "test", also: "train", other: "train"}


def test_repeated_folds_differ_and_each_covers_every_exam_once():
    data = dataset([f"p{i}" for i in range(40)], [i % 2 for i in range(40)])
    assert k_folds(data, 4, 7) == k_folds(data, 4, 7, repeat=0)
    repeats = [k_folds(data, 4, 7, repeat=repeat) for repeat in range(3)]
    test_parts = [[{e for e, part in fold.items() if part == "test"} for fold in folds] for folds in repeats]
    for parts in test_parts:
        assert sorted(exam for part in parts for exam in part) == sorted(data.exam_ids)
    assert test_parts[0] != test_parts[1] != test_parts[2]


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.integers(0, 10**6))
def test_patients_with_a_breast_of_each_class_are_split(count, seed):
    """Left benign, right malignant, in every patient: each part holds both classes, and no patient is parted."""
    patients = [f"p{i}" for i in range(count) for _ in range(2)]
    data = dataset(patients, [0, 1] * count)
    for split in (make_split(data, seed=seed), *k_folds(data, 3, seed)):
        parts = patients_of(data, split)
        assert sum(map(len, parts.values())) == count
        assert min(map(len, parts.values())) >= 1
        check_split(data, split)


@st.composite
def mixed_datasets(draw):
    """Classes held by pure and by mixed patients in any number, each class by three patients or more."""
    kinds = draw(st.lists(st.sampled_from([(0,), (1,), (0, 1)]), min_size=3, max_size=40))
    kinds += [(0,)] * max(0, 3 - sum(0 in kind for kind in kinds))
    kinds += [(1,)] * max(0, 3 - sum(1 in kind for kind in kinds))
    exams = [(f"p{i}", label) for i, kind in enumerate(kinds) for label in kind]
    return dataset([patient for patient, _ in exams], [label for _, label in exams])


@settings(max_examples=150, deadline=None)
@given(mixed_datasets(), st.integers(0, 999))
def test_three_patients_of_each_class_are_enough_however_the_classes_are_mixed(data, seed):
    owners = zip(data.labels.tolist(), data.patient_ids, strict=True)
    fewest = min(Counter(label for label, _ in set(owners)).values())
    two = k_folds(data, 2, seed) if fewest > 3 else []  # the fold that is not tested gives two parts
    for split in (make_split(data, seed=seed), *k_folds(data, 3, seed), *two):
        check_split(data, split)
        for part in ("train", "val", "test"):
            held = {
                int(label)
                for exam, label in zip(data.exam_ids, data.labels, strict=True)
                if split[exam] == part
            }
            assert held == {0, 1}


def test_splits_of_data_without_mixed_patients_are_those_of_before():
    """Numbers of the release before exchanges were made: nobody's split changes without need."""
    data = dataset([f"p{i}" for i in range(24)], [i % 3 // 2 for i in range(24)])
    split = make_split(data, seed=7)
    assert [exam for exam in split if split[exam] == "test"] == ["e1", "e2", "e5", "e12", "e16", "e19", "e22"]
    assert [exam for exam in split if split[exam] == "val"] == ["e3", "e18", "e20"]


def test_folds_of_two_data_sets_are_those_of_before():
    labels, sources = [i % 3 // 2 for i in range(24)], ["ab"[i % 2] for i in range(24)]
    folds = k_folds(dataset([f"p{i}" for i in range(24)], labels, datasets=sources), 3, 7, repeat=1)
    assert [[int(exam[1:]) for exam in fold if fold[exam] == "test"] for fold in folds] == [
        [2, 6, 9, 10, 15, 17, 18, 21],
        [0, 8, 11, 12, 13, 19, 20, 22],
        [1, 3, 4, 5, 7, 14, 16, 23],
    ]
    assert [[int(exam[1:]) for exam in fold if fold[exam] == "val"] for fold in folds] == [
        [5, 14, 16, 19],
        [5, 14, 18, 21],
        [2, 6, 11, 19],
    ]


def test_the_message_counts_every_patient_of_a_class_and_names_the_slip():
    patients = [f"p{i}" for i in range(20)] + ["p0", "p1"]
    with pytest.raises(DataError, match="class 'benign' has 2 patients to split; expected at least 3"):
        make_split(dataset(patients, [1] * 20 + [0] * 2))
    labels = [0] * 10 + [1] * 9 + [2]
    data = dataset(patients[:20], labels, classes=("benign", "malignant", "malignnant"))
    with pytest.raises(
        DataError, match=r"class 'malignnant' has 1 patient to split.*did you mean 'malignant' in exam e19"
    ):
        make_split(data)


def test_a_split_by_hand_may_use_other_words_and_separators(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("exam_id;split\ne0;Training\ne1;validation\ne2;TEST\n")
    assert read_split(path) == {"e0": "train", "e1": "val", "e2": "test"}
    path.write_text("exam_id,split\ne0,dev\n")
    with pytest.raises(DataError, match="row 2: the split puts exam e0 in 'dev'; expected train, val, test"):
        read_split(path)
    with pytest.raises(DataError, match=r"test: there is no such file.*gazekit evaluate RUN --part test"):
        read_split(Path("test"))
    with pytest.raises(DataError, match="is a folder"):
        read_split(tmp_path)
