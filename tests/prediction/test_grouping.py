"""Loose files become exams: by header, by name and folder, in any order, never across patients, never guessed."""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from closed_folder import CLOSED, REASON, close_folders
from made_mammography import view_sequence, write_mammogram
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom import Sequence as DicomSequence

import gazekit
from gazekit.errors import DataError
from gazekit.prediction import loose_exams
from gazekit.prediction.exam_table import read_exam_table
from gazekit.prediction.file_grouping import (
    NO_PATIENT,
    NO_STUDY,
    SEVERAL_STUDIES,
    Grouping,
    LooseExam,
    group_images,
    without_views,
)
from gazekit.prediction.loose_exams import TrainedOn, find_exams
from gazekit.prepared.settings import PreparationSettings
from gazekit.reading.identifying.identity_rules import identity_rules
from gazekit.reading.identifying.view_names import ViewNames
from gazekit.records.identity import ImageIdentity

VIEWS = ("cc", "mlo")
COPY = "expected an image file; copy it again from its source"
RULES = identity_rules(gazekit.load_registry())


def grouped(paths: Iterable[Path], views: Sequence[str] = VIEWS, modalities: Sequence[str] = ()) -> Grouping:
    """Exams by the rules of all data sources, as ``predict`` makes them."""
    return group_images(paths, views, modalities, RULES)


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def dicom(path: Path, patient: str, side: str, view: str, **tags: object) -> Path:
    usual = {"StudyInstanceUID": "1.2.3", "Modality": "MG", "ViewCodeSequence": view_sequence(view)}
    usual |= {"PatientID": patient, "ImageLaterality": side}
    return write_mammogram(path, side=side, **usual | tags)


def nameless(path: Path, **tags: object) -> Path:
    """A mammogram whose header names no view and side."""
    return dicom(path, "A", "R", "CC", ViewCodeSequence=None, ImageLaterality=None, **tags)


def names(exams: list[LooseExam]) -> list[dict[str, str]]:
    return [{view: path.name for view, path in exam.images.items()} for exam in exams]


def test_dicom_files_without_telling_names_are_grouped_by_header_in_any_order(tmp_path: Path) -> None:
    wanted = {}
    files = []
    for number, (patient, side) in enumerate([("A", "L"), ("A", "R"), ("B", "L")]):
        for view in ("MLO", "CC"):
            files.append(dicom(tmp_path / f"IM{len(files):04d}", patient, side, view))
            wanted.setdefault(number, {})[view.lower()] = files[-1].name
    grouping = grouped(files, VIEWS)
    assert names(grouping.exams) == list(wanted.values()) and not grouping.left_out
    assert [exam.key for exam in grouping.exams] == ["IM0000+IM0001", "IM0002+IM0003", "IM0004+IM0005"]
    assert grouped(reversed(files), VIEWS) == grouping
    assert grouped([tmp_path], VIEWS) == grouping, "files without a suffix are found in a folder"


def test_a_closed_folder_costs_what_lies_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "P1_cc.png"), image(tmp_path / "P1_mlo.png"), image(tmp_path / CLOSED / "P2_cc.png")
    close_folders(monkeypatch)
    grouping = grouped([tmp_path])
    assert [exam.key for exam in grouping.exams] == ["P1"]
    assert list(grouping.remarks(grouping.names.__getitem__)) == [f"left out what lies in closed: {REASON}"]
    (tmp_path / "P1_cc.png").unlink(), (tmp_path / "P1_mlo.png").unlink()
    with pytest.raises(
        DataError, match=r"no image in the given paths; .*closed: the folder cannot be listed"
    ):
        grouped([tmp_path])


def test_the_header_is_believed_and_not_the_name(tmp_path: Path) -> None:
    files = [dicom(tmp_path / "1_mlo.dcm", "A", "L", "CC"), dicom(tmp_path / "1_cc.dcm", "A", "L", "MLO")]
    (exam,) = grouped(files, VIEWS).exams
    assert exam.images == {"cc": files[0], "mlo": files[1]}


def test_a_mask_by_its_name_is_an_image_by_its_header(tmp_path: Path) -> None:
    """Only of other files does the name say what they are."""
    files = [dicom(tmp_path / f"1_{view}_mask.dcm", "A", "L", view) for view in ("CC", "MLO")]
    assert names(grouped(files).exams) == [{"cc": "1_CC_mask.dcm", "mlo": "1_MLO_mask.dcm"}]
    with pytest.raises(DataError, match="none of the 2 images can be used: 2 × a mask, by its"):
        grouped([image(tmp_path / f"1_{view}_mask.png") for view in ("cc", "mlo")])


def test_a_file_whose_header_names_no_modality_may_be_of_the_models(tmp_path: Path) -> None:
    files = [dicom(tmp_path / view, "A", "L", view, Modality=None) for view in ("CC", "MLO")]
    (exam,) = grouped(files, modalities=["MG"]).exams
    assert not exam.refused


