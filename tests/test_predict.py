"""``gazekit predict`` as a user meets it: files in any order, formats, ensembles, refusals, neutral keys."""

import csv
import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import gazekit
from made_mammography import view_sequence, write_mammogram

from gazekit.cli.prediction_output import Header, opened_writer
from gazekit.data.prepared import PreparedDataset
from gazekit.errors import StorageError
from gazekit.evaluation.raw import ExamPrediction


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.evaluation.raw.available_cores", lambda: 0)


def pair(raw_folder: Path, number: int) -> list[Path]:
    return [raw_folder / f"e{number:03d}_{view}.png" for view in ("cc", "mlo")]


def predicted(*arguments: object, code: int = 0) -> dict[str, dict]:
    """Key → record."""
    found = json.loads(gazekit("predict", *arguments, "--json", code=code).stdout)
    assert found["schema"] == "gazekit.predictions/4"
    assert (found["complete"], found["error"], found["total"]) == (True, None, len(found["exams"]))
    return {exam["exam"]: exam for exam in found["exams"]}


def test_raw_files_in_any_order_are_predicted_as_the_prepared_set(
    tiny_run: Path, raw_folder: Path, dataset: PreparedDataset
) -> None:
    prepared = predicted(tiny_run, dataset.root)
    assert list(prepared) == list(dataset.exam_ids)
    files = [*pair(raw_folder, 7), *pair(raw_folder, 5)]
    raw = predicted(tiny_run, *files)
    assert list(raw) == ["e005", "e007"]
    for name in raw:
        assert raw[name]["probabilities"] == pytest.approx(prepared[name]["probabilities"], abs=2e-6)
    assert predicted(tiny_run, *reversed(files)) == raw
    assert predicted(tiny_run, *files, "--batch-size", 1) == raw


def test_every_format_says_the_same(tiny_run: Path, dataset: PreparedDataset) -> None:
    document = predicted(tiny_run, dataset.root)
    lines = gazekit("predict", tiny_run, dataset.root, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"schema": "gazekit.predictions/4", "total": len(dataset), **record} for record in document.values()
    ]
    rows = list(
        csv.DictReader(io.StringIO(gazekit("predict", tiny_run, dataset.root, "--format", "csv").stdout))
    )
    assert {(row["schema"], row["total"]) for row in rows} == {("gazekit.predictions/4", str(len(dataset)))}
    for row in rows:
        record = document[row["exam"]]
        assert float(row["p_malignant"]) == record["probabilities"]["malignant"]
        assert (row["predicted"], float(row["entropy"])) == (record["predicted"], record["entropy"])
        assert row["spread"] == "" and record["spread"] is None
    table = gazekit("predict", tiny_run, dataset.root).stdout
    assert len(table.splitlines()) == 1 + len(dataset) and "spread" not in table


def no_space() -> None:
    raise StorageError("OUT: No space left on device")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process in the background of a script ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("end", "code", "error"),
    [
        (no_space, 74, "OUT: No space left on device"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "terminated"),
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130, "interrupted"),
    ],
)
def test_a_document_that_ends_early_is_valid_and_says_so(
    tiny_run: Path,
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[], None],
    code: int,
    error: str,
) -> None:
    def write(found: ExamPrediction, *_others: object) -> bool:
        if found.key == dataset.exam_ids[1]:
            end()
        return True

    monkeypatch.setattr("gazekit.cli.predict.write_files", write)
    found = json.loads(gazekit("predict", tiny_run, dataset.root, "--json", code=code).stdout)
    assert [exam["exam"] for exam in found["exams"]] == list(dataset.exam_ids[:2])
    assert (found["complete"], found["error"], found["total"]) == (False, error, len(dataset))
    lines = gazekit("predict", tiny_run, dataset.root, "--format", "jsonl", code=code).stdout.splitlines()
    assert [json.loads(line)["total"] for line in lines] == [len(dataset)] * 2


def test_the_text_of_a_foreign_error_is_not_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    header = Header(("run",), ("benign", "malignant"), ("cc",), answers=1, total=2, root="")
    with pytest.raises(MemoryError), opened_writer("json", header):
        raise MemoryError("while reading DOE_JANE.dcm")
    found = json.loads(capsys.readouterr().out)
    assert (found["exams"], found["complete"], found["error"]) == ([], False, "MemoryError")


