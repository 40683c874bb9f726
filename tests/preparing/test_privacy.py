"""Nothing that identifies a patient gets out: 25 sentinel values in DICOM headers and file names, sought everywhere.

The ids in a table of exams are the user's own choice and are shown. Of loose images ``predict`` shows the names,
without what their headers know of the patient; anywhere else the names of image files are not shown.
"""

import csv
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import TINY, gazekit
from made_mammography import view_sequence, write_mammogram
from pydicom.uid import generate_uid
from tiny import SMALL

HEADER = {
    **{"PatientName": "SENTINELNAME^FIRST", "PatientID": "SENTINELID", "OtherPatientIDs": "SENTINELOTHERID"},
    **{"PatientBirthDate": "19010203", "PatientBirthTime": "010203.456789", "PatientAge": "987Y"},
    **{"PatientAddress": "SENTINELSTREET 7", "PatientTelephoneNumbers": "SENTINELPHONE"},
    **{"PatientMotherBirthName": "SENTINELMOTHER", "PatientComments": "SENTINELCOMMENT"},
    **{
        "AccessionNumber": "SENTINELACCESS",
        "StudyID": "SENTINELSTUDY",
        "StudyDescription": "SENTINELSTUDYTEXT",
    },
    **{"StudyDate": "19040506", "StudyTime": "040506.789012", "SeriesDescription": "SENTINELSERIES"},
    **{"ReferringPhysicianName": "SENTINELREFERRER", "PerformingPhysicianName": "SENTINELPERFORMER"},
    **{"OperatorsName": "SENTINELOPERATOR", "InstitutionName": "SENTINELHOSPITAL"},
    **{"InstitutionAddress": "SENTINELTOWN", "StationName": "SENTINELSTATION"},
    **{"DeviceSerialNumber": "SENTINELDEVICE", "ImageComments": "SENTINELIMAGETEXT"},
}
NAME = "SENTINELFILE"
# times with fractions: six digits alone may stand in a unique identifier that is drawn
SENTINELS = [NAME, *(str(value).split("^")[0] for value in HEADER.values())]
EXAMS = 12
STUDY = [part for item in (*SMALL, "training.batch_size=4", "training.epochs=1") for part in ("--set", item)]


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mammograms whose headers hold the sentinels, in a table of neutral exams, with gaze; names hold one too."""
    root = tmp_path_factory.mktemp("private") / "raw"
    rows = []
    for number in range(EXAMS):
        row = {
            "exam_id": f"e{number}",
            "patient_id": f"p{number}",
            "label": ("benign", "malignant")[number % 2],
        }
        for view in ("cc", "mlo"):
            path = mammogram(root / f"{NAME}_{number}_{view}.dcm", number, view)
            gaze = root / f"g{number}_{view}.csv"
            samples = "".join(f"e{number},{view},{i * 20},{20.5},{30.5}\n" for i in range(20))
            gaze.write_text(f"exam_id,view,t_ms,x,y\n{samples}")
            row |= {view: path.name, f"{view}_gaze": gaze.name}
        rows.append(row)
    with (root / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


def mammogram(path: Path, number: int, view: str, **tags: object) -> Path:
    seed = number * 10 + (view == "mlo")
    about = {
        "ImageLaterality": "L",
        "Modality": "MG",
        "ViewCodeSequence": view_sequence(view.upper()),
        "StudyInstanceUID": generate_uid(entropy_srcs=[str(number)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[str(seed)]),
    }
    header = HEADER | {"PatientID": f"{HEADER['PatientID']}{number}"}
    return write_mammogram(path, seed=seed, **header | about | tags)


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all files, archives opened."""
    for folder in folders:
        for path in filter(Path.is_file, folder.rglob("*")):
            yield str(path.relative_to(folder.parent)), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{path.name}/{name}", archive.read(name)) for name in archive.namelist())


def sought(text: str | bytes, *, named: bool = False) -> list[str]:
    """The sentinels in a text; with ``named`` but for that in the names of files."""
    content = text if isinstance(text, bytes) else text.encode()
    return [each for each in SENTINELS if each.encode() in content and not (named and each == NAME)]


@dataclass
class Trained:
    """A run on the sentinels' data, and all that was printed on the way."""

    prepared: Path
    run: Path
    shown: str = ""
    shown_of_loose: str = ""

    def call(self, *arguments: object, code: int = 0) -> str:
        finished = gazekit(*arguments, code=code)
        if arguments[0] == "predict":
            self.shown_of_loose += finished.stdout + finished.stderr
        else:
            self.shown += finished.stdout + finished.stderr
        return finished.stderr


@pytest.fixture(scope="module")
def trained(raw: Path) -> Trained:
    made = Trained(raw.parent / "prepared", raw.parent / "run")
    made.call("data", "validate", "folder", raw)
    made.call("data", "prepare", "folder", raw, made.prepared, "--size", "16", "--jobs", 1)
    data = ["--data", made.prepared, "--out", made.run]
    made.call("train", "--preset", "mammonet_small", *data, "--epochs", 1, *TINY)
    return made


