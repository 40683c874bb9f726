"""An export leaves a whole file or nothing, names nothing of this machine, and connects to nobody."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import TINY, gazekit
from PIL import Image
from tiny import small_changes

from gazekit.errors import StorageError
from gazekit.exporting import program_files as exported
from gazekit.prepared.dataset import PreparedDataset
from gazekit.registry.registry import Registry
from gazekit.runs.trained import open_trained

FORMS = {"onnx": exported.export_onnx, "torch-export": exported.export_torch}


@pytest.fixture(scope="module")
def smallest_run(tmp_path_factory: pytest.TempPathFactory, dataset: PreparedDataset) -> Path:
    """A run of one view without gaze: an export takes the longer the more operations its model has."""
    out = tmp_path_factory.mktemp("exported") / "run"
    changes = [part for item in small_changes("single_cc") for part in ("--set", item)]
    gazekit("train", "--preset", "single_cc", "--data", dataset.root, "--out", out, "--epochs", 1, *changes)
    return out


@pytest.fixture(scope="module")
def trained(smallest_run: Path, registry: Registry):
    return open_trained(smallest_run, registry, torch.device("cpu"))


@pytest.mark.parametrize(
    ("form", "apart"),
    [
        pytest.param("onnx", 0.25, marks=pytest.mark.slow),
        ("torch-export", 0.25),
        ("torch-export", float("nan")),
    ],
)
def test_an_export_that_fails_leaves_nothing_and_the_old_file_as_it_was(
    trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    form: str,
    apart: float,
) -> None:
    """One number of the last output of one exam is apart."""
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model"
    path.write_bytes(b"the one before")
    original = exported._original

    def other(run, deployed, images):
        *others, last = original(run, deployed, images)
        return [*others, last + np.where(np.arange(last.size).reshape(last.shape) == 0, apart, 0)]

    monkeypatch.setattr(exported, "_original", other)
    with pytest.raises(
        exported.GazekitError, match=f"differs from the original by {apart:.1e}, .* nothing was"
    ):
        FORMS[form](trained, path)
    assert path.read_bytes() == b"the one before" and list(tmp_path.iterdir()) == [path]
    assert "Unable to load" not in capfd.readouterr().err  # torch's word on a name without .pt2


@pytest.mark.parametrize("form", [pytest.param("onnx", marks=pytest.mark.slow), "torch-export"])
def test_a_full_disk_is_one_line_and_leaves_nothing(trained, tmp_path: Path, form: str) -> None:
    """The limit on the size of files stands in for the disk: torch's own writer ends the process at it."""
    pytest.importorskip("onnxruntime")
    resource = pytest.importorskip("resource")
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            FORMS[form](trained, tmp_path / "model")
        except (StorageError, OSError) as error:
            os._exit(74 if isinstance(error, StorageError) or error.errno == errno.EFBIG else 1)
        except BaseException:
            os._exit(99)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [pytest.param("onnx", marks=pytest.mark.slow), "torch-export"])
def test_an_export_does_not_follow_a_link_and_names_no_place_on_this_machine(
    trained, tmp_path: Path, form: str
) -> None:
    pytest.importorskip("onnxruntime")
    theirs, path = tmp_path / "theirs", tmp_path / "model"
    theirs.write_bytes(b"theirs")
    path.symlink_to(theirs)
    FORMS[form](trained, path)
    assert theirs.read_bytes() == b"theirs" and not path.is_symlink()
    content = path.read_bytes()
    for place in (
        Path(torch.__file__).parent,
        Path(exported.__file__).parents[2],
        Path.home(),
        trained.run.path,
    ):
        assert str(place).encode() not in content or str(place) == "/", place


WATCH = """
import ctypes, os, socket, struct, sys
def step(code, yes, no, value):
    return struct.pack("HBBI", code, yes, no, value)
def forbid_connections():
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    program = b"".join((
        step(0x20, 0, 0, 0),  # the number of the system call
        step(0x15, 0, 5, number),  # socket?
        step(0x20, 0, 0, 16),  # its family
        step(0x15, 0, 1, socket.AF_INET),
        step(0x06, 0, 0, 0x80000000),  # the process is killed
        step(0x15, 0, 1, socket.AF_INET6),
        step(0x06, 0, 0, 0x00050061),  # this machine has none, which urllib3 asks for at its import
        step(0x06, 0, 0, 0x7FFF0000),  # allowed
    ))
    content = ctypes.create_string_buffer(program, len(program))
    class Filter(ctypes.Structure):
        _fields_ = [("steps", ctypes.c_ushort), ("program", ctypes.c_void_p)]
    this = Filter(len(program) // 8, ctypes.addressof(content))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(this), 0, 0):
        sys.exit(86)
forbid_connections()
import runpy
sys.argv = sys.argv[1:]
if sys.argv[0].endswith(".py"):
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from gazekit.cli.main import main
    main()
"""
"""The kernel ends a process, Python or native code in it, that makes a socket of the internet; its children, too."""
REFUSED = -31
NO_FILTER = 86


