"""CMMD: a miniature download in the layout of NBIA, and downloads that are damaged."""

import zipfile

import numpy as np
import pytest
from gazekit_datasets.mammography.cmmd import CMMD
from gazekit_datasets.mammography.mammogram_header import MammogramHeader, read_header
from made_mammography import (
    CMMD_HEADER,
    CMMD_ROWS,
    make_cmmd,
    view_sequence,
    write_cmmd_table,
    write_mammogram,
)
from made_preparation import prepare
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reading.tables import spreadsheet
from gazekit.records.exam import Exam, Finding

TABLE = "CMMD_clinicaldata_revision.xlsx"
HEADER = {
    "PatientID": "D1-0002",
    "StudyInstanceUID": "1.2.3",
    "ImageLaterality": "R",
    "ViewCodeSequence": view_sequence("CC"),
}


@pytest.fixture
def root(tmp_path):
    return make_cmmd(tmp_path / "manifest")


def listed(root, **options):
    every = list(CMMD(**options).exams(root))
    exams = {each.exam_id: each for each in every if isinstance(each, Exam)}
    return exams, [(each.kind, each.about, each.what) for each in every if isinstance(each, Finding)]


def image(root, number):
    return sorted((root / "CMMD" / "D1-0002").rglob("*.dcm"))[number]


def test_breasts_have_the_labels_of_their_own_rows(root):
    exams, findings = listed(root)
    assert {name: (exam.label, exam.dataset) for name, exam in exams.items()} == {
        "D1-0001_R": ("benign", "D1"),
        "D1-0002_L": ("malignant", "D1"),
        "D1-0002_R": ("benign", "D1"),
        "D2-0001_L": ("malignant", "D2"),
    }
    assert all(list(exam.images) == ["cc", "mlo"] for exam in exams.values())
    assert exams["D1-0002_R"].laterality == {"cc": "R", "mlo": "R"}
    assert findings == [("dropped", "D1-0001_L", "exam left out: an image has no label")]


def test_a_visit_with_an_unlabelled_breast_is_left_out_unless_asked_for(root):
    exams, _ = listed(root, unit="visit")
    assert {name: exam.label for name, exam in exams.items()} == {
        "D1-0002": "malignant",
        "D2-0001": "malignant",
    }
    assert list(exams["D1-0002"].images) == ["l_cc", "l_mlo", "r_cc", "r_mlo"]
    exams, findings = listed(root, unit="visit", unlabelled="ignore")
    assert (exams["D1-0001"].label, len(exams["D1-0001"].images)) == ("benign", 4)
    assert findings == []


def test_a_prepared_set_shows_every_breast_with_its_chest_wall_on_the_left(root, tmp_path):
    out = tmp_path / "prepared"
    prepare(CMMD(), root, out, size=(64, 48), crop="none", jobs=0, image_names=True)
    data = PreparedDataset.open(out)
    assert data.exam_ids == ("D1-0001_R", "D1-0002_L", "D1-0002_R", "D2-0001_L")
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.datasets == ("D1", "D1", "D1", "D2")
    assert data.image_names[0]["cc"] == "CMMD/D1-0001/07-18-2010-NA-NA-79377/1.000000-NA-70244/1-3.dcm"
    assert not data.has_mask.any()
    left, right = data.images[:, :, :, :8], data.images[:, :, :, -8:]
    np.testing.assert_array_less(50, left.mean(axis=(2, 3)))
    assert right.max() == 0


def test_the_table_may_be_text(root):
    expected = listed(root)
    (root / TABLE).unlink()
    write_cmmd_table(root / "clinical.csv")
    (root / "metadata.csv").write_text("Series UID,Collection\n1.2,CMMD\n")  # of the downloader
    assert listed(root) == expected


