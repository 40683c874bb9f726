"""What an export leaves: a whole file or nothing, nothing of this machine in it, and nothing sent anywhere."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import gazekit

from gazekit.errors import StorageError
from gazekit.exporting import exported
from gazekit.registry import Registry
from gazekit.training.trained import open_trained

FORMS = {"onnx": exported.export_onnx, "torch-export": exported.export_torch}


@pytest.fixture(scope="module")
def trained(tiny_run: Path, registry: Registry):
    return open_trained(tiny_run, registry, torch.device("cpu"))


@pytest.mark.parametrize("form", [pytest.param("onnx", marks=pytest.mark.slow), "torch-export"])
def test_an_export_that_fails_leaves_nothing_and_the_old_file_as_it_was(
    trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model"
    path.write_bytes(b"the one before")
    monkeypatch.setattr(exported, "TOLERANCE", -1.0)
    with pytest.raises(exported.GazekitError, match="nothing was written"):
        FORMS[form](trained, path)
    assert path.read_bytes() == b"the one before" and list(tmp_path.iterdir()) == [path]


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
import os, socket, sys
def refuse(*arguments, **options):
    raise AssertionError(f"looks up or connects to {arguments}")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
from gazekit.cli.main import main
sys.argv = ["gazekit", *sys.argv[1:]]
main()
"""


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
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    return done.returncode, done.stdout + done.stderr, files


@pytest.mark.slow
def test_no_command_connects_or_keeps_an_id_of_this_machine(
    tiny_run: Path, raw_folder: Path, dataset, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    images = [raw_folder / "e005_cc.png", raw_folder / "e005_mlo.png"]
    model = tmp_path / "model.onnx"
    for arguments in (
        ["export", tiny_run, "--out", model],
        ["export", tiny_run, "--format", "torch-export", "--out", tmp_path / "model.pt2"],
        ["predict", tiny_run, *images],
        ["evaluate", tiny_run, "--resamples", 100],
        ["report", tiny_run],
        ["runs", "verify", tiny_run],
        ["data", "verify", dataset.root],
        ["data", "prepare", "folder", raw_folder, tmp_path / "prepared", "--size", "16", "--crop", "none"],
        ["doctor"],
    ):
        code, said, files = traced([sys.executable, "-c", WATCH, *map(str, arguments)], tmp_path)
        assert code == 0 or arguments == ["doctor"], said
        assert "looks up or connects" not in said
        kept = {name for name in files if "matplotlib" not in name and "fontlist" not in name}
        assert not [
            name for name in kept if any(word in name.lower() for word in ("telemetry", "onnx", "microsoft"))
        ]


@pytest.mark.slow
def test_onnxruntime_opens_no_socket_and_writes_no_device_id(
    tiny_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    """Its own code is native: what it asks the system for is counted, in our command and in the example."""
    pytest.importorskip("onnxruntime")
    model = tmp_path / "model.onnx"
    gazekit("export", tiny_run, "--out", model)
    script = Path(__file__).parents[1] / "examples" / "run_onnx.py"
    pair = [str(raw_folder / "e005_cc.png"), str(raw_folder / "e005_mlo.png")]
    export = ["-m", "gazekit", "export", str(tiny_run), "--out", str(model), "--overwrite"]
    for arguments in (export, [str(script), str(model), *pair]):
        code, said, files = traced([sys.executable, *arguments], tmp_path)
        assert code == 0, said
        assert not [name for name in files if "nnx" in name or "icrosoft" in name or "elemetry" in name], (
            files
        )


@pytest.mark.skipif(not hasattr(socket, "AF_INET"), reason="needs sockets")
def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    pytest.importorskip("onnxruntime")
    code = (
        "import os, sys\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "from gazekit.exporting import exported\n"
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
    example = (Path(__file__).parents[1] / "examples" / "run_onnx.py").read_text()
    assert example.index('os.environ["ORT_DISABLE_TELEMETRY"] = "1"') < example.index("import onnxruntime")
