"""The folder data set: tables as people write them, and every way to get one wrong."""

import re
from unicodedata import normalize

import numpy as np
import openpyxl
import pytest
from gazekit_datasets.folder import Folder
from made_preparation import prepare
from PIL import Image

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.exam import Finding
from gazekit.records.lesions import MaskFile

GOOD = "exam_id,patient_id,label,split,laterality,cc,mlo,cc_gaze,mlo_mask\n"
ROWS = "a,p1,1,train,L,i/a.dcm,i/b.png,g/a.csv,m/b.png\nb,p1,0,test,right,i/c.png,,,\n"


def table(root, text, encoding="utf-8"):
    (root / "exams.csv").write_bytes(text.encode(encoding))
    return root


def test_exams_say_what_the_table_says(tmp_path):
    first, second = Folder().exams(table(tmp_path, GOOD + ROWS))
    assert (first.exam_id, first.patient_id, first.label, first.part) == ("a", "p1", "1", "train")
    assert first.images == {"cc": tmp_path / "i/a.dcm", "mlo": tmp_path / "i/b.png"}
    assert (first.gaze, first.gaze_reader) == ({"cc": tmp_path / "g/a.csv"}, "auto")
    assert first.masks == {"mlo": (MaskFile(tmp_path / "m/b.png"),)}
    assert (first.laterality["cc"], second.laterality["mlo"]) == ("L", "R")
    assert second.images == {"cc": tmp_path / "i/c.png"}
    assert (second.gaze, second.masks, second.gaze_reader) == ({}, {}, None)


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8-sig"),
        (lambda text: text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace(",", " , ").replace("\n", " \n"), "utf-8"),
        (lambda text: text + "\n\n", "utf-8"),
        (lambda text: text.replace("i/", "i\\"), "utf-8"),
        (lambda text: text.replace("p1", '"p1"'), "utf-8"),
        (lambda text: text.replace(",", "\t"), "utf-16"),
    ],
)
def test_habits_of_spreadsheets_change_nothing(tmp_path, change, encoding):
    expected = list(Folder().exams(table(tmp_path, GOOD + ROWS)))
    assert list(Folder().exams(table(tmp_path, change(GOOD + ROWS), encoding))) == expected


def test_a_quoted_name_may_hold_the_other_separator(tmp_path):
    text = 'exam_id;patient_id;label;cc\na;"Ward 3, bed 2";1;a.png\n'
    (exam,) = Folder().exams(table(tmp_path, text))
    assert exam.patient_id == "Ward 3, bed 2"


def test_other_columns_are_no_views(tmp_path):
    text = "exam_id,patient_id,age,label,cc,notes,raw\na,p,57,1,,none,scan\nb,q,61,0,b.png,,scan\n"
    (tmp_path / "scan").write_bytes(b"a DICOM file without a suffix")
    age, notes, first, second = Folder().exams(table(tmp_path, text))
    assert (set(first.images), set(second.images)) == ({"raw"}, {"cc", "raw"})
    assert (age.kind, age.about) == ("note", "age") and "2 of 2 cells name neither an image" in age.what
    assert (notes.kind, notes.about) == ("dropped", "notes") and "no cell says anything" in notes.what
    *left_out, chosen, _ = Folder(views=("raw",)).exams(tmp_path)
    assert set(chosen.images) == {"raw"}
    assert [each.about for each in left_out] == ["age", "cc", "notes"]


@pytest.mark.parametrize("word", ["NA", "nan", "NaN", "None", "none", "-", "", "n/a", "#N/A", "<NA>", "NULL"])
def test_words_for_nothing_mean_an_empty_cell_in_every_column(tmp_path, word):
    text = (
        "exam_id,patient_id,label,laterality,dataset,cc,mlo,cc_mask\n"
        f"a,p,1,{word},{word},{word},a.png,{word}\nb,q,0,L,north,b.png,b2.png,m.png\n"
    )
    first, second = Folder().exams(table(tmp_path, text))
    assert first.images == {"mlo": tmp_path / "a.png"}
    assert (first.masks, dict(first.laterality), first.dataset) == ({}, {}, "")
    assert second.images == {"cc": tmp_path / "b.png", "mlo": tmp_path / "b2.png"}
    for name, row in {"exam_id": f"{word},p,1", "patient_id": f"a,{word},1", "label": f"a,p,{word}"}.items():
        said = "is empty" if not word else f"is '{word}', which means missing"
        with pytest.raises(DataError, match=f"row 2: {name} {re.escape(said)}"):
            list(Folder().exams(table(tmp_path, f"exam_id,patient_id,label,cc\n{row},a.png\n")))