def test_two_tables_are_an_error_that_the_option_solves(root):
    expected = listed(root)
    write_cmmd_table(root / "clinical.csv", CMMD_ROWS[:2])
    with pytest.raises(
        DataError, match=r"expected one clinical table .* there is CMMD_clinicaldata_revision.xlsx, c"
    ):
        listed(root)
    assert listed(root, table=TABLE) == expected
    assert set(listed(root, table="clinical.csv")[0]) == {"D1-0001_R", "D1-0002_L"}
    (root / TABLE).unlink()
    (root / "clinical.csv").unlink()
    with pytest.raises(
        DataError, match=r"expected one clinical table .* there is none; put it there or name it"
    ):
        listed(root)


def test_headers_and_not_folders_say_whose_breast_it_is(root):
    write_mammogram(image(root, 0), **HEADER | {"PatientID": "D9-0001"}, side="L")
    write_mammogram(image(root, 1), **HEADER | {"ImageLaterality": "B"})
    write_mammogram(image(root, 2), **HEADER | {"ViewCodeSequence": view_sequence("ML")})
    exams, findings = listed(root)
    name = image(root, 0).relative_to(root).as_posix().removesuffix("1.dcm")
    said = "image not used: the header names"
    assert {name: list(exam.images) for name, exam in exams.items() if "D1-0002" in name} == {
        "D1-0002_R": ["mlo"]
    }
    assert ("dropped", f"{name}2.dcm", f"{said} no side; expected L or R as ImageLaterality") in findings
    assert (
        "dropped",
        f"{name}3.dcm",
        f"{said} another view or none; expected CC or MLO in ViewCodeSequence",
    ) in findings
    assert ("dropped", "D9-0001_R", "exam left out: an image has no label") in findings
    assert ("missing", "D1-0002 L", "breast of the table without an image") in findings