def test_an_ensemble_and_test_time_transforms_have_a_spread(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    files = pair(raw_folder, 5)
    alone = predicted(tiny_run, *files)["e005"]
    copies = [shutil.copytree(tiny_run, tmp_path / name) for name in ("one", "two")]
    same = predicted(tiny_run, *files, "--ensemble", *copies)["e005"]
    assert same["probabilities"] == alone["probabilities"] and same["spread"] == 0
    turned = gazekit("predict", tiny_run, *files, "--tta", "--format", "table")
    assert "spread" in turned.stdout and "standard deviation over 6 answers" in turned.stderr
    record = predicted(tiny_run, *files, "--tta")["e005"]
    assert record["spread"] > 0 and record["probabilities"] != alone["probabilities"]


def test_overlays_are_named_by_the_exam_and_paths_are_shown_on_request(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    files = pair(raw_folder, 3)
    found = predicted(tiny_run, *files, "--overlays", tmp_path / "o", "--show-ids")
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"e003_cc.png", "e003_mlo.png"}
    assert found["e003"]["images"] == {"cc": "e003_cc.png", "mlo": "e003_mlo.png"}
    row = next(
        csv.DictReader(
            io.StringIO(gazekit("predict", tiny_run, *files, "--format", "csv", "--show-ids").stdout)
        )
    )
    assert row["mlo"] == "e003_mlo.png"
    (line,) = gazekit("predict", tiny_run, *files, "--format", "jsonl", "--show-ids").stdout.splitlines()
    assert json.loads(line)["root"] == str(raw_folder)


def test_what_the_model_was_not_trained_on_is_refused_and_the_rest_predicted(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "E17_cc.png"
    damaged.write_bytes(pair(raw_folder, 1)[0].read_bytes()[:100])
    other = shutil.copy(pair(raw_folder, 1)[1], tmp_path / "E17_mlo.png")
    alone = shutil.copy(pair(raw_folder, 2)[0], tmp_path / "E18_cc.png")
    files = [damaged, other, alone, *pair(raw_folder, 4)]
    finished = gazekit("predict", tiny_run, *files, "--json", code=3)
    exams = json.loads(finished.stdout)["exams"]
    statuses = {exam["exam"]: exam["status"] for exam in exams}
    assert statuses == {"E17": "refused", "E18": "refused", "e004": "predicted"}
    reasons = sorted(exam["reason"] for exam in exams if exam["status"] == "refused")
    assert reasons[0].startswith("no view 'mlo', only cc; the model reads cc, mlo")
    assert reasons[1].startswith("view cc: the image is damaged or truncated")
    assert "2 of 3 exams refused; see above (--show-ids names their files)" in finished.stderr
    assert "E17_cc.png" not in finished.stdout + finished.stderr
    shown = gazekit("predict", tiny_run, *files, "--show-ids", code=3).stderr
    folder = os.path.commonpath([raw_folder, tmp_path])
    assert f"{os.path.relpath(damaged, folder)}: the image is damaged" in shown and folder not in shown


def test_another_modality_is_refused_where_the_training_had_one(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    assert facts["modalities"] == [], "the training data were PNG files"
    (run / "run.json").write_text(json.dumps(facts | {"modalities": ["MG"]}))
    for view in ("CC", "MLO"):
        tags = {"PatientID": "A", "Modality": "CT", "ViewCodeSequence": view_sequence(view)}
        write_mammogram(tmp_path / "ct" / view, **tags)
    finished = gazekit("predict", run, tmp_path / "ct", code=3)
    assert "2 × modality CT, and the model was trained on MG" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["RAW/e003_cc.png", "SET"], 2, "a prepared data set is predicted alone"),
        (
            ["RAW/e003_cc.png", "RAW/e003_mlo.png", "--dicom-out", "d"],
            2,
            "--dicom-out refers to DICOM images",
        ),
        (["RAW/e003_cc.png", "--ensemble", "SET"], 3, "not a run directory"),
        (["nowhere.dcm"], 3, "path 1 of those given: no such file or folder"),
    ],
)
def test_faults_of_the_arguments(
    tiny_run: Path, raw_folder: Path, dataset: PreparedDataset, arguments: list[str], code: int, message: str
) -> None:
    filled = [each.replace("RAW", str(raw_folder)).replace("SET", str(dataset.root)) for each in arguments]
    assert message in gazekit("predict", tiny_run, *filled, code=code).stderr


def test_runs_that_were_trained_otherwise_are_no_ensemble(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_run, tmp_path / "other")
    facts = json.loads((other / "run.json").read_text())
    facts["preparation"]["crop"] = "breast"
    (other / "run.json").write_text(json.dumps(facts))
    finished = gazekit("predict", tiny_run, *pair(raw_folder, 3), "--ensemble", other, code=2)
    assert "crop breast" in finished.stderr and "an ensemble needs them equal" in finished.stderr
