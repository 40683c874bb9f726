"""The command line as a user meets it: results, errors of one line, exit codes, nothing heavy for --help."""

import csv
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit, one_exam
from conftest import MakeDistribution
from rich.console import Console
from tiny import SMALL

from gazekit.cli import console, evaluate
from gazekit.cli.data import commands as data
from gazekit.cli.train.progress import TrainingProgress
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.training.loop import State


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    gazekit("train", "--preset", "mammonet_small", "--data", dataset.root, "--out", out, "--epochs", 2, *TINY)
    return out


def test_help_is_light_and_names_every_command() -> None:
    code = (
        "import sys; sys.argv = ['gazekit', '--help']\n"
        "from gazekit.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'pydicom', 'timm', 'matplotlib', 'pydantic', 'torchmetrics'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import numpy, pathlib\n"
        "threads = pathlib.Path('/proc/self/task')\n"
        "assert not threads.exists() or len(list(threads.iterdir())) == 1, 'NumPy multiplies with threads'"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    commands = (
        "train",
        "evaluate",
        "predict",
        "report",
        "export",
        "runs",
        "doctor",
        "data",
        "gaze",
        "plugins",
    )
    for command in commands:
        assert command in finished.stdout


def test_a_missing_run_is_reported_before_torch_is_imported(tmp_path: Path, run: Path) -> None:
    none = str(tmp_path / "none")
    names = ("evaluate", "calibrate", "explain-check", "export", "card", "report", "predict")
    lines = [[name, none] for name in names]
    lines += [["report", str(run), "--without", none], ["explain-check", str(run), "--random-labels", none]]
    lines += [["predict", str(run), "x.png", "--ensemble", none]]
    code = (
        "import sys\nfrom gazekit.cli.main import main\n"
        f"for line in {lines!r}:\n"
        "    sys.argv = ['gazekit', *line]\n"
        "    try:\n        main()\n    except SystemExit as ended:\n        assert ended.code == 3, line\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{none}: not a run directory") == len(lines)


def test_results_are_printed_in_an_encoding_that_lacks_their_characters() -> None:
    encoded = os.environ | {"PYTHONIOENCODING": "latin-1:strict"}
    command = [sys.executable, "-m", "gazekit", "presets", "show", "mammonet"]
    finished = subprocess.run(command, check=False, env=encoded, capture_output=True)
    assert (
        finished.returncode == 0 and b"\\u03bb" in finished.stdout
    )  # the weight that the paper calls lambda


def test_a_warning_that_every_branch_gives_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, dataset: PreparedDataset
) -> None:
    """Python's own memory of warnings is lost whenever a library changes their filters."""

    def doubtful(root: Path) -> PreparedDataset:
        for text in ("random weights", "random weights", "another"):
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn(text, stacklevel=1)
        return dataset

    monkeypatch.setattr(PreparedDataset, "open", doubtful)
    for _ in range(2):  # each command says it
        said = gazekit("data", "verify", dataset.root).stderr
        assert said.count("warning: random weights") == 1 and said.count("warning: another") == 1


def test_words_between_colons_are_no_picture(tmp_path: Path) -> None:
    assert "ward:x:2" in gazekit("runs", "list", tmp_path / "ward:x:2", code=3).stderr
    (tmp_path / "ward:x:2").mkdir()
    (tmp_path / "ward:x:2" / "run.json").write_text("{}")
    assert "ward:x:2" in gazekit("runs", "list", tmp_path, code=0).stdout


def test_a_current_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "from gazekit.cli.main import main; sys.argv = ['gazekit', 'runs', 'list']; main()"
    )
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode == 74
    assert finished.stderr == "error: the current folder no longer exists; change to one that does\n"