def test_an_image_that_is_left_out_is_no_reason_where_its_view_has_another(tmp_path: Path) -> None:
    other = dicom(tmp_path / "2", "A", "L", "CC", Modality="US")
    files = [dicom(tmp_path / "1", "A", "L", "CC"), other]
    (exam,) = grouped(files, modalities=["MG"]).exams
    assert exam.refused.startswith("no view 'mlo', only cc")
    files.append(dicom(tmp_path / "3", "A", "L", "MLO", Modality="US"))
    (exam,) = grouped(files, modalities=["MG"]).exams
    assert exam.refused.startswith("the only image of view 'mlo' is not used: modality US")


def test_a_study_of_special_images_alone_costs_no_other_study_its_exam(tmp_path: Path) -> None:
    files = [
        dicom(
            tmp_path / "0", "A", "L", "CC", StudyInstanceUID="1.0", StudyDate="20200101", **SPECIAL["spot"][0]
        )
    ]
    for study in ("1.1", "1.2"):
        for view in ("CC", "MLO"):
            tags = {"StudyInstanceUID": study, "StudyDate": "20200101"}
            files.append(dicom(tmp_path / f"{study}{view}", "A", "L", view, **tags))
    found = grouped(files)
    assert names(found.exams) == [{"cc": f"{study}CC", "mlo": f"{study}MLO"} for study in ("1.1", "1.2")]
    assert list(found.left_out) == ["spot compression, without the other views"]


def test_no_name_of_a_patient_is_in_the_name_of_an_image_that_is_left_out(tmp_path: Path) -> None:
    files = [dicom(tmp_path / view, "A", "L", view, PatientName="Doe^Jane") for view in ("CC", "MLO")]
    other = dicom(tmp_path / "Doe_3.dcm", "A", "L", "CC", PatientName="Doe^Jane", Modality="US")
    found = grouped([*files, other], modalities=["MG"])
    (said,) = found.remarks(found.names.__getitem__)
    assert said.startswith("left out 1 image (") and "modality US" in said and "Doe" not in said


def test_two_visits_are_two_exams_and_halves_of_two_visits_are_none(tmp_path: Path) -> None:
    first, second = {"StudyDate": "20200101"}, {"StudyDate": "20210101"}
    halves = [
        dicom(tmp_path / "a", "A", "L", "CC", **first),
        dicom(tmp_path / "b", "A", "L", "MLO", **second),
    ]
    assert all("the model reads cc, mlo" in exam.refused for exam in grouped(halves, VIEWS).exams)
    rest = [dicom(tmp_path / "c", "A", "L", "MLO", **first), dicom(tmp_path / "d", "A", "L", "CC", **second)]
    found = grouped(halves + rest, VIEWS).exams
    assert names(found) == [{"cc": "a", "mlo": "c"}, {"cc": "d", "mlo": "b"}]
    assert not any(exam.refused for exam in found)


def test_two_studies_of_one_day_are_told_apart_only_where_a_view_comes_twice(tmp_path: Path) -> None:
    day = {"StudyDate": "20200101"}
    apart = [
        dicom(tmp_path / v, "A", "L", v, StudyInstanceUID=f"1.{i}", **day)
        for i, v in enumerate(("CC", "MLO"))
    ]
    found = grouped(apart)
    (exam,) = found.exams
    assert not exam.refused and found.assumed == {SEVERAL_STUDIES: [exam.key]}
    again = [dicom(tmp_path / "MLO2", "A", "L", "MLO", StudyInstanceUID="1.0", **day)]
    again += [dicom(tmp_path / "CC2", "A", "L", "CC", StudyInstanceUID="1.1", **day)]
    found = grouped(apart + again)
    assert names(found.exams) == [{"cc": "CC", "mlo": "MLO2"}, {"cc": "CC2", "mlo": "MLO"}]
    assert not found.assumed


def test_studies_of_which_no_day_is_known_are_never_joined(tmp_path: Path) -> None:
    apart = [dicom(tmp_path / v, "A", "L", v, StudyInstanceUID=f"1.{i}") for i, v in enumerate(("CC", "MLO"))]
    assert [exam.refused[:13] for exam in grouped(apart).exams] == ["no view 'mlo'", "no view 'cc',"]


@pytest.mark.parametrize("patient", ["", "ANON", "anonymous", "Removed", "0000", "---", "XXXX", "N/A"])
def test_without_a_usable_patient_the_study_is_the_exam(tmp_path: Path, patient: str) -> None:
    files = [
        dicom(tmp_path / f"{study}{side}{view}", patient, side, view, StudyInstanceUID=f"1.2.{study}")
        for study in (1, 2)
        for side in "LR"
        for view in ("CC", "MLO")
    ]
    found = grouped(files)
    assert names(found.exams) == [
        {"cc": f"{study}{side}CC", "mlo": f"{study}{side}MLO"} for study in (1, 2) for side in "LR"
    ]
    assert not any(exam.refused for exam in found.exams)
    assert found.assumed == {NO_PATIENT: [exam.key for exam in found.exams]}
    # a left CC of one study and a right MLO of another, or of the same, are no exam
    for half in (files[0], files[7]), (files[0], files[5]), (files[0], files[3]):
        assert all("the model reads cc, mlo" in exam.refused for exam in grouped(half).exams)
        assert len(grouped(half).exams) == 2


