"""Nothing that identifies a patient gets out: 25 sentinel values in DICOM headers and file names, sought everywhere.

The ids in a table of exams are the user's own choice and are shown; headers and names of image files are not.
"""

import csv
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import TINY, gazekit
from made_mammography import view_sequence, write_mammogram
from pydicom.uid import generate_uid

HEADER = {
    **{"PatientName": "SENTINELNAME^FIRST", "PatientID": "SENTINELID", "OtherPatientIDs": "SENTINELOTHERID"},
    **{"PatientBirthDate": "19010203", "PatientBirthTime": "010203", "PatientAge": "987Y"},
    **{"PatientAddress": "SENTINELSTREET 7", "PatientTelephoneNumbers": "SENTINELPHONE"},
    **{"PatientMotherBirthName": "SENTINELMOTHER", "PatientComments": "SENTINELCOMMENT"},
    **{
        "AccessionNumber": "SENTINELACCESS",
        "StudyID": "SENTINELSTUDY",
        "StudyDescription": "SENTINELSTUDYTEXT",
    },
    **{"StudyDate": "19040506", "StudyTime": "040506", "SeriesDescription": "SENTINELSERIES"},
    **{"ReferringPhysicianName": "SENTINELREFERRER", "PerformingPhysicianName": "SENTINELPERFORMER"},
    **{"OperatorsName": "SENTINELOPERATOR", "InstitutionName": "SENTINELHOSPITAL"},
    **{"InstitutionAddress": "SENTINELTOWN", "StationName": "SENTINELSTATION"},
    **{"DeviceSerialNumber": "SENTINELDEVICE", "ImageComments": "SENTINELIMAGETEXT"},
}
NAME = "SENTINELFILE"
SENTINELS = [NAME, *(str(value).split("^")[0] for value in HEADER.values())]
EXAMS = 12


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.evaluation.raw.available_cores", lambda: 0)


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


def check(shown: dict[str, str], *folders: Path) -> None:
    """No sentinel in what was printed, nor in a file or its name."""
    written = dict(files(*folders))
    assert len(SENTINELS) == 25 and written
    for sentinel in SENTINELS:
        assert not [what for what, text in shown.items() if sentinel in text], sentinel
        leaks = [
            name for name, content in written.items() if sentinel in name or sentinel.encode() in content
        ]
        assert not leaks, (sentinel, leaks)


def test_no_sentinel_gets_out(raw: Path, tmp_path: Path) -> None:
    prepared, run, out = tmp_path / "prepared", tmp_path / "run", tmp_path / "out"
    shown: dict[str, str] = {}

    def call(*arguments: object, code: int = 0) -> None:
        finished = gazekit(*arguments, code=code)
        shown[" ".join(map(str, arguments))[:40] + str(len(shown))] = finished.stdout + finished.stderr

    call("data", "validate", "folder", raw)
    call("data", "prepare", "folder", raw, prepared, "--size", "16")
    call("train", "--preset", "mammonet_small", "--data", prepared, "--out", run, "--epochs", 1, *TINY)
    call("evaluate", run, "--split", "all", "--resamples", 100)
    call("evaluate", run, "--resamples", 100, "--json")
    call("report", run, "--split", "train")
    call("runs", "list", run)
    assert '"modalities": [\n    "MG"\n  ]' in (run / "run.json").read_text()
    for form in ("table", "json", "csv", "jsonl"):
        call("predict", run, raw, "--format", form, "--overlays", out / "overlays")
    if find_spec("highdicom"):
        call("predict", run, raw, "--dicom-out", out / "dicom")
    check(shown, run, out)
    check({}, prepared)


def test_no_sentinel_is_in_an_error(raw: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for view in ("cc", "mlo"):  # truncated, of another modality, of another view, alone, twice
        torn = mammogram(bad / f"{NAME}_torn_{view}.dcm", 50, view)
        torn.write_bytes(torn.read_bytes()[:-3000])
        mammogram(bad / f"{NAME}_ct_{view}.dcm", 51, view, Modality="CT")
        mammogram(bad / f"{NAME}_colour_{view}.dcm", 55, view, PhotometricInterpretation="RGB")
    mammogram(bad / f"{NAME}_other.dcm", 52, "cc", ViewCodeSequence=None, ViewPosition="ML")
    mammogram(bad / f"{NAME}_alone.dcm", 53, "cc")
    for number in (1, 2):
        mammogram(bad / f"{NAME}_twice{number}.dcm", 54, "cc")
    (bad / f"{NAME}.png").write_bytes(b"no image")
    prepared, run = tmp_path / "prepared", tmp_path / "run"
    gazekit("data", "prepare", "folder", raw, prepared, "--size", "16")
    gazekit("train", "--preset", "mammonet_small", "--data", prepared, "--out", run, "--epochs", 1, *TINY)
    shown = {}
    for options in ((), ("--json",), ("--format", "csv")):
        finished = gazekit("predict", run, bad, *options, code=3)
        shown[str(options)] = finished.stdout + finished.stderr
        assert "exams refused" in finished.stderr and "left out" in finished.stderr
    for arguments in ([bad / f"{NAME}_other.dcm"], [bad / f"{NAME}_none.dcm"], [bad / f"{NAME}.png"]):
        shown[str(arguments)[-12:]] = gazekit("predict", run, *arguments, code=3).stderr
    for sentinel in SENTINELS:
        assert not [what for what, text in shown.items() if sentinel in text], sentinel
    assert NAME in gazekit("predict", run, bad, "--show-ids", code=3).stderr, "the search would find it"