def traced(command: list[str], folder: Path) -> tuple[int, str, set[str]]:
    """Exit code, output, and the files in a home folder of its own after a command that may not open a connection."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment = os.environ | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "TMPDIR": str(home),
    }
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=folder)
    if done.returncode == NO_FILTER:
        pytest.skip("this system does not let a process give up system calls")
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    return done.returncode, done.stdout + done.stderr, files


def kept_of(files: set[str]) -> list[str]:
    """Files that a maker of a library would know this machine by."""
    return [
        name for name in files if any(word in name.lower() for word in ("telemetry", "onnx", "microsoft"))
    ]


needs_filter = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine not in ("x86_64", "aarch64"),
    reason="needs filters of system calls",
)


@needs_filter
def test_a_process_that_would_connect_is_ended(tmp_path: Path) -> None:
    """Without this the tests below could not fail."""
    (tmp_path / "connect.py").write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    (tmp_path / "nothing.py").write_text("import socket\nsocket.socket(socket.AF_UNIX).close()\n")
    for name, code in (("connect.py", REFUSED), ("nothing.py", 0)):
        assert traced([sys.executable, "-c", WATCH, name], tmp_path)[0] == code


@needs_filter
def test_an_export_connects_to_nobody_and_keeps_no_id_of_this_machine(
    smallest_run: Path, tmp_path: Path
) -> None:
    """A library's native code, too."""
    pytest.importorskip("onnxruntime")
    export = ["export", str(smallest_run), "--out", str(tmp_path / "model.onnx")]
    code, said, files = traced([sys.executable, "-c", WATCH, "gazekit", *export], tmp_path)
    assert code == 0 and not kept_of(files), (said, files)


@pytest.mark.slow
@needs_filter
def test_no_command_connects_or_keeps_an_id_of_this_machine(
    tiny_run: Path, raw_folder: Path, dataset, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    images = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    model, study = tmp_path / "model.onnx", tmp_path / "study"
    script = Path(__file__).parents[2] / "examples" / "run_onnx.py"
    pair = [tmp_path / image.name for image in images]
    for image, small in zip(images, pair, strict=True):
        Image.open(image).resize((16, 16)).save(small)
    few = ["--data", dataset.root, *TINY, "--set", "training.epochs=1"]
    one = ["--preset", "mammonet_small", "--folds", 2, "--seeds", 1, "--no-timing"]
    for arguments in (
        ["export", tiny_run, "--out", model],
        ["export", tiny_run, "--format", "torch-export", "--out", tmp_path / "model.pt2"],
        ["train", "--preset", "mammonet_small", "--out", tmp_path / "run", *few],
        ["benchmark", *one, "--out", study, *few],
        ["predict", tiny_run, *images, "--overlays", tmp_path / "overlays"],
        ["evaluate", tiny_run, "--resamples", 100],
        ["report", tiny_run],
        ["report", study],
        ["runs", "list", tmp_path],
        ["runs", "verify", tiny_run],
        ["data", "phantom", tmp_path / "phantom", "--exams", 2],
        ["data", "verify", dataset.root],
        ["data", "split", dataset.root, tmp_path / "split.csv"],
        ["data", "prepare", "folder", raw_folder, tmp_path / "prepared", "--size", "16", "--crop", "none"],
        ["gaze", "validate", raw_folder, "--dataset", "folder", "--source", raw_folder],
        ["plugins", "list"],
        ["presets", "list"],
        ["doctor"],
    ):
        command = [sys.executable, "-c", WATCH, "gazekit", *map(str, arguments)]
        code, said, files = traced(command, tmp_path)
        assert code == 0 or (arguments == ["doctor"] and code != REFUSED), (arguments, said)
        assert not kept_of(files), arguments
    code, said, files = traced(
        [sys.executable, "-c", WATCH, str(script), str(model), *map(str, pair)], tmp_path
    )
    assert code == 0 and not kept_of(files), (said, files)


@pytest.mark.skipif(not hasattr(socket, "AF_INET"), reason="needs sockets")
def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    pytest.importorskip("onnxruntime")
    code = (
        "import os, sys\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "from gazekit.exporting import program_files as exported\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "            raise ImportError(name='onnxruntime')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "try:\n    exported._onnxruntime()\nexcept Exception as error:\n    print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "ConfigurationError"]
    example = (Path(__file__).parents[2] / "examples" / "run_onnx.py").read_text()
    assert example.index('os.environ["ORT_DISABLE_TELEMETRY"] = "1"') < example.index("import onnxruntime")