def test_without_patient_and_study_what_is_joined_by_its_folder_is_said(tmp_path: Path) -> None:
    """Halves of two patients look like this, too."""
    unknown = {"StudyInstanceUID": None}
    files = [dicom(tmp_path / name, "", "L", name[1:], **unknown) for name in ("1CC", "2MLO")]
    found = grouped(files)
    assert names(found.exams) == [{"cc": "1CC", "mlo": "2MLO"}]
    assert found.assumed == {NO_STUDY: [exam.key for exam in found.exams]}
    named = [dicom(tmp_path / f"7_{view}.dcm", "", "L", view, **unknown) for view in ("CC", "MLO")]
    assert not grouped(named).assumed, "the names say it"


def test_one_patient_id_for_all_is_told_apart_by_name_or_refused(tmp_path: Path) -> None:
    named = [dicom(tmp_path / f"{n}_{v}.dcm", "removed", "L", v) for n in (1, 2) for v in ("CC", "MLO")]
    assert names(grouped(named, VIEWS).exams) == [
        {"cc": "1_CC.dcm", "mlo": "1_MLO.dcm"},
        {"cc": "2_CC.dcm", "mlo": "2_MLO.dcm"},
    ]
    nameless = [path.rename(path.with_name(f"IM{i}.dcm")) for i, path in enumerate(named)]
    (exam,) = grouped(nameless, VIEWS).exams
    assert exam.refused == "view 'cc' comes 2 times, and nothing says which one to use"


def test_views_of_a_visit_are_named_by_side(tmp_path: Path) -> None:
    files = [dicom(tmp_path / f"{s}{v}", "A", s, v) for s in "LR" for v in ("CC", "MLO")]
    (exam,) = grouped(files, ("l_cc", "l_mlo", "r_cc", "r_mlo")).exams
    assert set(exam.images) == {"l_cc", "l_mlo", "r_cc", "r_mlo"} and not exam.refused


def test_another_view_and_another_modality_are_left_out_with_the_reason(tmp_path: Path) -> None:
    pair = [dicom(tmp_path / view, "A", "L", view) for view in ("CC", "MLO")]
    lateral = dicom(tmp_path / "lateral", "A", "L", "CC", ViewCodeSequence=None, ViewPosition="ML")
    scan = dicom(tmp_path / "scan", "A", "L", "CC", Modality="CT")
    grouping = grouped([*pair, lateral, scan], VIEWS, ["MG"])
    assert names(grouping.exams) == [{"cc": "CC", "mlo": "MLO"}]
    assert grouping.left_out == {
        "view ML, but the model reads cc, mlo": [lateral],
        "modality CT, but the model was trained on MG": [scan],
    }
    with pytest.raises(DataError, match="none of the 1 images can be used: 1 × modality CT"):
        grouped([scan], VIEWS, ["MG"])
    assert grouped([scan], VIEWS).exams, "a model of PNG files knows no modality"


def test_views_are_words_of_the_name_in_any_order_and_case(tmp_path: Path) -> None:
    files = [image(tmp_path / name) for name in ("12_MLO.png", "a-cc-3.png", "12_CC.png", "a-mlo-3.png")]
    assert names(grouped(files, VIEWS).exams) == [
        {"cc": "12_CC.png", "mlo": "12_MLO.png"},
        {"cc": "a-cc-3.png", "mlo": "a-mlo-3.png"},
    ]
    sided = [image(tmp_path / f"x_{s}-{v}.png") for s in "LR" for v in VIEWS]
    (exam,) = grouped(sided, ("l_cc", "l_mlo", "r_cc", "r_mlo")).exams
    assert exam.images["r_mlo"].name == "x_R-mlo.png"