def test_a_view_whose_first_rows_do_not_say_so_stays_a_view(tmp_path):
    """Half of the cells decide, wherever they stand."""
    cells = ["NA", '"b_cc"', "c_cc.PNG", "d_cc.png"]
    rows = [f"e{i},p{i},{i % 2},{cell},x{i}.png" for i, cell in enumerate(cells)]
    *findings, first, second, third, _ = Folder().exams(
        table(tmp_path, "exam_id,patient_id,label,cc,mlo\n" + "\n".join(rows) + "\n")
    )
    assert set(first.images) == {"mlo"}
    assert second.images["cc"] == tmp_path / "b_cc"
    assert third.images["cc"] == tmp_path / "c_cc.PNG"
    assert findings == []


def test_a_column_with_few_images_is_named_with_the_reason(tmp_path):
    rows = [f"e{i},p{i},{i % 2},x{i}.png,{'x0.png' if i == 3 else 'fine'}" for i in range(4)]
    notes, *exams = Folder().exams(table(tmp_path, "exam_id,patient_id,label,cc,notes\n" + "\n".join(rows)))
    assert (notes.kind, notes.about) == ("dropped", "notes")
    assert "3 of 4 cells name neither an image" in notes.what
    assert "fine" not in notes.what  # findings lie beside prepared data, and a note may name a patient
    assert all(set(exam.images) == {"cc"} for exam in exams)


def test_columns_are_known_in_any_case_and_a_word_says_so(tmp_path):
    text = "Exam_Id,Patient ID,LABEL,cc,CC_Gaze,CC_mask\na,p,1,a.png,g.csv,m.png\nb,q,0,b.png,,\n"
    *notes, first, _ = Folder().exams(table(tmp_path, text))
    assert (first.exam_id, first.patient_id, first.label) == ("a", "p", "1")
    assert first.gaze == {"cc": tmp_path / "g.csv"} and first.masks == {"cc": (MaskFile(tmp_path / "m.png"),)}
    assert [(each.about, each.what) for each in notes] == [
        ("Exam_Id", "column read as exam_id"),
        ("Patient ID", "column read as patient_id"),
        ("LABEL", "column read as label"),
    ]
    with pytest.raises(DataError, match="columns Exam_ID and exam id both stand for exam_id"):
        list(Folder().exams(table(tmp_path, "Exam_ID,exam id,patient_id,label,cc\na,a,p,1,a.png\n")))


def test_a_first_line_that_names_the_separator_is_no_header(tmp_path):
    expected = list(Folder().exams(table(tmp_path, GOOD + ROWS)))
    for first in ("sep=;", '"sep=;"', "SEP=;"):
        text = first + "\n" + (GOOD + ROWS).replace(",", ";")
        assert list(Folder().exams(table(tmp_path, text))) == expected
    with pytest.raises(DataError, match="row 4: split is 'dev'"):
        list(Folder().exams(table(tmp_path, "sep=,\n" + GOOD + ROWS.replace("test", "dev"))))


def test_a_workbook_says_the_same_as_text(tmp_path):
    expected = list(Folder().exams(table(tmp_path, GOOD + ROWS)))
    book = openpyxl.Workbook()
    for line in (GOOD + ROWS).splitlines():
        book.active.append([int(cell) if cell.isdecimal() else cell for cell in line.split(",")])
    book.save(tmp_path / "exams.xlsx")
    beside, *again = Folder().exams(tmp_path)
    assert (beside.kind, beside.about) == ("dropped", "exams.xlsx") and again == expected
    (tmp_path / "exams.csv").unlink()
    assert list(Folder().exams(tmp_path)) == expected
    book.active.append([f" {cell.value.upper()}" for cell in book.active[1]])
    book.save(tmp_path / "exams.xlsx")
    with pytest.raises(DataError, match="row 4: repeats the names of the columns"):
        list(Folder().exams(tmp_path))


