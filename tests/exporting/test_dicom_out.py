"""Attention as DICOM: valid by an independent validator, in the place where it was, silent about the patient."""

import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from command_line import gazekit
from made_mammography import view_sequence, write_mammogram
from pydicom.datadict import DicomDictionary
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from gazekit.exporting.dicom import AttentionSource, Findings, write_exam
from gazekit.exporting.dicom.source_header import read_source
from gazekit.records.geometry import Geometry
from gazekit.reporting.drawing.originals.placement import ShownPlacement

highdicom = pytest.importorskip("highdicom")
PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "P-77",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20200102",
    "StudyTime": "101112",
    "AccessionNumber": "ACC-9",
    "StudyID": "S-1",
    "ReferringPhysicianName": "Roe^Richard",
}


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("mammograms")
    return [
        write_mammogram(
            folder / view,
            side="R",
            seed=number,
            ImageLaterality="R",
            PatientOrientation=["P", "L"] if view == "CC" else ["P", "FL"],
            ViewCodeSequence=view_sequence(view),
            ImagerPixelSpacing=[0.07, 0.07],
            StudyInstanceUID="1.2.3",
            SeriesInstanceUID=f"1.2.3.{number}",
            Modality="MG",
            **PATIENT,
        )
        for number, view in enumerate(("CC", "MLO"))
    ]


def write(run: Path, mammograms: list[Path], out: Path, *options: str) -> dict[str, pydicom.Dataset]:
    gazekit("predict", run, *mammograms, "--dicom-out", out, *options)
    found = {path.name: pydicom.dcmread(path) for path in sorted(out.iterdir())}
    parts = [*(f"{v}_{kind}" for v in ("cc", "mlo") for kind in ("capture", "segmentation")), "report"]
    assert sorted(name.split("_", 1)[1] for name in found) == [f"{part}.dcm" for part in parts]
    return {name.split("_", 1)[1].removesuffix(".dcm"): dataset for name, dataset in found.items()}


