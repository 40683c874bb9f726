"""A command that is asked to stop, or whose terminal closes, ends soon and with the code that is promised."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch
from command_line import TINY, gazekit
from forked import Forked, run_module
from tiny import tiny

from gazekit.errors import Preempted
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import make_split
from gazekit.registry.registry import Registry
from gazekit.training import loop
from gazekit.training.run import continue_run
from gazekit.training.start import StartSettings, start_run

LONG = ["--set", "training.epochs=100000", *TINY]


def waiting(process: "subprocess.Popen[bytes]", there: Path, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not there.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    assert there.exists(), "it did not begin"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_training_that_waits_for_a_process_that_never_comes_can_be_stopped(
    dataset: PreparedDataset, tmp_path: Path, sent: int, code: int
) -> None:
    """The wait for the others is native code, in which Python runs no handler."""
    environment = os.environ | {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": str(20_000 + os.getpid() % 30_000)}
    run = tmp_path / "run"
    arguments = ["train", "--preset", "mammonet_small", "--data", dataset.root, "--out", run, *LONG]
    process = Forked(
        [sys.executable, "-m", "gazekit", *map(str, arguments)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        waiting(process, run / "run.json")
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(sent)
        assert process.wait(30) == code
    finally:
        process.kill()


def test_a_preparation_that_is_stopped_ends_its_workers_and_leaves_nothing_to_complain_of(
    raw_folder: Path, tmp_path: Path
) -> None:
    """Killed at once, Python's tracker of resources wrote about leaked semaphores."""
    command = ["data", "prepare", "folder", raw_folder, tmp_path / "out", "--size", 2048, "--jobs", 2]
    process = subprocess.Popen(
        [sys.executable, "-m", "gazekit", *map(str, command)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        waiting(process, tmp_path / "out" / "journal.jsonl")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 128 + signal.SIGTERM and "leaked" not in said and "Traceback" not in said
    finally:
        process.kill()
    assert (tmp_path / "out" / "journal.jsonl").exists()  # it goes on from there


def test_a_training_whose_terminal_closes_writes_a_checkpoint_and_ends_with_75(
    dataset: PreparedDataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["train", "--preset", "mammonet_small", "--data", dataset.root, "--out", run, *LONG]
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what started the tests may ignore it, as nohup does
        command = [sys.executable, "-m", "gazekit", *map(str, arguments)]
        run_module(command, os.environ | {"TERM": "xterm"})
    until = time.monotonic() + 240
    while not (run / "metrics.jsonl").exists() and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    until, ended = time.monotonic() + 60, (0, 0)
    while ended[0] == 0 and time.monotonic() < until:
        ended = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)
    if ended[0] == 0:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail("it went on without its terminal")
    assert os.waitstatus_to_exitcode(ended[1]) == Preempted.exit_code
    assert "stopped at step" in (run / "log.txt").read_text()


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(tiny_run: Path, closed: str) -> None:
    """As some schedulers start it; Python has no stream then, and a file that is opened would get its number."""
    command = [sys.executable, "-m", "gazekit", "runs", "list", str(tiny_run)]
    ended = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], capture_output=True, check=False)
    assert ended.returncode == 0 and (closed != "2>&-" or b"mammonet_small" in ended.stdout)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", [["runs", "list"], ["predict"]], ids=" ".join)
def test_results_that_the_disk_does_not_take_end_in_one_line(
    tiny_run: Path, raw_folder: Path, command: list[str]
) -> None:
    """Python writes what is left once more at its exit, fails, and ends with 120."""
    images = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"] if command == ["predict"] else []
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "gazekit", *command, tiny_run, *images],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 74 and "Exception ignored" not in ended.stderr
    assert ended.stderr.count("error: input or output: No space left on device") == 1


