"""What headers say of an exam's images, before their pixels: sides, special images, contradictions with the table."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from gazekit_datasets.folder import Folder
from hypothesis import given, settings
from hypothesis import strategies as st
from made_mammography import view_sequence, write_mammogram
from made_preparation import prepare

import gazekit
from gazekit.prediction.exam_table import read_exam_table
from gazekit.prediction.file_grouping import group_images
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.one_exam import PreparedExam, Task, prepare_exam
from gazekit.preparing.raw.header_look import look_at_headers
from gazekit.preparing.raw.patient_ids import PatientIds
from gazekit.preparing.raw.source import RawData
from gazekit.preparing.validating.validation import validate
from gazekit.reading.identifying.identity_rules import identity_rules
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.records.exam import NOTE, ODD, Exam

CONTRADICTIONS = {
    ("swapped cc", "is an image of view mlo by its header: check the table"),
    ("swapped mlo", "is an image of view cc by its header: check the table"),
    ("turned cc", "is an image of side R by its header, of side L by the table: check both"),
    ("turned mlo", "is an image of side R by its header, of side L by the table: check both"),
    ("mixed mlo", "is an image of another patient than view cc by their headers: check the table"),
    ("both mlo", "is an image of another side than view cc by their headers: check the table"),
}
LYING = (
    "lies in its image as one of side R does, but is of side L: check the side, or mirror the stored image"
)
"""What the pixels say of the same images."""


def exams(root: Path) -> RawData:
    """One exam in order, one whose views are swapped, one of the other side, one of two patients, one of both sides."""
    for number, (patient, side) in enumerate((("A", "L"), ("B", "R"), ("C", "L"), ("C", "R"))):
        for view in ("CC", "MLO"):
            about = {"PatientID": patient, "ImageLaterality": side, "ViewCodeSequence": view_sequence(view)}
            write_mammogram(
                root / f"{patient}{side}{view}.dcm", side=side, seed=10 * number + len(view), **about
            )
            raw = about | {"PresentationIntentType": "FOR PROCESSING"}
            write_mammogram(
                root / f"{patient}{side}{view}_raw.dcm", side=side, seed=90 + 10 * number + len(view), **raw
            )
    (root / "exams.csv").write_text(
        "exam_id,patient_id,label,laterality,cc,mlo\n"
        "right,A,0,L,ALCC.dcm,ALMLO.dcm\n"
        "swapped,B,1,R,BRMLO.dcm,BRCC.dcm\n"
        "turned,C,0,L,BRCC_raw.dcm,BRMLO_raw.dcm\n"
        "mixed,D,1,L,CLCC.dcm,ALMLO_raw.dcm\n"
        "both,C,1,,CLCC_raw.dcm,CRMLO.dcm\n"
    )
    return RawData(Folder(), root, registry=gazekit.load_registry())


def test_a_table_that_contradicts_its_images_is_pointed_out_by_every_command(tmp_path):
    raw = exams(tmp_path)
    summary = prepare(Folder(), tmp_path, tmp_path / "out", jobs=0)
    found = {(each.about, each.what) for each in summary.findings if each.kind == ODD}
    expected = CONTRADICTIONS | {("turned cc", LYING), ("turned mlo", LYING)}
    assert {(about.partition(" (")[0], what) for about, what in found} == expected
    assert sum(line.endswith("check the table") for line in summary.doubts()) == 4
    faults = validate(raw, PreparationSettings(), jobs=0).faults
    assert faults is not None
    assert {(f"{exam} {view}", what) for exam, view, what in faults.odd} == expected
    table = read_exam_table(tmp_path / "exams.csv", ViewNames(("cc", "mlo")), identity_rules(raw.registry))
    said = {(key, what) for what, keys in table.assumed.items() for key in keys}
    assert said >= {(about.split()[0], f"view {about.split()[1]} {what}") for about, what in CONTRADICTIONS}


@pytest.mark.parametrize("pair", [("left", "right"), ("od", "os")])
def test_views_of_two_sides_contradict_nothing(tmp_path, pair):
    for view, side in zip(pair, "LR", strict=True):
        write_mammogram(tmp_path / f"{view}.dcm", PatientID="A", ImageLaterality=side, ViewCodeSequence=None)
    images = ",".join(f"{view}.dcm" for view in pair)
    (tmp_path / "exams.csv").write_text(f"exam_id,patient_id,label,{','.join(pair)}\na,A,0,{images}\n")
    table = read_exam_table(tmp_path / "exams.csv", ViewNames(pair), identity_rules(gazekit.load_registry()))
    assert not table.assumed


def test_special_images_are_noted_once_for_all(tmp_path):
    raw = exams(tmp_path)
    faults = validate(raw, PreparationSettings(), jobs=0).faults
    assert faults is not None
    assert set(faults.notes) == {
        (exam, view, "is no usual image of its view: FOR PROCESSING")
        for exam, view in (("turned", "cc"), ("turned", "mlo"), ("mixed", "mlo"), ("both", "cc"))
    }
    summary = prepare(Folder(), tmp_path, tmp_path / "out", jobs=0)
    assert sum(each.kind == NOTE and "FOR PROCESSING" in each.what for each in summary.findings) == 4


def test_a_side_that_only_a_text_of_the_header_says_turns_the_image_as_predict_does(tmp_path):
    about = {"PatientID": "A", "ImageLaterality": None, "ViewCodeSequence": None}
    for name, said in (("1.dcm", {"ViewPosition": "RCC"}), ("2.dcm", {"ProtocolName": "R MLO"})):
        write_mammogram(tmp_path / name, side="R", **about | said)
    write_mammogram(tmp_path / "3.dcm", side="L", seed=3, **about | {"ViewPosition": "CC"})
    write_mammogram(tmp_path / "4_R_mlo.dcm", side="R", seed=4, **about)
    rows = "exam_id,patient_id,label,cc,mlo\na,A,0,1.dcm,2.dcm\nb,B,1,3.dcm,4_R_mlo.dcm\n"
    (tmp_path / "exams.csv").write_text(rows)
    prepare(Folder(), tmp_path, tmp_path / "out", jobs=0)
    dataset = PreparedDataset.open(tmp_path / "out")
    rules = identity_rules(gazekit.load_registry())
    predicted = read_exam_table(tmp_path / "exams.csv", ViewNames(("cc", "mlo")), rules)
    assert [exam.laterality for exam in predicted.exams] == [{"cc": "R", "mlo": "R"}, {"mlo": "R"}]
    turned = [{view: each.flip for view, each in of_exam.items()} for of_exam in dataset.geometry]
    assert turned == [{"cc": True, "mlo": True}, {"cc": False, "mlo": True}]
    listed = Exam("b", "B", "1", {"mlo": tmp_path / "4_R_mlo.dcm"}, laterality={"mlo": "L"})
    looked, _ = look_at_headers(listed, ("mlo",), ViewNames(("cc", "mlo")), rules, tmp_path)
    assert looked.laterality == {"mlo": "L"}, "the table says it"


def test_an_image_that_lies_as_one_of_the_other_side_is_a_finding(tmp_path):
    """As in sets whose right breasts were mirrored already."""
    rows = ["exam_id,patient_id,label,laterality,cc"]
    for number, (stored, side) in enumerate(("LL", "RR", "LR", "RL")):
        write_mammogram(tmp_path / f"{number}.dcm", side=stored, seed=number)
        rows.append(f"e{number},p{number},{number % 2},{side},{number}.dcm")
    (tmp_path / "exams.csv").write_text("\n".join(rows) + "\n")
    found = prepare(Folder(), tmp_path, tmp_path / "out", jobs=0, crop="breast").findings
    assert [(each.kind, each.about, each.what.partition(":")[0]) for each in found] == [
        (ODD, "e2 cc", "lies in its image as one of side L does, but is of side R"),
        (ODD, "e3 cc", "lies in its image as one of side R does, but is of side L"),
    ]
    unturned = prepare(Folder(), tmp_path, tmp_path / "as_is", jobs=0, crop="breast", laterality="off")
    assert not unturned.findings


SAID = {
    "ImageLaterality": [None, "L", "R", "B", " R"],
    "Laterality": [None, "L", "R"],
    "PatientOrientation": [None, ["P", "L"], ["A", "R"], ["P", "FL"], "MLO"],
    "ViewPosition": [None, "MLO", "RMLO", "LMLO", "XX"],
    "SeriesDescription": [None, "L MLO", "Right MLO", "LEFT", "R"],
    "ProtocolName": [None, "Left breast", "R MLO"],
    "FieldOfViewHorizontalFlip": [None, "YES", "NO"],
}
NAMES = ("a_mlo", "l_mlo", "mlo_r", "LEFT/mlo", "R/mlo", "left_mlo", "LMLO", "right/p_mlo")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.booleans(),
    st.fixed_dictionaries({tag: st.sampled_from(values) for tag, values in SAID.items()}),
)
def test_prepare_and_both_ways_to_predict_make_the_same_image_of_a_file(name, coded, tags):
    rules, views = identity_rules(gazekit.load_registry()), ViewNames(("mlo",))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        path = root / f"{name}.dcm"
        codes = view_sequence("MLO") if coded else None
        write_mammogram(path, PatientID="A", StudyInstanceUID="1.2.3", ViewCodeSequence=codes, **tags)
        (root / "exams.csv").write_text(f"exam_id,patient_id,label,mlo\na,A,0,{name}.dcm\n")
        (exam,) = (each for each in Folder().exams(root) if isinstance(each, Exam))
        exam, _ = look_at_headers(exam, views.views, views, rules, root)
        (of_table,) = read_exam_table(root / "exams.csv", views, rules).exams
        sides = [exam.laterality, of_table.laterality]
        if tags["ViewPosition"] != "XX":  # no view of the preset
            (loose,) = group_images([root], views.views, rules=rules).exams
            sides.append(loose.laterality)
        chosen = PreparationSettings(views=("mlo",), size=(32, 24), crop="none")
        made = [
            prepare_exam(Task(Exam("a", "A", "0", {"mlo": path}, laterality=each), {}, chosen, root))
            for each in sides
        ]
    assert all(isinstance(each, PreparedExam) for each in made)
    for other in made[1:]:
        np.testing.assert_array_equal(made[0].images, other.images)
        assert made[0].record.views[0].laterality == other.record.views[0].laterality


def test_exams_whose_patients_differ_between_table_and_headers_are_said(tmp_path):
    rows = []
    for number, (patient, own) in enumerate(
        (("A", "p1"), ("A", "p2"), ("B", "p2"), ("A", "p1"), ("anonymous", "p3"))
    ):
        write_mammogram(tmp_path / f"{number}.dcm", side="L", seed=number, PatientID=patient)
        rows.append(f"e{number},{own},{number % 2},{number}.dcm")
    (tmp_path / "exams.csv").write_text("\n".join(["exam_id,patient_id,label,cc", *rows]) + "\n")
    said: list[str] = []
    prepare(Folder(), tmp_path, tmp_path / "out", jobs=0, size=(16, 16), crop="none", warn=said.append)
    assert [line for line in said if line.startswith("exams ")] == [
        "exams e0 and e1 are of one patient by the headers of their images, and of two by the table: a split may put "
        "the patient on two sides; give them one patient_id",
        "exams e1 and e2 are of one patient by the table, and of two by the headers of their images: check patient_id",
    ]


def test_patients_of_two_hospitals_may_be_numbered_alike(tmp_path):
    said: list[str] = []
    compared = PatientIds(said.append)
    for number, hospital in enumerate(("one", "two")):
        compared.look(Exam(f"e{number}", f"p{number}", "0", {}, dataset=hospital), ["7"])
    assert said == []
    for number in range(2, 12):
        compared.look(Exam(f"e{number}", f"p{number}", "0", {}, dataset="one"), ["7", ""])
    assert len(said) == 6 and said[-1].startswith("further exams")
    said.clear()
    for number in range(9):
        compared.look(Exam(f"f{number}", "one patient", "0", {}), [f"{number}", f"{number}0"])
    assert len(said) == 6 and said[0].startswith("exams f0 and f1 are of one patient by the table")