def test_objects_refer_to_their_image_and_say_nothing_of_the_patient_unless_asked(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    sources = {"cc": pydicom.dcmread(mammograms[0]), "mlo": pydicom.dcmread(mammograms[1])}
    for copied in (False, True):
        options = ["--copy-patient"] if copied else []
        for name, made in write(tiny_run, mammograms, tmp_path / str(copied), *options).items():
            source = sources.get(name.split("_")[0], sources["cc"])
            assert made.StudyInstanceUID == source.StudyInstanceUID
            assert made.SeriesInstanceUID != source.SeriesInstanceUID
            assert source.SOPInstanceUID in referenced(made)
            for field, value in PATIENT.items():
                assert str(made.get(field) or "") == (value if copied else ""), field
    for path in (tmp_path / "False").iterdir():
        text = path.read_bytes()
        assert not [value for value in PATIENT.values() if len(value) > 1 and value.encode() in text]


def test_the_segmentation_has_the_pixels_of_the_image_and_the_capture_its_looks(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    made = write(tiny_run, mammograms, tmp_path / "d")
    segmentation, capture = made["cc_segmentation"], made["cc_capture"]
    assert (
        segmentation.SegmentationType == "FRACTIONAL"
        and segmentation.SegmentationFractionalType == "PROBABILITY"
    )
    values = np.squeeze(segmentation.pixel_array)
    source = pydicom.dcmread(mammograms[0])
    assert (
        values.shape == (source.Rows, source.Columns) and values.max() == segmentation.MaximumFractionalValue
    )
    picture = capture.pixel_array.astype(int)
    assert picture.shape == (*values.shape, 3)
    coloured = np.ptp(picture, axis=2) > 0
    assert coloured[values > 100].mean() > 0.95, "what is attended to is coloured"
    assert not coloured[values == 0].any(), "the rest is grey"


@pytest.mark.parametrize("explained", ["malignant", "suspicious architectural distortion, BI-RADS 4c or 5"])
def test_a_label_keeps_its_warning_whole(mammograms: list[Path], tmp_path: Path, explained: str) -> None:
    """A viewer shows the first 64 letters, and DICOM allows no more."""
    geometry = Geometry.fit((0, 0, 60, 80), (16, 16))
    view = AttentionSource(mammograms[0], "first", geometry, np.eye(4, dtype=np.float32))
    found = Findings({"benign": 0.2, explained: 0.8}, explained, explained, "model", 0.5)
    write_exam(tmp_path, "e", {"cc": view}, found)
    made = {path.name: pydicom.dcmread(path) for path in tmp_path.glob("*.dcm")}
    segmentation = made["e_cc_segmentation.dcm"]
    labels = [each.SeriesDescription for each in made.values()]
    labels += [made["e_cc_capture.dcm"].DerivationDescription, segmentation.SegmentSequence[0].SegmentLabel]
    assert len(labels) == 5
    for label in labels:
        assert label.endswith("research only, not for diagnosis") and len(label) <= 64
    assert explained[:16] in segmentation.SeriesDescription


def test_a_capture_of_half_the_size_has_pixels_of_twice_the_spacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the attention's negative values count as none."""
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "Modality": "MG"}
    uids |= {"Laterality": "L"}
    path = write_mammogram(tmp_path / "m", side="L", seed=0, ImagerPixelSpacing=[0.07, 0.05], **uids)
    rows, columns = pydicom.dcmread(path).pixel_array.shape
    monkeypatch.setattr("gazekit.exporting.dicom.writing._LONGEST_SIDE", max(rows, columns) // 2)
    attention = np.full((4, 4), -9, dtype=np.float32)
    attention[1, 2] = 1
    view = AttentionSource(path, "first", Geometry.fit((0, 0, columns, rows), (16, 16)), attention)
    found = Findings({"benign": 0.2, "malignant": 0.8}, "malignant", "malignant", "model", 0.5)
    write_exam(tmp_path / "d", "e", {"cc": view}, found)
    capture, segmentation = (
        pydicom.dcmread(tmp_path / "d" / f"e_cc_{kind}.dcm") for kind in ("capture", "segmentation")
    )
    assert (capture.Rows, capture.Columns, capture.Laterality) == (rows // 2, columns // 2, "L")
    assert list(map(float, capture.PixelSpacing)) == pytest.approx([0.14, 0.1])
    values = np.squeeze(segmentation.pixel_array)
    assert values.max() == segmentation.MaximumFractionalValue and values[0, 0] == values[-1, -1] == 0


@pytest.mark.parametrize("spacing", [None, [0.07, 0.05]])
def test_an_enhanced_object_of_one_frame_gets_its_objects(
    tmp_path: Path, spacing: list[float] | None
) -> None:
    """An image synthesised from tomosynthesis says side and spacing in functional groups."""
    anatomy, measures, groups = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    anatomy.FrameLaterality = "R"
    groups.FrameAnatomySequence = [anatomy]
    if spacing is not None:
        measures.PixelSpacing = spacing
        groups.PixelMeasuresSequence = [measures]
    tags = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "FrameOfReferenceUID": "1.2.3.9"}
    tags |= {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3", "Modality": "MG", "Laterality": None}
    path = write_mammogram(tmp_path / "m", NumberOfFrames=1, SharedFunctionalGroupsSequence=[groups], **tags)
    source = pydicom.dcmread(path)
    geometry = Geometry.fit((0, 0, source.Columns, source.Rows), (16, 16))
    view = AttentionSource(path, "first", geometry, np.eye(4, dtype=np.float32))
    found = Findings({"benign": 0.2, "malignant": 0.8}, "malignant", "malignant", "model", 0.5)
    written = write_exam(tmp_path / "d", "e", {"cc": view}, found)
    assert not written.problems and not written.remarks
    made = {path.stem: pydicom.dcmread(path) for path in (tmp_path / "d").iterdir()}
    assert sorted(made) == ["e_cc_capture", "e_cc_segmentation", "e_report"]
    assert all(source.SOPInstanceUID in referenced(each) for each in made.values())
    capture, segmentation = made["e_cc_capture"], made["e_cc_segmentation"]
    assert capture.Laterality == "R" and capture.get("PixelSpacing") == spacing
    (measured,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert measured.get("PixelSpacing") == spacing
    assert np.squeeze(segmentation.pixel_array).shape == (source.Rows, source.Columns)


LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": [20, 10],
    "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"],
}


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        (LOSSY | {"BurnedInAnnotation": "YES"}, LOSSY | {"BurnedInAnnotation": "YES"}),
        ({"LossyImageCompression": "00", "BurnedInAnnotation": "NO"},) * 2,
        ({}, {}),
        (
            {"LossyImageCompression": "2", "LossyImageCompressionMethod": "JPEG", "BurnedInAnnotation": "Y"},
            {},
        ),
    ],
)
def test_lost_detail_and_burnt_in_text_of_the_source_are_said_of_what_is_made_from_it(
    tmp_path: Path, given: dict[str, object], carried: dict[str, object]
) -> None:
    """Once lossy, always lossy (DICOM PS3.3 C.7.6.1.1.5); and film that shows a name is not to be called free of it."""
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "Modality": "MG"}
    path = write_mammogram(tmp_path / "m", **uids, **given)
    view = AttentionSource(path, "first", Geometry.fit((0, 0, 48, 64), (16, 16)), np.eye(4, dtype=np.float32))
    found = Findings({"benign": 0.2, "malignant": 0.8}, "malignant", "malignant", "model", 0.5)
    remarks = write_exam(tmp_path / "d", "e", {"cc": view}, found).remarks
    assert [word for word in given if word in "".join(remarks)] == ([] if carried else [*given])
    capture, segmentation = (
        pydicom.dcmread(tmp_path / "d" / f"e_cc_{kind}.dcm") for kind in ("capture", "segmentation")
    )
    said = {word: capture[word].value for word in (*LOSSY, "BurnedInAnnotation") if word in capture}
    assert said == carried
    assert segmentation.LossyImageCompression == carried.get("LossyImageCompression", "00")
    assert segmentation.get("LossyImageCompressionRatio") == carried.get("LossyImageCompressionRatio")