def test_a_training_without_usable_weights_is_an_error(
    registry: Registry, dataset: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, cpu = tiny(registry, "training.epochs=1"), torch.device("cpu")
    settings = StartSettings(seed=0, device=cpu)
    run = start_run(tmp_path / "run", preset, registry, dataset, make_split(dataset), settings)
    predicted = loop.predict

    def without_numbers(*arguments, **options):
        found = predicted(*arguments, **options)
        found.logits[:] = float("nan")
        return found

    monkeypatch.setattr(loop, "predict", without_numbers)
    with pytest.raises(loop.GazekitError, match="in 1 epoch no validation had finite outputs"):
        continue_run(run, registry, dataset, device=cpu)


@pytest.mark.parametrize(
    "item", ["training.learning_rate=inf", "loss.gaze_weight=nan", "fusion.vectors.dropout=inf"]
)
def test_numbers_that_are_not_finite_are_refused(dataset: PreparedDataset, tmp_path: Path, item: str) -> None:
    common = ["--preset", "mammonet_small", "--data", dataset.root, "--out", tmp_path / "run", *TINY]
    said = gazekit("train", *common, "--set", item, code=2).stderr
    assert item.partition("=")[0] in said and "finite" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("widths", ["[200000, 8, 8, 8]", "[4, 6, 8, 2000000000]"])
def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(
    dataset: PreparedDataset, tmp_path: Path, widths: str
) -> None:
    common = ["--preset", "mammonet_small", "--data", dataset.root, "--out", tmp_path / "run", *TINY]
    said = gazekit("train", *common, "--set", f"backbone.widths={widths}", code=2).stderr
    assert "memory" in said and "backbone" in said


def test_a_run_whose_preset_was_made_larger_than_its_weights_is_refused(
    tiny_run: Path, tmp_path: Path
) -> None:
    import shutil

    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "checksums.json").unlink()
    preset = (run / "preset.toml").read_text()
    assert "widths = [4, 6, 8, 10]" in preset
    (run / "preset.toml").write_text(preset.replace("widths = [4, 6, 8, 10]", "widths = [4, 600, 800, 1000]"))
    assert "of those stored with it" in gazekit("evaluate", run, code=2).stderr


def test_standard_output_is_the_result_alone(tmp_path: Path) -> None:
    """A plugin's import writes to the descriptor itself, by a child process and by Python."""
    (tmp_path / "noisy.py").write_text(
        "import os\nimport gazekit\n\n"
        "os.write(1, b'from C\\n')\nos.system('echo from a child')\nprint('from Python')\n\n"
        "@gazekit.hookimpl\ndef gazekit_metrics():\n    return {}\n"
    )
    info = tmp_path / "noisy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gazekit]\nnoisy = noisy\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    variables = {name: value for name, value in os.environ.items() if name != "GAZEKIT_DISABLE"}
    ended = subprocess.run(
        [sys.executable, "-m", "gazekit", "plugins", "list", "--kind", "tracker", "--json"],
        env=variables | {"PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(ended.stdout)["schema"] == "gazekit.plugins/1"
    for said in ("from C", "from a child", "from Python"):
        assert said in ended.stderr


def test_an_unbuffered_standard_output_stays_one() -> None:
    """The log of a run in a study, or of a container, holds each line when it is printed."""
    code = (
        "from gazekit.cli import console\nconsole.reserve_stdout()\nprint('a result')\nimport os\nos._exit(0)"
    )
    ended = subprocess.run([sys.executable, "-u", "-c", code], capture_output=True, check=True, text=True)
    assert ended.stdout == "a result\n"


@pytest.mark.parametrize("closed", [(), (0, 1, 2)])
def test_standard_streams_end_without_a_warning(closed: tuple[int, ...], tmp_path: Path) -> None:
    """Whether Python still ignores it at its exit depends on what the command loaded."""
    said = tmp_path / "said.txt"
    code = (
        "import os\n"
        f"for number in {closed}: os.close(number)\n"
        "from gazekit.cli import console\n"
        "console.open_closed_streams()\nconsole.reserve_stdout()\n"
        f"os.dup2(os.open({str(said)!r}, os.O_CREAT | os.O_WRONLY), 2)\n"
        "print('a result')"
    )
    subprocess.run([sys.executable, "-W", "always::ResourceWarning", "-c", code], check=True)
    assert said.read_text() == ""


@pytest.mark.parametrize(("columns", "width"), [(133, 133), (0, 80)])  # 0: not known
def test_results_are_as_wide_as_the_terminal_that_shows_them(columns: int, width: int) -> None:
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    code = "from gazekit.cli import console\nconsole.reserve_stdout()\nprint(console.stdout().width)"
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": terminal, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", code], env=variables, check=True, **streams)
    assert int(os.read(master, 100)) == width
    os.close(terminal)
    os.close(master)
