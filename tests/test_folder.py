"""The folder data set: tables as people write them, and every way to get one wrong."""

import numpy as np
import pytest
from gazekit_datasets.folder import Folder
from PIL import Image

from gazekit.data.lesions import MaskFile
from gazekit.data.prepare import prepare
from gazekit.data.prepared import PreparedDataset
from gazekit.errors import DataError

GOOD = "exam_id,patient_id,label,split,laterality,cc,mlo,cc_gaze,mlo_mask\n"
ROWS = "a,p1,1,train,L,i/a.dcm,i/b.png,g/a.csv,m/b.png\nb,p1,0,test,right,i/c.png,,,\n"


def table(root, text, encoding="utf-8"):
    (root / "exams.csv").write_bytes(text.encode(encoding))
    return root


def test_exams_say_what_the_table_says(tmp_path):
    first, second = Folder().exams(table(tmp_path, GOOD + ROWS))
    assert (first.exam_id, first.patient_id, first.label, first.split) == ("a", "p1", "1", "train")
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
    first, second = Folder().exams(table(tmp_path, text))
    assert (set(first.images), set(second.images)) == ({"raw"}, {"cc", "raw"})
    (chosen, _) = Folder(views=("raw",)).exams(tmp_path)
    assert set(chosen.images) == {"raw"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the first row is empty; expected the names of the columns"),
        ("exam_id,label,cc\na,1,a.png\n", "no column patient_id; the file has exam_id, label, cc"),
        ("exam_id,patient_id,label,cc\n", "no rows below the header"),
        ("exam_id,patient_id,label,cc,cc\na,p,1,a.png,b.png\n", "column 'cc' comes twice"),
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
        (GOOD + '"a,p1', "not a row of a text table .*; check its quotes"),
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
    with pytest.raises(DataError, match="holds bytes that are no text"):
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
    assert (summary.exams, [exam for exam, _ in summary.rejects]) == (1, ["b", "c", "d"])
    assert all("leads out" in reason for _, reason in summary.rejects[:2])
    assert "absent.png: there is no such" in summary.rejects[2][1]


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
    assert (summary.exams, summary.rejects) == (4, ())
    assert summary.classes == {"0": 1, "1": 1, "2": 1, "10": 1}  # numbers by value, not by letters
    dataset = PreparedDataset.open(tmp_path / "out")
    assert dataset.datasets == ("north", "south", "south", "north")
    assert dataset.duplicates == (("a", "b", "c"),)  # the same stored values; d holds others
    np.testing.assert_array_equal(dataset.images[0], dataset.images[1])
    assert np.abs(dataset.images[0].astype(int) - dataset.images[3]).max() <= 1
    y, x = np.argwhere(dataset.masks[0, 0] > 0).mean(axis=0)
    peak = np.unravel_index(dataset.gaze[0, 0].argmax(), (32, 24))
    assert (y, x) == pytest.approx((15 * 0.8 - 0.5, 10 * 0.8 - 0.5), abs=0.3)
    assert peak == pytest.approx((15.5 * 0.8 - 0.5, 10.5 * 0.8 - 0.5), abs=0.6)
    assert dataset.has_gaze[:, 0].tolist() == [True, False, False, False]