def test_files_are_found_though_case_and_accents_differ_on_the_disk(tmp_path):
    composed, decomposed = (normalize(form, "Früh/Å_cc") for form in ("NFC", "NFD"))
    folder = tmp_path / decomposed.split("/")[0]
    folder.mkdir()
    (folder / f"{decomposed.split('/')[1]}.PNG").touch()
    for name in ("x.png", "X.png"):
        (tmp_path / name).touch()
    text = f"exam_id,patient_id,label,cc\na,p,1,{composed}.png\nb,q,0,x.PNG\nc,q,0,x.png\n"
    first, second, third, note = Folder().exams(table(tmp_path, text))
    assert first.images["cc"] == tmp_path / f"{decomposed}.PNG" and first.images["cc"].is_file()
    assert second.images["cc"] == tmp_path / "x.PNG"  # two could be meant: neither is taken
    assert third.images["cc"] == tmp_path / "x.png"
    assert (note.kind, note.about) == ("note", "1 × .png")


def test_accents_do_not_make_two_patients_of_one(tmp_path):
    names = [normalize(form, "Müller") for form in ("NFC", "NFD")]
    rows = "".join(f"e{i},{name},{i},{i}.png\n" for i, name in enumerate(names))
    assert (
        len({e.patient_id for e in Folder().exams(table(tmp_path, "exam_id,patient_id,label,cc\n" + rows))})
        == 1
    )


def test_words_for_the_parts_of_a_split_are_known(tmp_path):
    words = ["Train", "training", "VALIDATION", "valid", "Testing", "test"]
    rows = "".join(f"e{i},p{i},{i % 2},{word},{i}.png\n" for i, word in enumerate(words))
    exams = Folder().exams(table(tmp_path, "exam_id,patient_id,label,split,cc\n" + rows))
    assert [exam.part for exam in exams] == ["train", "train", "val", "val", "test", "test"]


def test_a_split_column_without_a_word_is_no_split(tmp_path):
    for word, other in (("", "na"), ("-", "None")):
        rows = f"a,p,1,{word},a.png\nb,q,0,{other},b.png\n"
        finding, *exams = Folder().exams(table(tmp_path, "exam_id,patient_id,label,Split,cc\n" + rows))
        assert [exam.part for exam in exams] == [None, None]
        assert (finding.kind, finding.about, finding.what) == (
            *("dropped", "Split"),
            "column dropped: no cell says anything",
        )
    with pytest.raises(DataError, match="row 3: split is 'NA'; expected train, val, test in every row"):
        list(
            Folder().exams(
                table(tmp_path, "exam_id,patient_id,label,split,cc\na,p,1,train,a.png\nb,q,0,NA,b.png\n")
            )
        )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("exam_id,patient,label", "if patient is meant, rename it patient_id$"),
        (
            "id,patientid,diagnosis",
            "if id is meant, rename it exam_id; if diagnosis is meant, rename it label$",
        ),
        ("exam_id,label,age", "if each exam is another patient, copy exam_id"),
        ("exam_id,patient_id,labell", "if labell is meant, rename it label$"),
        ("exam_id,patient_id,lateral", r"add it, with the class of each exam \(benign, malignant\)$"),
        ("e1,p1,benign", "expected a first row that names exam_id, patient_id, label$"),
    ],
)
def test_a_missing_column_is_advised_on_and_not_as_an_eye_trackers(tmp_path, columns, expected):
    with pytest.raises(DataError, match=expected) as caught:
        list(Folder().exams(table(tmp_path, f"{columns},cc\na,p,1,a.png\n")))
    assert "exporter" not in str(caught.value)


