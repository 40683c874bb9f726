"""Each data source knows the exam of its own files, and patients' ids that say nothing join nothing."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from gazekit_datasets.mammography.cbis_ddsm.identity import identify_cbis_ddsm
from gazekit_datasets.mammography.inbreast import INbreast
from gazekit_datasets.mammography.mammogram_header import MODIFIER_CODES, VIEW_CODES, identify_mammogram
from made_cbis import LESIONS, write_images
from made_mammography import make_inbreast
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from gazekit.prediction.file_grouping import group_images
from gazekit.reading.identifying.identity import is_placeholder
from gazekit.reading.identifying.identity_rules import identity_rules
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import Code, ImageHeader
from gazekit.registry.registry import Registry
from gazekit.testing import DataSourceContract

SHARED = Path(__file__).parents[3] / "shared" / "data" / "cbis_ddsm_csv" / "dicom_info_sample.csv"
VIEWS = ("cc", "mlo")


def coded(cid: int) -> set[str]:
    """The codes of a context group in both schemes, as pydicom has them from the standard."""
    found = {
        code
        for names in cid_concepts[cid].values()
        for name in names
        for code, (_, groups) in concepts["SCT"][name].items()
        if cid in groups
    }
    return found | {old for old, new in mapping["SRT"].items() if new in found}


def test_the_codes_are_those_of_the_standard() -> None:
    specimen = {"G-8310", "127457009"}
    assert set(VIEW_CODES) | specimen == coded(4014)
    assert set(MODIFIER_CODES) == coded(4015)
    meanings = {
        code: meaning
        for names in concepts["SCT"].values()
        for code, (meaning, groups) in names.items()
        if 4015 in groups
    }
    assert all(MODIFIER_CODES[code] == meaning.lower() for code, meaning in meanings.items())


@pytest.mark.parametrize(
    "patient",
    [
        "",
        " ",
        "0",
        "00000",
        "XXX",
        "-",
        "Anonymous",
        "ANON",
        "no_id",
        "N/A",
        "Anonymous^Patient",
        "unknown unknown",
    ],
)
def test_ids_that_say_nothing(patient: str) -> None:
    assert is_placeholder(patient)


@pytest.mark.parametrize("patient", ["1", "A", "0012", "ANON001", "P_00001", "Nann", "X1", "李", "Patient 7"])
def test_ids_that_may_be_a_patient(patient: str) -> None:
    assert not is_placeholder(patient)


CBIS = ImageHeader(
    patient="Mass-Test_P_00173_LEFT_CC",
    modality="MG",
    side="L",
    study="1.3.6.1",
    study_id="DDSM",
    date="20161004",
    orientation=("CC",),
    series_description="full mammogram images",
    rows=4432,
    columns=2864,
)
P173 = ImageIdentity(
    patient="P_00173", visit="CBIS-DDSM", study="Mass-Test", side="L", view="cc", pseudonym="P_00173"
)


def test_the_subject_of_cbis_ddsm_says_all() -> None:
    assert identify_cbis_ddsm(CBIS, Path("1-1.dcm")) == P173
    folder = Path("x/Mass-Test_P_00173_LEFT_CC/10-04-2016-DDSM-82/1.0-full-00/1-1.dcm")
    assert identify_cbis_ddsm(ImageHeader(), folder) == P173, "the folder, of a header without it"
    assert identify_cbis_ddsm(None, Path("jpg/Mass-Test_P_00173_LEFT_CC.png")) == P173


def test_what_remains_of_cbis_ddsm_after_a_change_of_the_ids() -> None:
    changed = ImageHeader(patient="X17", study_id="DDSM", orientation=("MLO",))
    assert identify_cbis_ddsm(changed, Path("1-1.dcm")) == ImageIdentity(view="mlo")
    for stranger in (
        ImageHeader(patient="X17", orientation=("MLO",)),
        ImageHeader(study_id="DDSM", orientation=("A", "R")),
        None,
    ):
        assert identify_cbis_ddsm(stranger, Path("Mass-Test_P_00173_LEFT_AP/1-1.dcm")) is None


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_headers_of_the_published_files_are_understood() -> None:
    with SHARED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    unfit: Counter[str] = Counter()
    for row in rows:
        header = ImageHeader(
            patient=row["PatientID"],
            side=row["Laterality"],
            orientation=(row["PatientOrientation"],),
            study_id=row["StudyID"],
            series_description=row["SeriesDescription"],
            modality=row["Modality"],
        )
        found = identify_cbis_ddsm(header, Path(row["file_path"]))
        assert found is not None and found.view == row["PatientOrientation"].lower()
        side = {"L": "LEFT", "R": "RIGHT"}[found.side]
        assert found.patient and f"{found.patient}_{side}" in row["PatientID"]
        assert identify_mammogram(header, Path(row["file_path"])) == ImageIdentity()
        unfit[found.unfit] += 1
        assert (found.unfit == "") == (row["SeriesDescription"] == "full mammogram images")
    assert unfit == {"": 1, "the mask or crop of a lesion": 5}, "one of them without any description"


def test_loose_files_of_cbis_ddsm_become_its_exams(tmp_path: Path, registry: Registry) -> None:
    write_images(tmp_path, LESIONS, "new")
    found = group_images([tmp_path], VIEWS, rules=identity_rules(registry))
    keys = {exam.key: exam.refused[:13] for exam in found.exams}
    assert (
        keys
        == {
            "P_00001_L": "",
            "P_00002_R": "",
            "P_00003_L_1": "",  # in the table of calcifications and in that of masses, which have files of their own
            "P_00003_L_2": "",
            "P_00004_R": "",
            "P_00005_L": "no view 'cc',",
        }
    )
    assert set(found.left_out) == {"the mask or crop of a lesion"}
    lesions = {lesion.subject for lesion in LESIONS}
    assert len(found.left_out["the mask or crop of a lesion"]) == 2 * len(lesions)


def test_loose_files_of_inbreast_become_its_exams(tmp_path: Path, registry: Registry) -> None:
    make_inbreast(tmp_path)
    found = group_images([tmp_path / "AllDICOMs"], VIEWS, rules=identity_rules(registry))
    anna = [exam for exam in found.exams if exam.patient == "a" * 16]
    assert [(exam.key, exam.refused) for exam in anna] == [("a" * 16 + "_L", ""), ("a" * 16 + "_R", "")]
    assert [set(exam.laterality.values()) for exam in anna] == [{"L"}, {"R"}]
    assert list(found.left_out) == ["view FB, but the model reads cc, mlo"]
    assert INbreast.identify(None, Path("20586908_short_MG_R_CC_ANON.dcm")) is None


def test_modifiers_are_found_wherever_they_stand() -> None:
    header = ImageHeader(
        modality="MG",
        view_codes=(Code("399162004"),),
        modifier_codes=(Code("399163009"), Code("R-102D6"), Code("1", "New")),
        paddle="SPOT 7 cm",
    )
    found = identify_mammogram(header, Path("a"))
    assert found == ImageIdentity(view="cc", special="magnification, new, spot compression")
    assert identify_mammogram(ImageHeader(modality="CT"), Path("a")) is None
    assert identify_mammogram(None, Path("spot_front.png")) is None, "no view of a breast"


@pytest.mark.parametrize("name", ["cbis_ddsm", "cmmd", "inbreast", "phantom", "vindr_mammo"])
def test_rules_keep_their_promise(registry: Registry, name: str) -> None:
    class Promised(DataSourceContract):
        component = registry.component("dataset", name).value

    Promised().test_identity()


def test_a_rule_that_raises_or_answers_something_else_breaks_its_promise() -> None:
    class Raises(DataSourceContract):
        component = type("Raises", (), {"identify": staticmethod(lambda header, _path: header.patient)})

    class Answers(DataSourceContract):
        component = type("Answers", (), {"identify": staticmethod(lambda _header, path: str(path))})

    for contract in (Raises, Answers):
        with pytest.raises(AssertionError, match="an identity or None for any file"):
            contract().test_identity()