def test_no_sentinel_gets_out(raw: Path, trained: Trained, tmp_path: Path) -> None:
    run, out = trained.run, tmp_path / "out"
    assert len(SENTINELS) == 25
    assert json.loads((run / "run.json").read_text())["modalities"] == ["MG"], "headers were read"
    trained.call("evaluate", run, "--resamples", 100, "--json")
    trained.call("report", run)
    trained.call("runs", "list", run)
    trained.call("predict", run, raw, "--json", "--overlays", out / "overlays")
    if find_spec("highdicom"):
        trained.call("predict", run, *sorted(raw.glob(f"{NAME}_1_*")), "--dicom-out", out / "dicom")
    assert not sought(trained.shown) and not sought(trained.shown_of_loose, named=True)
    written = dict(files(run, out))
    assert {"report.html", "log.txt", "predictions.csv", f"{NAME}_1_cc.png"} <= {
        Path(name).name for name in written
    }
    of_run = dict(files(run))
    assert not [name for name, content in of_run.items() if sought(content) or sought(name)]
    assert not [name for name, content in written.items() if sought(content) or sought(name, named=True)]


def test_what_a_header_knows_of_the_patient_is_cut_from_the_names_of_files(
    trained: Trained, tmp_path: Path
) -> None:
    name, patient = "SENTINELNAME_First", f"{HEADER['PatientID']}9"
    for view in ("cc", "mlo"):
        mammogram(tmp_path / "in" / f"{name} scan17 {patient}-19010203_{view}.dcm", 9, view)
        mammogram(tmp_path / "in" / patient / f"{view}.dcm", 9, view, StudyInstanceUID="1.2.9")
    mammogram(tmp_path / "in" / f"scan18_{name}.dcm", 9, "cc", Modality="CT")
    out = ["--json", "--overlays", tmp_path / "out"]
    finished = gazekit("predict", trained.run, tmp_path / "in", *out)
    assert [exam["exam"] for exam in json.loads(finished.stdout)["exams"]] == ["exam-0001", "scan17"]
    assert "left out 1 image (scan18): modality CT" in finished.stderr
    assert not sought(finished.stdout + finished.stderr)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{exam}_{view}.png" for exam in ("exam-0001", "scan17") for view in ("cc", "mlo")
    }


@pytest.mark.slow
def test_no_sentinel_is_in_a_study_an_exported_model_or_event_files(
    raw: Path, trained: Trained, tmp_path: Path
) -> None:
    data, study, watched = ["--data", trained.prepared], tmp_path / "study", tmp_path / "watched"
    systems = ["--preset", "late_concat", "--preset", "ga_net", "--folds", 2, "--seeds", 1]
    trained.call("benchmark", *systems, *data, "--out", study, "--no-timing", *STUDY)
    trained.call("report", study)
    few = ["--epochs", 1, *TINY]
    trained.call("train", "--preset", "mammonet_small", *data, "--out", watched, "--tensorboard", *few)
    trained.call("runs", "compare", trained.run, watched, "--json")
    for form in ("onnx", "torch-export"):
        trained.call("export", watched, "--format", form)
    written = dict(files(tmp_path))
    assert {"model.onnx", "model.pt2", "results.tex"} <= {Path(name).name for name in written}
    assert any("tensorboard/" in name for name in written) and "study/report.html" in str(list(written))
    assert not sought(trained.shown)
    assert not [name for name, content in written.items() if sought(content) or sought(name)]


def test_a_prepared_set_holds_nothing_of_headers_and_names_of_files_only_if_asked_to(
    raw: Path, trained: Trained, tmp_path: Path
) -> None:
    assert not [name for name, content in files(trained.prepared) if sought(content)]
    copy = Path(shutil.copytree(raw, tmp_path / "raw"))
    torn = copy / f"{NAME}_1_cc.dcm"
    torn.write_bytes(torn.read_bytes()[:-3000])
    trained.call("data", "prepare", "folder", copy, tmp_path / "torn", "--size", "16", "--jobs", 1)
    assert not [name for name, content in files(tmp_path / "torn") if sought(content)]
    assert not sought(trained.shown), "it was printed, too, which exam is left out"
    named = [copy, tmp_path / "named", "--size", "16", "--jobs", 1, "--image-names"]
    assert NAME in gazekit("data", "prepare", "folder", *named).stderr
    found = {name: sought(content) for name, content in files(tmp_path / "named")}
    assert {name: leaks for name, leaks in found.items() if leaks} == {
        "named/index.csv": [NAME],
        "named/refused.csv": [NAME],
    }


def test_no_sentinel_is_in_an_error(trained: Trained, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for view in ("cc", "mlo"):  # truncated, of another modality, in colour
        torn = mammogram(bad / f"{NAME}_torn_{view}.dcm", 50, view)
        torn.write_bytes(torn.read_bytes()[:-3000])
        mammogram(bad / f"{NAME}_ct_{view}.dcm", 51, view, Modality="CT")
        mammogram(bad / f"{NAME}_colour_{view}.dcm", 55, view, PhotometricInterpretation="RGB")
    mammogram(bad / f"{NAME}_other.dcm", 52, "cc", ViewCodeSequence=None, ViewPosition="ML")
    mammogram(bad / f"{NAME}_alone.dcm", 53, "cc")
    for number in (1, 2):
        mammogram(bad / f"{NAME}_twice{number}.dcm", 54, "cc")
    (bad / f"{NAME}.png").write_bytes(b"no image")
    shown = ""
    for form in ("table", "json", "csv"):
        finished = gazekit("predict", trained.run, bad, "--format", form, code=3)
        shown += finished.stdout + finished.stderr
        assert "exams refused" in finished.stderr and "left out" in finished.stderr
    for name in (f"{NAME}_other.dcm", f"{NAME}_none.dcm", f"{NAME}.png"):
        shown += gazekit("predict", trained.run, bad / name, code=3).stderr
    assert not sought(shown, named=True)
    named = gazekit("predict", trained.run, bad, "--show-ids", code=3)
    assert NAME in named.stderr, "the search would find it"