def test_a_folder_is_searched_and_patients_in_folders_stay_apart(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        for view in VIEWS:
            image(tmp_path / patient / f"left_{view}.png")
    exams = grouped([tmp_path], VIEWS).exams
    assert [{path.parent.name for path in exam.images.values()} for exam in exams] == [{"P1"}, {"P2"}]


def test_halves_of_two_patients_are_no_exam(tmp_path: Path) -> None:
    files = [image(tmp_path / "P1" / "left_cc.png"), image(tmp_path / "P2" / "left_mlo.png")]
    first, second = grouped(files, VIEWS).exams
    assert first.refused.startswith(
        "no view 'mlo', only cc; the model reads cc, mlo of one exam together; if the names"
    )
    assert second.refused.startswith("no view 'cc', only mlo")


def test_what_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    twice = [image(tmp_path / name) for name in ("1_cc.png", "1-cc.png", "1_mlo.png")]
    assert "comes 2 times" in grouped(twice, VIEWS).exams[0].refused
    with pytest.raises(DataError, match=r"2 × neither header nor name gives .* cc, mlo; a table can"):
        grouped([image(tmp_path / name) for name in ("x.png", "y.png")], VIEWS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no image in the given paths(?!.*table)"):
        grouped([tmp_path / "empty"], VIEWS)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "exams.csv").touch()
    with pytest.raises(DataError, match=r"give it: gazekit predict RUN FOLDER/exams\.csv$"):
        grouped([tmp_path / "table"], VIEWS)
    with pytest.raises(DataError, match="given path number 2: no such file"):
        grouped([tmp_path / "empty", tmp_path / "DOE_JANE.dcm"], VIEWS)


def test_one_view_needs_no_name(tmp_path: Path) -> None:
    exams = grouped([image(tmp_path / "scan.png"), image(tmp_path / "other.png")], ("cc",)).exams
    assert [list(exam.images) for exam in exams] == [["cc"], ["cc"]]


def modifier(code: str, meaning: str) -> DicomSequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    return DicomSequence([item])


def nested(view: str, code: str) -> DicomSequence:
    """The modifier inside the view's item, where the standard of today has it."""
    sequence = view_sequence(view)
    sequence[0].ViewModifierCodeSequence = modifier(code, "")
    return sequence


SPECIAL = {
    "spot": ({"ViewModifierCodeSequence": modifier("399055006", "Spot Compression")}, "spot compression"),
    "mag": ({"ViewCodeSequence": nested("CC", "399163009")}, "magnification"),
    "id": ({"ViewModifierCodeSequence": modifier("R-102D5", "")}, "implant displaced"),
    "unknown": ({"ViewModifierCodeSequence": modifier("1", "Upside down")}, "upside down"),
    "factor": ({"EstimatedRadiographicMagnificationFactor": "1.8"}, "magnification"),
    "text": ({"SeriesDescription": "L CC SPOT"}, "spot compression"),
    "processing": ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
    "partial": ({"PartialView": "YES"}, "a partial view"),
    "c-view": (
        {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
        "synthesised from tomosynthesis",
    ),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_the_usual_image_is_preferred_and_a_special_one_alone_is_said(tmp_path: Path, kind: str) -> None:
    tags, words = SPECIAL[kind]
    special = dicom(tmp_path / "a_special", "A", "L", "CC", **tags)
    mlo = dicom(tmp_path / "mlo", "A", "L", "MLO")
    alone = grouped([special, mlo])
    (exam,) = alone.exams
    assert exam.images == {"cc": special, "mlo": mlo} and not exam.refused
    assert alone.assumed == {f"view cc is there only as: {words}": [exam.key]} and not alone.left_out
    usual = dicom(tmp_path / "usual", "A", "L", "CC")
    beside = grouped([special, mlo, usual])
    (exam,) = beside.exams
    assert exam.images == {"cc": usual, "mlo": mlo} and not exam.refused and not beside.assumed
    assert beside.left_out == {f"{words}, next to the usual image of the view": [special]}


def test_a_special_image_that_a_table_names_is_said(tmp_path: Path) -> None:
    dicom(tmp_path / "1.dcm", "A", "L", "CC", PresentationIntentType="FOR PROCESSING")
    dicom(tmp_path / "2.dcm", "A", "L", "MLO")
    dicom(tmp_path / "3.dcm", "A", "L", "CC")
    (tmp_path / "t.csv").write_text("exam_id,cc,mlo\ne,1.dcm,2.dcm\nf,3.dcm,2.dcm\n")
    found = read_exam_table(tmp_path / "t.csv", ViewNames(VIEWS), RULES)
    assert [exam.laterality for exam in found.exams] == [{"cc": "L", "mlo": "L"}] * 2
    assert found.assumed == {"view cc is there only as: FOR PROCESSING": ["e"]}


def test_a_file_of_a_table_that_cannot_be_looked_up_costs_its_exam_alone(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "far.png").symlink_to(
        "a" * 300
    )  # looking it up fails, as in a folder that may not be entered
    table = tmp_path / "exams.csv"
    table.write_text("exam_id,cc,mlo\ne1,a.png,a.png\ne2,a.png,far.png\n")
    found = read_exam_table(table, ViewNames(VIEWS), RULES)
    assert names(found.exams) == [{"cc": "a.png", "mlo": "a.png"}, {"cc": "a.png", "mlo": "far.png"}]
    trained_on = TrainedOn(VIEWS, asdict(PreparationSettings(VIEWS, (16, 16))))  # sides from headers only
    assert len(find_exams([table], trained_on, gazekit.load_registry()).exams) == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("exam_id,l_cc,r_cc,l_mlo,r_mlo", "columns l_cc and r_cc both stand for cc; expected one"),
        ("exam_id,cc,CC,mlo,other", "columns cc and CC both stand for cc"),
        ("exam_id,Exam ID,cc,mlo,other", "columns exam_id and Exam ID both stand for exam_id"),
    ],
)
def test_two_columns_of_one_meaning_are_refused(tmp_path: Path, header: str, message: str) -> None:
    """The last was taken, and the left side of a table with a row per patient was never predicted."""
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\n" + ",".join(["a.png"] * 5) + "\n")
    with pytest.raises(DataError, match=message):
        read_exam_table(table, ViewNames(VIEWS), RULES)


@pytest.mark.parametrize(
    "words", ["exam_id,patient_id,laterality,cc", "Exam ID,PatientID,Side,image path", "id,patient,side,file"]
)
def test_a_table_of_one_view_says_exam_patient_side_image_and_covariates(tmp_path: Path, words: str) -> None:
    path = image(tmp_path / "a.png")
    table = tmp_path / "t.csv"
    table.write_text(f"{words},covariate_age,age,Age\ne1,p1,left,a.png,50,1,2\ne2,NA,,NA,,,\n")
    found = read_exam_table(table, ViewNames(("cc",)), RULES)
    first, second = found.exams
    assert first == LooseExam("e1", {"cc": path}, "p1", "", {"cc": "L"}, {"age": 50.0})
    assert (second.images, second.patient, second.laterality, second.covariates) == ({}, "", {}, {})
    assert second.refused.startswith("no image of view 'cc' in the table")


def test_a_row_that_lacks_a_view_is_predicted_from_the_others_if_asked_for(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    table = tmp_path / "t.csv"
    table.write_text("exam_id,cc,mlo\ne1,a.png,\ne2,a.png,a.png\ne3,,\n")
    found = read_exam_table(table, ViewNames(VIEWS), RULES, keep_missing=True)
    assert [bool(exam.refused) for exam in found.exams] == [False, False, True]
    assert found.assumed == {without_views(["mlo"]): ["e1"]}


def test_how_many_images_or_rows_were_looked_at_is_told_now_and_then(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    for number in range(125):
        for view in VIEWS:
            (tmp_path / f"{number}_{view}.png").touch()
    group_images([tmp_path], VIEWS, rules=RULES, report=lambda *at: told.append(at))
    assert told == [(100, 250), (200, 250)]
    rows = [f"{number},{number}_cc.png,{number}_mlo.png" for number in range(125)]
    (tmp_path / "t.csv").write_text("\n".join(["exam_id,cc,mlo", *rows]))
    told.clear()
    read_exam_table(tmp_path / "t.csv", ViewNames(VIEWS), RULES, report=lambda *at: told.append(at))
    assert told == [(100, None)]


@pytest.mark.parametrize("said", ["L_MLO", "MLO L", "LEFT MLO", "LMLO"])
def test_a_side_may_stand_in_the_view_position(tmp_path: Path, said: str) -> None:
    nameless(tmp_path / "1", ViewPosition="L CC")
    nameless(tmp_path / "2", ViewPosition=said)
    (exam,) = grouped([tmp_path]).exams
    assert (exam.refused, exam.laterality) == ("", {"cc": "L", "mlo": "L"})


def test_of_special_images_that_for_processing_is_nearest_to_the_usual_one(tmp_path: Path) -> None:
    raw = dicom(tmp_path / "raw", "A", "L", "CC", PresentationIntentType="FOR PROCESSING")
    spot = dicom(tmp_path / "a_spot", "A", "L", "CC", **SPECIAL["spot"][0])
    mlo = dicom(tmp_path / "mlo", "A", "L", "MLO")
    (exam,) = grouped([raw, spot, mlo]).exams
    assert exam.images["cc"] == raw and not exam.refused
    again = dicom(tmp_path / "another_spot", "A", "L", "CC", **SPECIAL["spot"][0])
    (exam,) = grouped([spot, again, mlo]).exams
    assert exam.refused.startswith("view 'cc' comes 2 times (as spot compression)")


def test_special_images_without_the_other_views_are_left_out(tmp_path: Path) -> None:
    pair = [dicom(tmp_path / view, "A", "L", view) for view in ("CC", "MLO")]
    spot = dicom(tmp_path / "later", "A", "L", "CC", **SPECIAL["spot"][0], StudyDate="20240202")
    found = grouped([*pair, spot])
    assert names(found.exams) == [{"cc": "CC", "mlo": "MLO"}]
    assert found.left_out == {"spot compression, without the other views": [spot]}


def test_a_stack_of_tomosynthesis_is_left_out_and_named_where_there_is_nothing_else(tmp_path: Path) -> None:
    stack = dicom(tmp_path / "stack", "A", "L", "CC", NumberOfFrames=60)
    pair = [dicom(tmp_path / view, "A", "L", view) for view in ("CC", "MLO")]
    reason = "a stack of 60 frames, as of tomosynthesis"
    beside = grouped([stack, *pair])
    assert names(beside.exams) == [{"cc": "CC", "mlo": "MLO"}] and not beside.exams[0].refused
    assert beside.left_out == {reason: [stack]}
    (exam,) = grouped([stack, pair[1]]).exams
    assert exam.refused == f"the only image of view 'cc' is not used: {reason}"


def test_names_of_other_formats_say_what_is_special(tmp_path: Path) -> None:
    usual = [image(tmp_path / f"12_L_{view}.png") for view in VIEWS]
    spot = image(tmp_path / "12_L_cc_spot.png")
    found = grouped([*usual, spot])
    assert names(found.exams) == [{"cc": "12_L_cc.png", "mlo": "12_L_mlo.png"}]
    assert found.left_out == {"spot compression, next to the usual image of the view": [spot]}
    (exam,) = grouped([spot, usual[1]]).exams
    assert (exam.key, exam.images["cc"], exam.refused) == ("12_L", spot, "")


def test_a_model_of_one_view_takes_each_usual_image_and_no_special_one(tmp_path: Path) -> None:
    first, second = (dicom(tmp_path / f"{number}.dcm", "A", "L", "CC") for number in (1, 2))
    spot = dicom(tmp_path / "spot.dcm", "A", "L", "CC", **SPECIAL["spot"][0])
    mlo = dicom(tmp_path / "mlo.dcm", "A", "L", "MLO")
    found = grouped([first, second, spot, mlo], ("cc",))
    assert [exam.images for exam in found.exams] == [{"cc": first}, {"cc": second}]
    assert not any(exam.refused for exam in found.exams)
    assert found.left_out == {
        "spot compression, next to the usual image of the view": [spot],
        "view mlo, but the model reads cc": [mlo],
    }


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesDescription": "L {view}"},
        {"ProtocolName": "Left {view} 24x29"},
        {"ViewPosition": "L{view}"},
        {"BodyPartExamined": "BREAST L {view}"},
        {"StudyDescription": "{long}"},
    ],
    ids=lambda tags: next(iter(tags)),
)
def test_views_and_sides_are_read_from_the_texts_of_a_header(tmp_path: Path, tags: dict[str, str]) -> None:
    long = {"CC": "left cranio-caudal", "MLO": "left medio-lateral oblique"}
    files = []
    for view in ("CC", "MLO"):
        said = {name: text.format(view=view, long=long[view]) for name, text in tags.items()}
        files.append(nameless(tmp_path / f"IM{len(files)}", **said))
    (exam,) = grouped(files).exams
    assert exam.images == dict(zip(VIEWS, files, strict=True)) and not exam.refused
    assert exam.laterality == {"cc": "L", "mlo": "L"}


def test_views_and_sides_are_read_from_folders(tmp_path: Path) -> None:
    files = [
        nameless(tmp_path / side / view / "0012.dcm") for side in ("LEFT", "RIGHT") for view in ("CC", "MLO")
    ]
    found = grouped([tmp_path])
    assert [exam.images for exam in found.exams] == [
        {"cc": files[0], "mlo": files[1]},
        {"cc": files[2], "mlo": files[3]},
    ]
    assert [exam.laterality["cc"] for exam in found.exams] == ["L", "R"]


SIDED = [
    ("l_cc", "l_mlo", "r_cc", "r_mlo"),
    ("L-CC", "L-MLO", "R-CC", "R-MLO"),
    ("LCC", "LMLO", "RCC", "RMLO"),
]


@pytest.mark.parametrize("views", SIDED, ids=lambda views: views[0])
def test_views_with_a_side_are_found_in_headers_and_names(tmp_path: Path, views: tuple[str, ...]) -> None:
    for files in (
        [dicom(tmp_path / "d" / f"{s}{v}", "A", s, v) for s in "LR" for v in ("CC", "MLO")],
        [image(tmp_path / "p" / f"x_{s}-{v}.png") for s in "LR" for v in VIEWS],
        [image(tmp_path / "q" / f"x_{s}{v}.png") for s in "lr" for v in VIEWS],
    ):
        (exam,) = grouped(files, views).exams
        assert exam.images == dict(zip(views, files, strict=True)) and not exam.refused
        assert exam.laterality == dict(zip(views, "LLRR", strict=True))


def test_a_file_that_cannot_be_read_is_why_its_exam_lacks_a_view(tmp_path: Path) -> None:
    text = tmp_path / "12_cc.dcm"
    text.write_text("a note")
    mlo = dicom(tmp_path / "12_mlo.dcm", "A", "L", "MLO")
    (exam,) = grouped([text, mlo]).exams
    assert exam.images == {"cc": text, "mlo": mlo}
    assert exam.refused.startswith("view cc: not a DICOM file (no DICM prefix)")
    alone = tmp_path / "13_mlo.dcm"
    alone.write_text("a note")
    assert [exam.key for exam in grouped([alone, text, mlo]).exams] == ["12", "13"]


def test_a_link_to_nothing_or_a_pipe_costs_its_exam_and_is_not_passed_over(tmp_path: Path) -> None:
    pair = [image(tmp_path / f"12_{view}.png") for view in VIEWS]
    for view in VIEWS:
        (tmp_path / f"13_{view}.png").symlink_to(tmp_path / "annex" / view)
        os.mkfifo(tmp_path / f"14_{view}.png")
    (tmp_path / "15_cc.png").symlink_to(tmp_path / "15_cc.png")
    found = grouped([tmp_path])
    assert [exam.images for exam in found.exams if not exam.refused] == [dict(zip(VIEWS, pair, strict=True))]
    assert [exam.refused for exam in found.exams if exam.refused] == [
        f"view mlo: is a link to nothing; {COPY}",
        f"view mlo: cannot be read (Not a regular file); {COPY}",
        f"view cc: is a link to nothing; {COPY}",
    ]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file whose reading fails")
def test_a_failing_disk_costs_the_exam_whose_file_it_cannot_read(tmp_path: Path) -> None:
    pair = [image(tmp_path / f"12_{view}.png") for view in VIEWS]
    (tmp_path / "13_cc.png").symlink_to("/proc/self/mem")
    image(tmp_path / "13_mlo.png")
    good, bad = grouped([tmp_path]).exams
    assert good.images == dict(zip(VIEWS, pair, strict=True)) and not good.refused
    assert bad.refused == f"view cc: cannot be read (Input/output error); {COPY}"


def without_image(path: Path) -> Path:
    dataset = dcmread(dicom(path, "A", "L", "CC"))
    for name in ("Rows", "Columns", "PixelData"):
        delattr(dataset, name)
    dataset.save_as(path)
    return path


def test_what_is_no_image_of_a_patient_is_left_out(tmp_path: Path) -> None:
    pair = [image(tmp_path / f"12_{view}.png") for view in VIEWS]
    others = {
        "a mask, by its name": image(tmp_path / "masks" / "12_cc.png"),
        "not an image but another kind of DICOM object": without_image(tmp_path / "12_cc.dcm"),
        "in colour, like drawings over an image": dicom(
            tmp_path / "14.dcm", "A", "L", "CC", SamplesPerPixel=3
        ),
    }
    found = grouped([tmp_path])
    assert [exam.images for exam in found.exams] == [dict(zip(VIEWS, pair, strict=True))]
    assert found.left_out == {reason: [path] for reason, path in others.items()}


def test_links_to_one_image_are_one_image(tmp_path: Path) -> None:
    pair = [dicom(tmp_path / view, "A", "L", view) for view in ("CC", "MLO")]
    (tmp_path / "again").symlink_to(pair[0])
    (exam,) = grouped([tmp_path]).exams
    assert not exam.refused and set(exam.images) == set(VIEWS)
    assert not grouped([tmp_path]).left_out


def test_studies_of_one_day_are_told_apart_by_themselves_and_not_by_names(tmp_path: Path) -> None:
    day = {"StudyDate": "20200101"}
    for study in ("1.1", "1.2"):
        for name, view in (("a_cc", "CC"), ("b_mlo", "MLO")):
            dicom(tmp_path / study / f"{name}.dcm", "A", "L", view, StudyInstanceUID=study, **day)
    found = grouped([tmp_path])
    assert [{path.parent.name for path in exam.images.values()} for exam in found.exams] == [{"1.1"}, {"1.2"}]
    assert not any(exam.refused for exam in found.exams)


@pytest.mark.parametrize("named", [("1", "2", "3", "4"), ("1_cc", "1_mlo", "2_cc", "4")])
def test_a_view_that_comes_twice_in_a_study_is_told_apart_where_all_names_say_the_view(
    tmp_path: Path, named: tuple[str, ...]
) -> None:
    for name, view in zip(named, ("CC", "MLO") * 2, strict=True):
        dicom(tmp_path / f"{name}.dcm", "A", "L", view)
    (exam,) = grouped([tmp_path]).exams
    assert exam.refused.startswith("view 'cc' comes 2 times, and nothing says which one to use")


def test_special_images_are_used_where_they_show_every_view(tmp_path: Path) -> None:
    raw = SPECIAL["processing"][0]
    pair = [dicom(tmp_path / view, "A", "L", view, **raw) for view in ("CC", "MLO")]
    found = grouped(pair)
    (exam,) = found.exams
    assert not exam.refused and not found.left_out
    assert found.assumed == {f"view {view} is there only as: FOR PROCESSING": [exam.key] for view in VIEWS}
    usual = dicom(tmp_path / "usual", "A", "L", "CC")
    (exam,) = grouped([pair[0], usual]).exams
    assert exam.images == {"cc": usual} and exam.refused.startswith("no view 'mlo', only cc")
    again = dicom(tmp_path / "again", "A", "L", "CC")
    (exam,) = grouped([usual, again]).exams
    assert exam.refused.startswith("view 'cc' comes 2 times")


def test_loose_images_of_an_exam_that_lacks_a_view_are_predicted_without_if_asked_for(tmp_path: Path) -> None:
    found = group_images([image(tmp_path / "1_cc.png")], VIEWS, rules=RULES, keep_missing=True)
    (exam,) = found.exams
    assert not exam.refused and found.assumed == {without_views(["mlo"]): [exam.key]}


def test_a_link_to_nothing_costs_the_exam_of_its_name_alone(tmp_path: Path) -> None:
    for name in ("1_cc", "2_cc", "2_mlo"):
        dicom(tmp_path / f"{name}.dcm", name[0], "L", name[2:].upper())
    for name in ("3_mlo.dcm", "2_mlo.png"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere" / name)
    found = grouped([tmp_path])
    assert [(sorted(path.name for path in e.images.values()), e.refused[:12]) for e in found.exams] == [
        (["1_cc.dcm"], "no view 'mlo"),
        (["2_cc.dcm", "2_mlo.dcm"], ""),
        (["2_mlo.png"], "view mlo: is"),
        (["3_mlo.dcm"], "view mlo: is"),
    ]
    (tmp_path / "1_mlo.dcm").symlink_to(tmp_path / "nowhere" / "1_mlo.dcm")
    exam = grouped([tmp_path]).exams[0]
    assert len(exam.images) == 2 and exam.refused.startswith("view mlo: is")


def test_names_of_exams_are_told_apart_by_folders_and_else_numbered(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        for view in VIEWS:
            image(tmp_path / "png" / patient / f"scan_{view}.png")
            dicom(tmp_path / "dicom" / patient / f"left_{view}.dcm", patient, "L", view.upper())
    assert [exam.key for exam in grouped([tmp_path / "png"]).exams] == ["P1_scan", "P2_scan"]
    # an archive may call a folder by the patient
    assert [exam.key for exam in grouped([tmp_path / "dicom"]).exams] == ["exam-0001", "exam-0002"]


@pytest.mark.parametrize("between", ["", "_"])
def test_both_breasts_in_files_called_by_side_and_view_are_told_apart_by_their_sides(
    tmp_path: Path, between: str
) -> None:
    """They were exam-0001 and exam-0002, and nobody could say which breast is which."""
    for patient in ("P1", "P2"):
        for side, view in itertools.product("LR", ("CC", "MLO")):
            image(tmp_path / "png" / patient / f"{side}{between}{view}.png")
            dicom(tmp_path / "dicom" / patient / f"{side}{view}.dcm", patient, side, view)

    def keys(folder: str) -> list[str]:
        return [exam.key for exam in grouped([tmp_path / folder]).exams]

    assert keys("png/P1") == ["P1_L", "P1_R"] and keys("png") == ["P1_L", "P1_R", "P2_L", "P2_R"]
    assert keys("dicom/P1") == ["exam-0001_L", "exam-0002_R"]
    assert keys("dicom") == ["exam-0001_L", "exam-0002_R", "exam-0003_L", "exam-0004_R"]


def test_breasts_of_two_folders_are_told_apart_by_the_folders_and_not_by_their_sides(tmp_path: Path) -> None:
    """They were scan_L and scan_R, as if of one patient."""
    for patient, side in (("P1", "L"), ("P2", "R")):
        for view in ("CC", "MLO"):
            image(tmp_path / patient / f"scan_{side}{view}.png")
    assert [exam.key for exam in grouped([tmp_path]).exams] == ["P1_scan", "P2_scan"]


@pytest.mark.parametrize(
    "names", [("cc", "mlo"), ("LCC", "LMLO"), ("L_CC", "L_MLO"), ("left_cc", "left_mlo")]
)
def test_an_exam_whose_files_are_called_by_their_views_is_called_by_its_folder(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """Whether the folder is given, in which no further folder is, or the files."""
    files = [image(tmp_path / "P7" / f"{name}.png") for name in names]
    for given in ([tmp_path / "P7"], files, [tmp_path]):
        assert [exam.key for exam in grouped(given).exams] == ["P7"]


def test_data_sources_that_contradict_each_other_leave_the_image_out(tmp_path: Path) -> None:
    path = image(tmp_path / "12_cc.png")
    rules = {
        "one": lambda _header, _path: ImageIdentity(side="L", view="cc"),
        "other": lambda _header, _path: ImageIdentity(view="mlo"),
        "stranger": lambda _header, _path: None,
    }
    message = "the data sources one and other disagree about its view"
    with pytest.raises(DataError, match=message):
        group_images([path], VIEWS, rules=rules)
    rules["other"] = lambda _header, _path: ImageIdentity(patient="P", view="cc")
    (exam,) = group_images([path], VIEWS, rules=rules).exams
    assert (exam.patient, exam.laterality) == ("P", {"cc": "L"})


def test_exams_of_several_inputs_are_told_apart_without_comparing_each_with_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    exams = [LooseExam(Key(number), {}) for number in range(300)]
    monkeypatch.setattr(loose_exams, "read_exam_table", lambda *_, **__: Grouping(list(exams)))
    table = tmp_path / "exams.csv"
    table.touch()
    trained_on = TrainedOn(VIEWS, asdict(PreparationSettings(VIEWS, (16, 16))), sides=())
    registry = gazekit.load_registry()
    assert len(find_exams([table], trained_on, registry).exams) == 300
    assert compared < 300
    with pytest.raises(DataError, match="exam 0 comes from two of the inputs"):
        find_exams([table, table], trained_on, registry)