def test_train_then_evaluate_predict_and_report(run: Path, raw_folder: Path, tmp_path: Path) -> None:
    table = gazekit("evaluate", run).stdout
    assert "auc" in table and "pointing game" in table and "95 % interval" in table
    result = json.loads(gazekit("evaluate", run, "--part", "val", "--json").stdout)
    assert result["schema"] == "gazekit.evaluation/1" and result["split"] == "val"
    assert 0 <= result["metrics"]["classification"]["auc"]["value"] <= 1

    pair = [raw_folder / "e003_cc.png", raw_folder / "e003_mlo.png"]
    predicted = json.loads(gazekit("predict", run, *pair, "--json", "--overlays", tmp_path / "o").stdout)
    (exam,) = predicted["exams"]
    assert exam["exam"] == "e003"
    assert sum(exam["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"e003_cc.png", "e003_mlo.png"}

    page = Path(gazekit("report", run, "--without", run, *one_exam(run)).stdout.strip())
    assert page.read_text().startswith("<!") and (run / "attention.png").stat().st_size > 10_000


def test_prediction_of_raw_images_is_that_of_the_prepared_set(run: Path, raw_folder: Path) -> None:
    said = gazekit("evaluate", run, "--split", "all").stderr
    assert "--split all is now --part all; the former name goes in the next release" in said
    again = gazekit("evaluate", run, "--part", "all")
    assert "is now" not in again.stderr and "mammonet_small, all parts: 24 exams" in again.stdout
    rows = [line.split(",") for line in (run / "predictions_all.csv").read_text().splitlines()]
    evaluated = {row[0]: float(row[-1]) for row in rows[1:]}
    pair = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    predicted = json.loads(gazekit("predict", run, *pair, "--json").stdout)["exams"][0]
    assert predicted["probabilities"]["malignant"] == pytest.approx(evaluated["e005"], abs=2e-5)


def test_resume_and_overwrite(run: Path, dataset: PreparedDataset) -> None:
    data = ["--data", dataset.root, "--out", run]
    before = (run / "metrics.jsonl").read_bytes()
    assert (
        "exists already; go on with --resume" in gazekit("train", "--preset", "ga_net", *data, code=2).stderr
    )
    gazekit("train", "--out", run, "--resume")
    assert (run / "metrics.jsonl").read_bytes() == before
    other = gazekit("train", "mammonet_small", *data, "--batch-size", 5, "--resume", *TINY, code=2)
    assert "these keys differ: training.batch_size" in other.stderr


def test_a_value_that_is_given_twice_is_named_with_the_one_that_counts(tmp_path: Path) -> None:
    wrong = ("--set", "training.epochs=many")
    said = "warning: training.epochs is given twice: 'many', then 3, which counts; give it once"
    for again in (("--epochs", 3), ("--set", "training.epochs=3")):
        train = ("train", "mammonet_small", "--data", tmp_path / "none", "--out", tmp_path / "run")
        assert said in gazekit(*train, *wrong, *again, code=3).stderr
    shown = gazekit("presets", "show", "mammonet_small", *wrong, "--set", "training.epochs=3")
    assert said in shown.stderr and "epochs = 3" in shown.stdout
    same = gazekit("presets", "show", "mammonet_small", *("--set", "training.epochs=3") * 2)
    assert "given twice" not in same.stderr
    nan = gazekit("presets", "show", "mammonet_small", "--set", "training.learning_rate=nan", code=2)
    assert "given twice" not in nan.stderr


def test_the_preset_may_stand_alone_and_a_finished_run_goes_on(
    run: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    data, out = ["--data", dataset.root], tmp_path / "run"
    both = gazekit("train", "ga_net", "--preset", "mammonet", *data, code=2)
    assert "two presets: ga_net and --preset mammonet" in both.stderr
    made = gazekit(
        "train", "mammonet_small", *data, "--out", out, "--epochs", 1, "--lr", 0.003, "--from", run, *TINY
    )
    assert "epoch 1 of 1 is selected: highest validation AUC" in made.stderr
    facts = json.loads((out / "run.json").read_text())
    assert facts["weights_origin"][0].startswith("run run, epoch ")
    assert "learning_rate = 0.003" in (out / "preset.toml").read_text()
    more = gazekit("train", "--out", out, "--resume", "--epochs", 2)
    assert "goes on to epoch 2, begun with 1; the schedule one_cycle now spans 2 epochs" in more.stderr
    assert [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    last = gazekit("evaluate", out, "--weights", "last", "--part", "val")
    assert "weights of epoch 2: the last epoch" in last.stderr
    assert (out / "evaluation_val_last.json").exists() and not (out / "evaluation_val.json").exists()
    new = gazekit("predict", out, dataset.root, "--weights", "last", "--format", "csv")
    assert "run: weights of epoch 2: the last epoch" in new.stderr
    predicted = {row["exam"]: row for row in csv.DictReader(io.StringIO(new.stdout))}
    with (out / "predictions_val_last.csv").open() as file:
        for row in csv.DictReader(file):
            assert float(predicted[row["exam_id"]]["p_malignant"]) == pytest.approx(
                float(row["p_malignant"]), abs=2e-6
            )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--preset", "mamonet"], 2, "Did you mean 'mammonet'?"),
        (["train"], 2, "--preset is needed"),
        (["train", "--preset", "mammonet", "--data", "nowhere"], 3, "nowhere"),
        (["train", "--preset", "mammonet", "--set", "training.epochs=no"], 2, "--set: training.epochs"),
        (["train", "--preset", "mammonet", "--resume"], 2, "--resume needs the run directory"),
        (["evaluate", "nowhere"], 3, "nowhere: not a run directory"),
        (["plugins", "show", "fusion", "bfi"], 2, "Did you mean 'bfl'?"),
        (["plugins", "show", "fusions", "bfl"], 2, "no kind 'fusions'"),
        (
            ["train", "mammonet", "--set", "fusion.vectors.use=cross_attention"],
            2,
            "--set: fusion.vectors.use: fusion 'cross_attention' joins maps, so it belongs at fusion.maps; "
            "fusions of vectors are: ",
        ),
        (
            ["train", "mammonet", "--set", "fusion.maps.use=concat"],
            2,
            "fusion 'concat' joins vectors, so it belongs at fusion.vectors; fusions of maps are: ",
        ),
        (
            ["train", "mammonet", "--set", "fusion.vectors.use=cross_atention"],
            2,
            "no fusion of vectors 'cross_atention'. There are: bfl, concat",
        ),
        (
            ["plugins", "show", "attention-map"],
            2,
            "is a kind; name a component of it, too: cam, class_attention, ",
        ),
        (["plugins", "show", "bfi"], 2, "no component 'bfi'. Did you mean 'bfl'?"),
        (["presets", "show", "mammonet", "--set", "epochs"], 2, "expected key.path=value"),
        (["data", "prepare", "folder", "nowhere", "out"], 3, "nowhere"),
        (["data", "prepare", "folder", "x", "out", "--size", "big"], 2, "--size big: expected"),
        (
            ["data", "prepare", "folder", "x", "out", "--set", "viewz=1"],
            2,
            "'viewz': no such option of Folder",
        ),
    ],
)
def test_a_fault_of_the_input_is_one_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    finished = gazekit(*arguments, code=code, GAZEKIT_CACHE=str(tmp_path))
    assert message in finished.stderr
    assert finished.stderr.startswith("error: ")


def test_lists_and_shows() -> None:
    rows = json.loads(gazekit("plugins", "list", "--json").stdout)["components"]
    assert {"kind", "level", "name", "package", "version", "location", "status"} == rows[0].keys()
    levels = {row["name"]: row["level"] for row in rows if row["kind"] == "fusion"}
    assert (levels["concat"], levels["cross_attention"], levels["stack"]) == ("vectors", "maps", "images")
    shown = gazekit("plugins", "show", "fusion", "bfl").stdout
    assert "anchor: Literal['fused', 'view'] = 'fused'" in shown and "Eq. 5" in shown
    assert gazekit("plugins", "show", "bfl").stdout == shown
    listed = gazekit("presets", "list", "--json")
    presets = {row["name"] for row in json.loads(listed.stdout)["presets"]}
    assert (
        presets == {row["name"] for row in rows if row["kind"] == "preset"}
        and "left out" not in listed.stderr
    )
    text = gazekit("presets", "show", "mammonet", "--set", "training.epochs=7").stdout
    assert "epochs = 7 # --set" in text and "Sec. 3.2: λ" in text


def test_in_a_terminal_of_80_columns_nothing_is_cut_or_broken_inside_a_word() -> None:

    def shown(*command: object) -> str:
        said = gazekit(*command, COLUMNS="80", FORCE_COLOR="1").stdout
        return re.sub(r"\x1b\[[0-9;]*m", "", said)

    for command in (["train"], ["benchmark"], ["predict"], ["data", "prepare"], ["gaze", "validate"]):
        text = shown(*command, "--help")
        assert "--help" in text and "…" not in text.replace("1, …", ""), command
        assert "<bool>" not in text and " range>" not in text
    listed = shown("plugins", "list").splitlines()
    assert max(map(len, listed)) <= 80
    assert any(
        line.split()[0] == "cross_attention" and line.endswith("ok") for line in map(str.rstrip, listed)
    )
    whole = gazekit("plugins", "show", "bfl").stdout
    folded = shown("plugins", "show", "bfl")
    assert max(map(len, folded.splitlines())) <= 80 < max(map(len, whole.splitlines()))
    assert folded.split() == whole.split()


def test_brackets_in_the_head_of_a_table_are_shown_and_its_parts_stand_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run directory or a class may be called so."""
    monkeypatch.setenv("COLUMNS", "20")
    console.print_table(("", "[first]", "[/second]"), [("auc", "0.1234567", "0.7654321")])
    lines = [line.rstrip() for line in capsys.readouterr().out.split("\n")]
    assert lines == ["     [first]", "auc  0.1234567", "", "     [/second]", "auc  0.7654321", ""]


def test_a_line_break_in_a_cell_makes_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("exam", "class"), [("a\nb\x1b[31m", "benign")])
    assert capsys.readouterr().out.splitlines()[1].split() == [r"a\nb\x1b[31m", "benign"]


def test_of_many_doubts_the_first_are_shown_and_the_others_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.warn_each(["a", "b", "c"], 2, "in FILE")
    console.warn_each(["d"], 2, "in FILE")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["warning: a", "warning: b", "warning: and 1 more in FILE", "warning: d"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 80. GiB for an array"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes\nand a stack"
        ),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_a_lack_of_memory_is_one_line_wherever_it_shows(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_paths: object) -> None:
        raise error

    monkeypatch.setattr("gazekit.runs.table.find_runs", fail)
    said = gazekit("runs", "list", code=1).stderr
    assert said.startswith("error: out of memory (") and said.count("\n") == 1
    assert (
        "free some, ask for more where a limit is set, or give less at a time (--batch-size, --jobs)" in said
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["data", "split", "DATA", ""], "'out'"),
        (["report", "RUN", "--out", ""], "'--out'"),
        (["train", "--preset", "mammonet_small", "--data="], "'--data'"),
        (["runs", "list", "runs", ""], "'folders'"),
        (["presets", "show", "mammonet_small", "--set", ""], "'--set'"),
    ],
)
def test_an_empty_value_is_refused(
    arguments: list[str], name: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty path is the current folder, and an empty name the default: a variable of a shell may be unset."""
    monkeypatch.chdir(tmp_path)
    said = gazekit(*(str(run) if each == "RUN" else each for each in arguments), code=2).stderr
    assert f"Invalid value for {name}: expected a value (got '')" in said and not list(tmp_path.iterdir())


def test_brackets_in_help_are_shown() -> None:
    assert "Inputs are the views, [exams, 1, height, width] in [0, 1];" in gazekit("export", "--help").stdout


def test_an_option_of_two_values_shows_them_as_they_are_typed(tmp_path: Path) -> None:
    text = gazekit("data", "phantom", "--help").stdout
    assert "<float> <float>" in text and "<int> <int>" in text
    gazekit("data", "phantom", tmp_path / "raw", "--exams", 1, "--image-height", 64, "--findings", 2, 2)


def test_a_shell_completes_commands_and_presets() -> None:
    def completed(words: str, position: int) -> list[str]:
        asked = {"_GAZEKIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        return gazekit(**asked).stdout.split()

    assert completed("gazekit tr", 1) == ["train"]
    assert completed("gazekit train mammonet_s", 2) == ["mammonet_scanpath", "mammonet_small"]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_progress_of_a_training_is_whole_at_any_width(
    width: int, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=width, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "stderr", lambda: terminal)
    losses = {"loss": 2.5, "classification": 0.7, "gaze": 2.1, "bfl": 2.7}
    state = State(epoch=12, step=240, sums=losses, exams=1, auc=0.912, best_auc=0.934, best_epoch=9)
    with TrainingProgress(registry.preset("mammonet_small"), "cpu") as progress:
        progress.report(state, 20)
    assert "loss 2.500" in shown.getvalue() and "val AUC 0.912, best 0.934" in shown.getvalue()
    assert "…" not in shown.getvalue()
    assert ("bfl 2.700" in shown.getvalue()) is (width == 200)


def test_data_and_gaze_commands(raw_folder: Path, dataset: PreparedDataset, tmp_path: Path) -> None:
    assert (
        "exams" in gazekit("data", "prepare", "folder", raw_folder, tmp_path / "p", "--size", "16x24").stdout
    )
    assert PreparedDataset.open(tmp_path / "p").size == (16, 24)
    gazekit("data", "split", dataset.root, tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text().startswith("exam_id,patient_id,label,split")
    gazekit("data", "split", dataset.root, tmp_path / "folds", "--folds", 3)
    assert len(list((tmp_path / "folds").iterdir())) == 3
    picture = tmp_path / "heat.png"
    shown = gazekit(
        "gaze",
        "heatmap",
        raw_folder / "e000_cc.csv",
        raw_folder / "e000_cc.png",
        picture,
        "--format",
        "plain",
    )
    assert "fixations" in shown.stdout and picture.stat().st_size > 500


def test_the_default_data_are_made_once_and_said(tmp_path: Path) -> None:
    few = ["--set", "data.exams=40", "--set", "data.size=16", "--set", "data.dataset.image_height=64"]
    arguments = ["train", "--preset", "mammonet_small", "--epochs", 1, *few, *TINY]
    first = gazekit(*arguments, "--out", tmp_path / "a", GAZEKIT_CACHE=str(tmp_path / "cache"))
    assert "no --data given: generating 40 exams of 'phantom'" in first.stderr
    second = gazekit(*arguments, "--out", tmp_path / "b", GAZEKIT_CACHE=str(tmp_path / "cache"))
    assert "generating" not in second.stderr and "no --data given: using 40 exams" in second.stderr
    assert (tmp_path / "a" / "metrics.jsonl").read_bytes() == (tmp_path / "b" / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(
    dataset: PreparedDataset, tmp_path: Path, signal: str, code: int
) -> None:
    import signal as signals
    import threading

    out, over = tmp_path / "run", threading.Event()

    def send() -> None:
        while not (out / "metrics.jsonl").exists():
            if over.wait(0.01):
                return
        os.kill(os.getpid(), getattr(signals, signal))

    arguments = ["train", "--preset", "mammonet_small", "--data", dataset.root, "--out", out, *TINY]
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        said = gazekit(*arguments, "--epochs", 100000, code=code).stderr
    finally:
        over.set()
        sender.join()
    assert f"go on with: gazekit train --out {out} --resume" in said
    assert "Traceback" not in said


def test_an_output_of_the_wrong_kind_is_one_line(
    raw_folder: Path, dataset: PreparedDataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for arguments in (
        ["data", "split", dataset.root, tmp_path / "folder"],
        ["data", "prepare", "folder", raw_folder, tmp_path / "file"],
        [
            "gaze",
            "heatmap",
            raw_folder / "e000_cc.csv",
            raw_folder / "e000_cc.png",
            tmp_path / "folder",
            "--format",
            "plain",
        ],
    ):
        said = gazekit(*arguments, code=74).stderr
        *notes, error = said.splitlines()
        assert error.startswith("error: ")
        assert all("names no image; assumed to be of" in line for line in notes)


def test_a_run_whose_plugin_is_gone_names_its_packages(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "checksums.json").unlink()
    stored = (copy / "preset.toml").read_text()
    (copy / "preset.toml").write_text(stored.replace('use = "bfl"', 'use = "gated"'))
    said = gazekit("evaluate", copy, code=2).stderr
    assert "no fusion of vectors 'gated'" in said
    assert "was made with gazekit" in said


def test_commands_of_data_sets_that_generate_themselves_are_added_once() -> None:
    """However many commands a process runs: our tests run hundreds."""
    for _ in range(2):
        gazekit("data", "phantom", "--help")
    names = [command.name for command in data.app.registered_commands]
    assert names.count("phantom") == 1


HEADED = """
import gazekit
from pathlib import Path
from gazekit.records.exam import Exam

class Headed:
    '''Images of two classes in turn.

    Args:
        head: first letters of a class.
        pooling: its last letters.
    '''
    classes = None
    def __init__(self, *, head: str = "", pooling: str = ""):
        self.head = head + pooling
    def exams(self, root: Path):
        for number, path in enumerate(sorted(root.glob("*_cc.png"))):
            yield Exam(path.stem, path.stem, (self.head, "none")[number % 2], {"cc": path})

@gazekit.hookimpl
def gazekit_datasets():
    return {"headed": Headed}
"""


def test_an_option_of_a_data_set_may_be_called_like_a_part_of_a_preset(
    distribution: MakeDistribution, raw_folder: Path, tmp_path: Path
) -> None:
    distribution("headed", "0.1", HEADED)
    prepare = ("data", "prepare", "headed", raw_folder, tmp_path / "out", "--size", 16, "--crop", "none")
    gazekit(*prepare, "--set", "head=tumour", "--set", "pooling=s", "--jobs", 1)
    assert "tumours" in (tmp_path / "out" / "index.csv").read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("gaze", "validate", ".", "--dataset", "folder", "--source", ".", "--dataset-set", "x"),
            "--dataset-set x",
        ),
        (("data", "prepare", "folder", ".", "out", "--gaze-set", "=1"), "--gaze-set =1"),
        (("data", "prepare", "folder", ".", "out", "--set", "x"), "--set x"),
    ],
)
def test_an_item_that_sets_nothing_is_told_by_the_name_of_its_option(
    command: tuple[str, ...], said: str
) -> None:
    assert f"error: {said}: expected OPTION=VALUE" in gazekit(*command, code=2).stderr


def test_plugins_check_takes_any_name_and_any_path(
    distribution: MakeDistribution, raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("headed", "0.1", HEADED.replace('"headed"', '"head"'))
    (tmp_path / "12").symlink_to(raw_folder)
    monkeypatch.chdir(tmp_path)
    check = ("plugins", "check", "headed")
    said = gazekit(*check, "--set", "head.pooling=a", "--sample", "head=12", code=1)
    assert "ok The same exams each time" in said.stdout
    assert (
        "error: --set head=…: expected NAME.OPTION=VALUE" in gazekit(*check, "--set", "head=1", code=2).stderr
    )
    assert "error: --sample head: expected NAME=PATH" in gazekit(*check, "--sample", "head", code=2).stderr


def test_the_next_command_can_be_given_to_a_shell(
    dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = ("train", "ga_net", "--data", dataset.root, "--out", "my run", "--epochs", 1)
    small = [part for item in (*SMALL, "training.batch_size=4") for part in ("--set", item)]
    for command in ((*train, *small), ("calibrate", "my run")):
        assert "next: gazekit evaluate 'my run'" in gazekit(*command).stderr
    said = gazekit("plugins", "new", "metric", "mine", "--out", "my plugin").stderr
    assert "pytest 'my plugin'; gazekit plugins check 'my plugin'" in said
    said = gazekit("data", "phantom", "my images", "--exams", 1).stderr
    assert "next: gazekit data prepare phantom 'my images' PREPARED" in said


def test_evaluate_prints_no_negative_zero_and_one_dash_for_no_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"correlation": {"value": -0.0004, "low": -0.25, "high": 0.25}}
    found |= {"nss": {"value": 1.5, "low": None, "high": None}}
    words = dict.fromkeys(("preset", "split", "chosen", "threshold", "run", "positive"), "")
    lists: dict[str, list[str]] = {"limits": [], "flattery": [], "files": []}
    counts = {"exams": 4, "patients": 4, "epoch": 1, "classes": {"benign": 2, "malignant": 2}}
    unusual = {"calibration": "none", "called_above": 0.5, "subgroups": {}}
    evaluate._print({"metrics": {"gaze_agreement": found}, **words, **lists, **counts, **unusual})
    printed = capsys.readouterr().out
    assert re.search(r" 0\.000 +−0\.250 – 0\.250\n", printed) and re.search(r" 1\.500 +–\s*\n", printed)