@pytest.mark.parametrize(("syntax", "said"), [(JPEGBaseline8Bit, "01"), (JPEG2000Lossless, None)])
def test_a_compression_that_always_changes_values_needs_no_tag_to_say_so(
    mammograms: list[Path], tmp_path: Path, syntax: str, said: str | None
) -> None:
    header = pydicom.dcmread(mammograms[0], stop_before_pixels=True)
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(tmp_path / "header.dcm")
    found, _ = read_source(tmp_path / "header.dcm", copy_patient=False)
    assert found.get("LossyImageCompression") == said


TAGS: list[tuple[str, object, bool]] = [
    *[("PatientSex", sex, sex in "FMO") for sex in ("F", "M", "O", "X")],
    *[("ImageLaterality", side, side in "LRBU") for side in ("L", "R", "B", "U", "S")],
    ("ImageLaterality", ["L", "R"], False),
    ("ImagerPixelSpacing", [0.07, 0.05], True),
    ("ImagerPixelSpacing", [0.07, 0], False),
    ("PixelSpacing", [0.1, 0.1, 0.1], False),
    ("PatientOrientation", ["P", "FL"], True),
    ("PatientOrientation", ["P", "CC"], False),
    ("PatientOrientation", ["P", "FL-"], False),
    ("PatientOrientation", ["P", "F", "L"], False),
    ("ImageType", ["ORIGINAL", "PRIMARY", "POST_PROCESSED"], True),
    ("Modality", ["MG", "DX"], False),
    ("StudyID", "S-1", True),
]