def test_rows_that_contradict_each_other_leave_no_label(root):
    write_cmmd_table(
        root / TABLE, [*CMMD_ROWS, ("D1-0002", "L", 40, 2, "mass", "Benign", None), CMMD_ROWS[0]]
    )
    exams, findings = listed(root)
    assert set(exams) == {"D1-0001_R", "D1-0002_R", "D2-0001_L"}
    assert ("disagrees", "D1-0002 L", "rows of a breast disagree on its class: it has none") in findings
    assert ("dropped", "D1-0002_L", "exam left out: an image has no label") in findings


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        (CMMD_ROWS[0], ("ID1", "LeftRight", "Age"), "no column classification"),
        (
            CMMD_ROWS[0],
            (*CMMD_HEADER[:2], "ID1", *CMMD_HEADER[3:]),
            "no column ID1, or several|ID1' comes twice",
        ),
        (
            ("D1-0001", "left", 1, 1, "", "Benign", ""),
            CMMD_HEADER,
            "row 2: LeftRight is 'left'; expected L or R",
        ),
        (("D1-0001", None, 1, 1, "", "Benign", ""), CMMD_HEADER, "row 2: LeftRight is ''; expected L or R"),
        (
            ("D1-0001", "L", 1, 1, "", "Normal", ""),
            CMMD_HEADER,
            "row 2: classification is 'Normal'; expected Ben",
        ),
        (
            ("D1-0001", "L", 1, 1, "", 1.0, ""),
            CMMD_HEADER,
            "row 2: classification is '1(.0)?'; expected Benign",
        ),
        (
            (None, "L", 1, 1, "", "Benign", ""),
            CMMD_HEADER,
            "row 2: ID1 is empty; expected a value in every row",
        ),
    ],
)
@pytest.mark.parametrize("table", [TABLE, "clinical.csv"])
def test_damaged_tables_are_one_clear_line(root, table, row, header, message):
    (root / TABLE).unlink()
    if "LeftRight" not in header[:2] or "classification" not in header or len(set(header)) < len(header):
        row = row[: len(header)]
    write_cmmd_table(root / table, [row], header)
    with pytest.raises(DataError, match=message) as caught:
        listed(root, table=table)
    assert str(caught.value).startswith(f"{root / table}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.9, 0.999])
def test_a_workbook_that_is_cut_off_is_an_error(root, keep):
    content = (root / TABLE).read_bytes()
    (root / TABLE).write_bytes(content[: keep if keep >= 4 else int(len(content) * keep)])
    with pytest.raises(DataError, match="not an Excel workbook, or damaged; save it again, or as CSV"):
        listed(root)


def rewrite(path, member, change):
    """Change one member of a workbook; None leaves it out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


@pytest.mark.parametrize(
    ("member", "change", "message"),
    [
        ("xl/workbook.xml", lambda old: None, "not an Excel workbook"),
        ("xl/workbook.xml", lambda old: old[:200], "not an Excel workbook"),
        ("xl/worksheets/sheet1.xml", lambda old: old[:-40], "not an Excel workbook"),
        ("xl/worksheets/sheet1.xml", lambda old: b"\0" * 2**24, "unpacks to 16 MiB; expected at most 8"),
        (
            "xl/worksheets/sheet1.xml",
            lambda old: old.replace(b'r="A2"', b'r="BM2"'),
            "more than 64 columns; expected a table of cases",
        ),
        (
            "xl/worksheets/sheet1.xml",
            lambda old: (
                b'<!DOCTYPE a [<!ENTITY a "ha">'
                + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 99) for c in range(98, 110))
                + b"]><worksheet>&m;</worksheet>"
            ),
            "not an Excel workbook",
        ),
        (
            "xl/worksheets/sheet1.xml",
            lambda old: old.replace(b"Benign", b"Unknown"),
            "classification is 'Unknown'",
        ),
        ("xl/worksheets/sheet1.xml", lambda old: b"<worksheet/>", "no column ID1"),
    ],
)
def test_workbooks_that_are_damaged_or_hostile(root, member, change, message):
    rewrite(root / TABLE, member, change)
    with pytest.raises(DataError, match=message):
        listed(root)


def test_claims_of_a_million_rows_cost_nothing(root):
    expected = listed(root)
    rewrite(
        root / TABLE,
        "xl/worksheets/sheet1.xml",
        lambda old: old.replace(b'ref="A1:G5"', b'ref="A1:XFD1048576"').replace(
            b"</sheetData>", b'<row r="1048576"/></sheetData>'
        ),
    )
    assert listed(root) == expected


def test_a_workbook_that_is_a_folder_or_not_there(root):
    with pytest.raises(DataError, match=r"cannot be read .*; expected an Excel workbook"):
        list(spreadsheet.read_rows(root / "none.xlsx", ()))
    with pytest.raises(DataError, match="cannot be read"):
        listed(root, table="CMMD")


def test_a_header_without_pixels_is_enough(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", PixelData=b"\0\0", **HEADER)
    assert read_header(path) == MammogramHeader("D1-0002", "1.2.3", "R", "cc")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PatientID": None}, "the header names no patient; expected PatientID"),
        ({"PatientID": " "}, "the header names no patient"),
        ({"ImageLaterality": None}, "the header names no side"),
        ({"ImageLaterality": "B"}, "the header names no side"),
        ({"ViewCodeSequence": None}, "the header names another view or none"),
        ({"ViewCodeSequence": []}, "the header names another view or none"),
    ],
)
def test_headers_that_leave_the_breast_open(tmp_path, tags, message):
    path = write_mammogram(tmp_path / "a.dcm", **HEADER | tags)
    with pytest.raises(DataError, match=message):
        read_header(path)


def test_files_that_are_no_dicom_and_headers_cut_off_anywhere(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", **HEADER)
    content = path.read_bytes()
    for damaged in (b"", b"\0" * 500, b"\0" * 128 + b"DICM"):
        path.write_bytes(damaged)
        with pytest.raises(
            DataError, match=r"not a DICOM file|cannot be read as DICOM|names no patient|file is empty"
        ):
            read_header(path)
    path.write_bytes(content[132:])
    assert read_header(path).view == "cc", "a file without its preamble is read"
    for length in range(0, content.index(b"\xe0\x7f"), 11):
        path.write_bytes(content[:length])
        try:
            found = read_header(path)
        except DataError:
            continue
        assert found == MammogramHeader("D1-0002", "1.2.3", "R", "cc")


def test_the_header_of_a_deflated_file_is_read(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", **HEADER)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert read_header(path) == MammogramHeader("D1-0002", "1.2.3", "R", "cc")