def test_where_no_table_is_the_next_step_is_named(tmp_path):
    def told(root):
        with pytest.raises(DataError, match=r"exams\.csv: there is no such file") as caught:
            list(Folder().exams(root))
        return str(caught.value)

    sub = tmp_path / "sub"
    sub.mkdir()
    table(sub, GOOD + ROWS)
    assert told(tmp_path).endswith(f"there is one in {sub}: give that folder")
    (tmp_path / "cases.csv").touch()
    assert told(tmp_path).endswith("if cases.csv is that table, rename it exams.csv")
    (tmp_path / "cases.xls").touch()
    assert told(tmp_path).endswith("save cases.xls as exams.xlsx or as exams.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the first row is empty; expected the names of the columns"),
        ("exam_id,label,cc\na,1,a.png\n", "no column patient_id; the file has exam_id, label, cc"),
        ("exam_id,patient_id,label,cc\n", "no rows below the header"),
        (
            "exam_id,patient_id,label,cc\na,p,1,a.png\nexam_id,patient_id,label,cc\nb,q,0,b.png\n",
            "row 3: repeats the names of the columns",
        ),
        ("exam_id,patient_id,label,cc,cc\na,p,1,a.png,b.png\n", "column 'cc' comes twice"),
        (
            "exam_id,patient_id,label,cc,covariate_age,Covariate_age\na,p,1,a.png,1,2\n",
            "columns covariate_age and Covariate_age both stand for covariate_age; expected one",
        ),
        (
            "exam_id,patient_id,label,cc,target_m,TARGET_M\na,p,1,a.png,x,y\n",
            "columns target_m and TARGET_M both stand for target_M",
        ),
        (
            "exam_id,patient_id,label,cc,cc_gaze,CC_gaze\na,p,1,a.png,g.csv,h.csv\n",
            "columns cc_gaze and CC_gaze both stand for cc_gaze",
        ),
        (
            "exam_id,patient_id,label,cc,cc_heat_map,cc_heatmap\na,p,1,a.png,g.png,h.png\n",
            "columns cc_heat_map and cc_heatmap both stand for cc_heat_map",
        ),
        ("exam_id,patient_id,label,cc,CC\na,p,1,a.png,b.png\n", "columns cc and CC both stand for CC"),
        ("exam_id,patient_id,label\na,p,1\n", "no column of image paths"),
        ("exam_id,patient_id,label,cc,mlo_gaze\na,p,1,a.png,g.csv\n", "mlo_gaze belongs to no view"),
        (GOOD + ROWS + ROWS.splitlines()[0] + "\n", "row 4: exam_id 'a' comes again, first in row 2"),
        (GOOD + ROWS.replace("a,p1,", "a,,"), "row 2: patient_id is empty"),
        (GOOD + ROWS.replace("a,p1,1", ",p1,1"), "row 2: exam_id is empty"),
        (GOOD + ROWS.replace("b,p1,0", "b,p1,"), "row 3: label is empty"),
        (GOOD + ROWS.replace("b,p1,0", "b,p1,2"), "row 3: label '2' is none of the classes 0, 1"),
        (GOOD + ROWS.replace("test", "dev"), "row 3: split is 'dev'; expected train, val, test"),
        (GOOD + ROWS.replace("train", ""), "row 2: split is ''"),
        (GOOD + ROWS.replace("right", "up"), "row 3: laterality is 'up'; expected L, R"),
        (GOOD + "a,p1,1,train\n", "row 2: 4 cells; expected 9"),
        (GOOD + '"a,p1', "not a row of a text table: .*; check its quotes"),
    ],
)
def test_a_faulty_table_is_one_clear_line_with_file_and_row(tmp_path, text, expected):
    with pytest.raises(DataError, match=expected) as caught:
        list(Folder(classes=("0", "1")).exams(table(tmp_path, text)))
    assert "exams.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table_or_view_or_no_text_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(Folder().exams(tmp_path))
    table(tmp_path, GOOD + ROWS)
    with pytest.raises(DataError, match="no column lateral; the file has exam_id"):
        list(Folder(views=("cc", "lateral")).exams(tmp_path))
    (tmp_path / "exams.csv").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(DataError, match="not a text table but an image"):
        list(Folder().exams(tmp_path))


def test_a_table_in_the_encoding_of_a_spreadsheet(tmp_path):
    first, _ = Folder().exams(table(tmp_path, (GOOD + ROWS).replace("p1", "Müller"), "cp1252"))
    assert first.patient_id == "Müller"