@pytest.mark.parametrize(("name", "value", "kept"), TAGS)
def test_a_tag_is_carried_or_named_as_left_out_by_what_dicom_allows(
    tmp_path: Path, name: str, value: object, kept: bool
) -> None:
    """Absent and empty tags are neither."""
    tags = {"PatientOrientation": "", "PatientID": ""} | {name: value}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_mammogram(tmp_path / "m", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", **tags)
        header, left_out = read_source(path, copy_patient=True)
    assert left_out == (() if kept else (name,))
    assert (header.get(name) or None) == (value if kept else None)


def test_no_warning_is_given_of_a_value_too_long(mammograms: list[Path], tmp_path: Path) -> None:
    source = pydicom.dcmread(mammograms[0])
    source.add(pydicom.DataElement("PatientID", "LO", "x" * 80, validation_mode=pydicom.config.IGNORE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.save_as(tmp_path / "long.dcm")
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        _, left_out = read_source(tmp_path / "long.dcm", copy_patient=True)
    assert "PatientID" in left_out and not given


def referenced(dataset: pydicom.Dataset) -> set[str]:
    """All instances that an object refers to."""
    return {str(each.value) for each in dataset.iterall() if each.keyword == "ReferencedSOPInstanceUID"}


def content(dataset: pydicom.Dataset) -> dict[str, object]:
    """Meaning of a concept → its value, of all items of a structured report."""
    found: dict[str, object] = {}

    def walk(item: pydicom.Dataset) -> None:
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        if item.ValueType == "NUM":
            found[name] = float(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE":
            found[name] = item.ConceptCodeSequence[0].CodeMeaning
        elif item.ValueType == "TEXT":
            found[name] = item.TextValue
        for child in item.get("ContentSequence", ()):
            walk(child)

    walk(dataset)
    return found


def test_the_report_holds_the_probabilities_that_predict_prints(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    report = write(tiny_run, mammograms, tmp_path / "d")["report"]
    [exam] = json.loads(gazekit("predict", tiny_run, *mammograms, "--json").stdout)["exams"]
    said = content(report)
    for name, probability in exam["probabilities"].items():
        assert said[f"Probability of {name}"] == pytest.approx(probability, abs=2e-6)
    assert said["Class that is called"] == exam["predicted"]
    assert said["Intended use"] == "Research only, not for diagnosis"
    assert said["Algorithm Name"] == "gazekit mammonet_small"
    read = highdicom.sr.srread(tmp_path / "d" / next(p.name for p in (tmp_path / "d").glob("*_report.dcm")))
    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    [group] = read.content.get_image_measurement_groups()
    assert [m.value for m in group.get_measurements()] == pytest.approx(
        [*exam["probabilities"].values(), 0.5], abs=2e-6
    )
    images = {str(pydicom.dcmread(path).SOPInstanceUID) for path in mammograms}
    assert referenced(report) == images
    assert {each.referenced_sop_instance_uid for each in group.source_images} == images
    items = [item for each in report.iterall() if each.VR == "SQ" for item in each.value]
    own = {item.CodeValue for item in items if item.get("CodingSchemeDesignator") == "99GAZEKIT"}
    called = list(exam["probabilities"]).index(exam["predicted"])
    assert own == {
        *("PROBABILITY0", "PROBABILITY1", "THRESHOLD"),
        *("PREDICTED", f"CLASS{called}", "USE", "RESEARCH"),
    }, "programs find the values by these"
    for observed, expected in (
        ("Name", "gazekit"),
        ("Manufacturer", "gazekit"),
        ("Model Name", "mammonet_small"),
    ):
        assert said[f"Device Observer {observed}"] == expected
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")


@pytest.mark.parametrize("threshold", [0.01, 0.99])
def test_the_report_of_a_calibrated_run_calls_by_its_threshold_and_says_it(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, threshold: float
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    gazekit("calibrate", run, "--at-specificity", 0.6)
    path = run / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": threshold}))
    said = content(write(run, mammograms, tmp_path / "d")["report"])
    assert said["Class that is called"] == ("malignant" if threshold < 0.5 else "benign")
    assert said["Threshold above which malignant is called"] == threshold


def test_the_report_of_several_classes_has_no_threshold(mammograms: list[Path]) -> None:
    from gazekit.exporting.dicom.structured_report import structured_report

    header, _ = read_source(mammograms[0], copy_patient=False)
    chances = {"normal": 0.2, "benign": 0.3, "malignant": 0.5}
    said = content(structured_report([header], chances, called="malignant", threshold=0.5, model="m"))
    assert said["Class that is called"] == "malignant" and said["Probability of benign"] == 0.3
    assert not [name for name in said if "Threshold" in name]


def test_a_caption_is_burnt_in_below_the_picture_on_request(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path
) -> None:
    bare = write(tiny_run, mammograms, tmp_path / "bare")["cc_capture"]
    burnt = write(tiny_run, mammograms, tmp_path / "burnt", "--burn-in")["cc_capture"]
    height, width = bare.pixel_array.shape[:2]
    picture = burnt.pixel_array
    left = (picture.shape[1] - width) // 2
    assert (picture[:height, left : left + width] == bare.pixel_array).all(), "the picture stays as it is"
    assert picture.shape[0] > height and (picture[height:] > 200).any(), "words stand below"
    assert burnt.PixelSpacing == bare.PixelSpacing == [0.07, 0.07]


FAULTS: dict[str, dict[str, object]] = {
    "a date that is none": {"StudyDate": "2020-01-01"},
    "a birth date and a time that are none": {"PatientBirthDate": "SENTINEL", "StudyTime": "SENTINEL"},
    "a name of one component": {"PatientName": "SENTINEL"},
    "a name that is too long": {"PatientName": "SENTINEL" * 20},
    "an id that is too long": {"PatientID": "SENTINEL" * 20},
    "a name in Greek": {"PatientName": "Παπαδοπούλου^Άννα", "SpecificCharacterSet": "ISO_IR 126"},
    "a sex, a side and a spacing that are none": {
        **{"PatientSex": "SENTINEL", "Laterality": "SENTINEL", "ImagerPixelSpacing": [0, 0]},
    },
    "one spacing": {"ImagerPixelSpacing": [0.07]},
    "no orientation": {"PatientOrientation": None},
    "the view in place of an orientation": {"PatientOrientation": "CC"},
    "two patients' ids": {"PatientID": ["SENTINEL1", "SENTINEL2"]},
    "no frame, no type": {"FrameOfReferenceUID": "SENTINEL", "ImageType": None},
}


LOST: dict[str, list[str]] = {
    "a date that is none": ["StudyDate"],
    "a birth date and a time that are none": ["PatientBirthDate", "StudyTime"],
    "a name that is too long": ["PatientName"],
    "an id that is too long": ["PatientID"],
    "a sex, a side and a spacing that are none": ["Laterality", "ImagerPixelSpacing", "PatientSex"],
    "one spacing": ["ImagerPixelSpacing"],
    "the view in place of an orientation": ["PatientOrientation"],
    "two patients' ids": ["PatientID"],
    "no frame, no type": ["FrameOfReferenceUID"],
}


@pytest.mark.parametrize("options", [[], ["--copy-patient"]])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_odd_header_gets_its_objects_and_no_value_of_it_is_printed(
    tiny_run: Path, tmp_path: Path, fault: str, options: list[str]
) -> None:
    files = pair(tmp_path / "odd", **FAULTS[fault])
    finished = gazekit("predict", tiny_run, *files, "--dicom-out", tmp_path / "d", *options)
    written = [pydicom.dcmread(path) for path in (tmp_path / "d").iterdir()]
    assert len(written) == 5, finished.stderr
    if shutil.which("dciodvfy"):
        for path in (tmp_path / "d").iterdir():
            assert not errors(path), path.name
    for value in ("SENTINEL", "2020-01-01", "Doe", "P-77", "Παπ"):
        assert value not in finished.stdout + finished.stderr
    lost = [name for name in LOST.get(fault, ()) if options or name not in PATIENT]
    said = f"of views cc, mlo written without {', '.join(lost)}: DICOM forbids the header's value"
    assert finished.stderr.count("written without") == bool(lost), "once, not for each view"
    assert (said in finished.stderr) == bool(lost)
    if "Greek" in fault and options:
        assert {str(each.PatientName) for each in written} == {"Παπαδοπούλου^Άννα"}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SeriesInstanceUID": None}, "the DICOM header has no valid SeriesInstanceUID"),
        ({"StudyInstanceUID": "SENTINEL"}, "the DICOM header has no valid StudyInstanceUID"),
        ({"SOPInstanceUID": "SENTINEL"}, "the DICOM header has no valid SOPInstanceUID"),
    ],
)
def test_an_exam_that_nothing_can_refer_to_gets_a_line_and_the_others_their_objects(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, tags: dict[str, object], reason: str
) -> None:
    bad = pair(tmp_path / "bad", PatientID="SENTINEL", **tags)
    files = [*bad, *mammograms]
    finished = gazekit("predict", tiny_run, *files, "--dicom-out", tmp_path / "d", "--json", code=3)
    assert [exam["status"] for exam in json.loads(finished.stdout)["exams"]] == ["predicted"] * 2
    lines = finished.stderr.splitlines()
    for view in ("cc", "mlo"):
        [line] = [line for line in lines if f"no DICOM objects of view {view}: {reason}" in line]
        assert "nothing can refer to the image" in line
    assert "1 of 2 exams predicted, but not all of their files written" in finished.stderr
    assert len(list((tmp_path / "d").iterdir())) == 5
    assert "SENTINEL" not in finished.stderr


TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
KEPT = {
    *("SpecificCharacterSet", "Modality", "PhotometricInterpretation", "ImageLaterality", "Laterality"),
    *(
        "ViewPosition",
        "PatientOrientation",
        "ImageType",
        "PatientSex",
        "VOILUTFunction",
        "PresentationLUTShape",
    ),
    *("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"),
}
"""These say how the image is read, or are no part of the data set proper."""


def every_text() -> dict[str, str]:
    """A sentinel in every text attribute that pydicom's dictionary knows; 16 characters fit each type."""
    return {
        keyword: f"SENTINEL{tag:08X}"
        for tag, (vr, multiplicity, _, retired, keyword) in DicomDictionary.items()
        if vr in TEXTS and keyword and keyword not in KEPT and 0x0008 <= tag >> 16 <= 0x0040
    }


@pytest.mark.parametrize("options", [[], ["--copy-patient"], ["--burn-in"]])
def test_no_text_of_a_header_gets_out_but_what_is_to_be_copied_into_the_objects(
    tiny_run: Path, tmp_path: Path, options: list[str]
) -> None:
    texts = every_text()
    assert len(texts) > 500
    files = pair(tmp_path / "SENTINELFOLDER", **texts)
    out = tmp_path / "d"
    finished = gazekit("predict", tiny_run, *files, "--dicom-out", out, "--overlays", out, *options)
    assert "SENTINEL" not in finished.stdout + finished.stderr
    written = list(out.iterdir())
    assert len(written) == 5 + 2
    copied = {"PatientName", "PatientID", "StudyID", "AccessionNumber", "ReferringPhysicianName"}
    expected = {texts[name] for name in copied} if "--copy-patient" in options else set()
    for path in written:
        found = {
            each.decode() for each in re.findall(rb"SENTINEL[0-9A-F]{8}|SENTINELFOLDER", path.read_bytes())
        }
        assert found == (expected if path.suffix == ".dcm" else set()), path.name


def pair(folder: Path, **tags: object) -> list[Path]:
    """CC and MLO of one breast; values that DICOM forbids are written as they are."""
    values = {
        "ImageLaterality": "R",
        "PatientOrientation": ["P", "L"],
        "ImagerPixelSpacing": [0.07, 0.07],
        "StudyInstanceUID": "1.2.4",
        "Modality": "MG",
        **PATIENT,
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        return [
            write_mammogram(
                folder / f"{view}.dcm",
                side="R",
                seed=number,
                **{"ViewCodeSequence": view_sequence(view), "SeriesInstanceUID": f"1.2.4.{number}"}
                | values
                | tags,
            )
            for number, view in enumerate(("CC", "MLO"))
        ]


def errors(path: Path) -> list[str]:
    """What an independent validator finds wrong."""
    finished = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in (finished.stdout + finished.stderr).splitlines() if "Error" in line]


def test_attention_lands_where_it_came_from() -> None:
    attention = np.zeros((8, 8), dtype=np.float32)
    attention[2, 5] = 1
    geometry = Geometry.fit((10, 20, 90, 120), (64, 64), flip=True, keep_left=True)
    placed = ShownPlacement.on_original(geometry, (130, 100), (130, 100)).map(attention)
    row, column = np.unravel_index(placed.argmax(), placed.shape)
    x, y = geometry.inverse(np.array([5.5 * 8]), np.array([2.5 * 8]))
    assert abs(column + 0.5 - x[0]) <= 1 and abs(row + 0.5 - y[0]) <= 1
    outside = np.ones(placed.shape, dtype=bool)
    outside[20:120, 10:90] = False
    assert not placed[outside].any()
    everywhere = ShownPlacement.on_original(geometry, (130, 100), (65, 50)).map(np.ones((8, 8)))
    np.testing.assert_allclose(everywhere[10:60, 5:45], 1)


@pytest.mark.skipif(
    not shutil.which("dciodvfy"), reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize("options", [[], ["--copy-patient", "--burn-in"]])
def test_an_independent_validator_finds_no_error(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, options: list[str]
) -> None:
    write(tiny_run, mammograms, tmp_path / "d", *options)
    for path in (tmp_path / "d").iterdir():
        assert not errors(path), path.name
        finished = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        kinds = {"segmentation": "Segmentation", "capture": "SCImage", "report": "ComprehensiveSR"}
        kind = kinds[path.stem.rsplit("_", 1)[1]]
        assert kind in finished.stderr + finished.stdout


def test_a_file_without_identifiers_and_a_missing_extra_are_said(
    tiny_run: Path, mammograms: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gazekit.exporting.dicom.secondary_capture", None)
    finished = gazekit("predict", tiny_run, *mammograms, "--dicom-out", tmp_path / "d", code=2)
    assert "pip install 'highdicom" in finished.stderr
    assert not finished.stdout  # said before any exam is predicted