def test_paths_that_lead_nowhere_or_out_are_rejected_by_the_preparation(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    secret = tmp_path / "secret.png"
    for path in (root / "a.png", secret):
        Image.fromarray(np.full((20, 20), 200, dtype=np.uint8)).save(path)
    rows = f"a,p,1,a.png\nb,q,0,../secret.png\nc,r,0,{secret}\nd,s,0,absent.png\n"
    table(root, "exam_id,patient_id,label,cc\n" + rows)
    summary = prepare(
        Folder(classes=("0", "1")), root, tmp_path / "out", size=(16, 16), jobs=0, image_names=True
    )
    assert (summary.exams, [each.key for each in summary.refused]) == (1, ["b", "c", "d"])
    assert all("leads out" in each.reason for each in summary.refused[:2])
    assert "absent.png: there is no such" in summary.refused[2].reason


def test_three_classes_tiff_npy_masks_gaze_and_data_sets_end_in_a_prepared_set(tmp_path, registry):
    """Every format and column at once; the same picture in four formats is the same picture."""
    pixels = np.zeros((40, 30), dtype=np.uint16)
    pixels[5:35, :20] = np.random.default_rng(0).integers(1000, 4096, (30, 20))
    root = tmp_path / "raw"
    root.mkdir()
    Image.fromarray(pixels).save(root / "a.tif")
    Image.fromarray(pixels).save(root / "b.png")
    np.save(root / "c.npy", pixels)
    np.save(root / "d.npy", (pixels / 4095).astype(np.float32))
    mask = np.zeros((40, 30), dtype=np.uint8)
    mask[10:20, 5:15] = 1
    Image.fromarray(mask).save(root / "m.tiff")
    (root / "g.csv").write_text("exam_id,view,start_ms,duration_ms,x,y\na,cc,0,300,10.5,15.5\n")
    rows = (
        "a,p1,0,north,a.tif,g.csv,m.tiff",
        "b,p2,1,south,b.png,,",
        "c,p3,2,south,c.npy,,",
        "d,p4,10,north,d.npy,,",
    )
    table(root, "exam_id,patient_id,label,dataset,cc,cc_gaze,cc_mask\n" + "\n".join(rows) + "\n")
    summary = prepare(
        Folder(),
        root,
        tmp_path / "out",
        size=(32, 24),
        crop="none",
        jobs=0,
        gaze_reader=lambda name: registry.create("gaze_reader", "plain"),
    )
    assert (summary.exams, summary.refused) == (4, ())
    assert summary.classes == {"0": 1, "1": 1, "2": 1, "10": 1}  # numbers by value, not by letters
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.datasets == ("north", "south", "south", "north")
    assert dataset.duplicates == (("a", "b", "c"),)  # the same stored values; d holds others
    np.testing.assert_array_equal(dataset.images[0], dataset.images[1])
    assert np.abs(dataset.images[0].astype(int) - dataset.images[3]).max() <= 1
    y, x = np.argwhere(dataset.masks[0, 0] > 0).mean(axis=0)
    peak = np.unravel_index(dataset.heat_map(0, dataset.views[0]).argmax(), (32, 24))
    assert (y, x) == pytest.approx((15 * 0.8 - 0.5, 10 * 0.8 - 0.5), abs=0.3)
    assert peak == pytest.approx((15.5 * 0.8 - 0.5, 10.5 * 0.8 - 0.5), abs=0.6)
    assert dataset.has_gaze[:, 0].tolist() == [True, False, False, False]


def test_sides_are_taken_from_names_where_no_column_says_them(tmp_path):
    text = "exam_id,patient_id,label,laterality,cc,mlo\n"
    text += (
        "a,p1,1,,P1_R_cc.png,P1_R_mlo.png\nb,p2,0,,LEFT/cc.png,x_mlo.dcm\nc,p3,0,L,P3_R_cc.png,r_mlo.png\n"
    )
    first, second, third = Folder().exams(table(tmp_path, text))
    assert first.laterality == {"cc": "R", "mlo": "R"}
    assert second.laterality == {"cc": "L"}, "of a DICOM file the header says it"
    assert third.laterality == {"cc": "L", "mlo": "L"}, "the column is believed"
    (sided,) = Folder().exams(table(tmp_path, "exam_id,patient_id,label,l_cc,r_cc\na,p,1,1.png,2.png\n"))
    assert sided.laterality == {"l_cc": "L", "r_cc": "R"}


def test_a_view_whose_names_lack_their_suffix_is_no_mere_note(tmp_path):
    """All of one view are written without ``.png``: the other views alone would train."""
    for name in ("a_cc.png", "a_mlo.png"):
        (tmp_path / name).touch()
    table(tmp_path, "exam_id,patient_id,label,cc,mlo,notes\na,p,1,a_cc,a_mlo.png,seen\n")
    exam, *findings = sorted(Folder().exams(tmp_path), key=lambda each: isinstance(each, Finding))
    assert list(exam.images) == ["mlo"]
    said = {each.about: (each.kind, each.what) for each in findings}
    assert said["notes"][0] == "note" and "suffix" not in said["notes"][1]
    assert said["cc"][0] == "dropped"
    assert said["cc"][1].endswith(
        "with a suffix they name images that are there: write names with their suffixes"
    )
