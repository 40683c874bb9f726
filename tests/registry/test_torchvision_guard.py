"""A torchvision whose operators do not fit this torch can be imported; any other is left alone."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import gazekit

ROOT = Path(gazekit.__file__).parents[1]
SITE_PACKAGES = Path(pytest.__file__).parents[1]
MISFIT = """
import torch
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): ...
value = 7
"""
"""Fails as torchvision does where its operators were not loaded."""


TORCH = """
class Library:
    declared = set()
    def __init__(self, space, kind): self.space = space
    def define(self, schema): Library.declared.add(f"{self.space}::{schema.partition('(')[0]}")
def register_fake(operator):
    if operator not in Library.declared:
        raise RuntimeError(f"operator {operator} does not exist")
    return lambda function: function
"""
"""Declares operators and misses them as torch does, and is imported in no time."""


def made_torchvision(folder: Path, code: str) -> None:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(f"from torchvision import inner\n{code}")
    (folder / "torchvision" / "inner.py").write_text("")


def run(
    *arguments: str, path: Path | None = None, python: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with gazekit, and the packages of ``path`` before all others."""
    folders = [*([str(path)] if path else []), str(ROOT), str(ROOT / "plugins")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [str(python or sys.executable), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=path)


LOOKS_UP = """
import gazekit, sys
registry = gazekit.load_registry()
[registry.preset(each.name) for each in registry.components("preset")]
assert not {"timm", "torchvision"} & sys.modules.keys()
from gazekit.cli.main import main
sys.argv = ["gazekit", "plugins", "check", "of_timm.py"]
try:
    main()
finally:
    import timm, torchvision
    print(len(timm.list_models()) > 100, torchvision.__name__)
"""
OF_TIMM = """
import timm
import torch
import gazekit
from gazekit.contracts.interfaces import VectorFusion


class Joined(VectorFusion):
    def __init__(self, views, features):
        super().__init__()
        self.out_features = len(views) * features

    def forward(self, vectors):
        return torch.cat(list(vectors.values()), dim=1)


@gazekit.hookimpl
def gazekit_fusions():
    return {"joined": Joined}
"""


def test_timm_is_imported_neither_with_gazekit_nor_by_a_preset_and_can_be_by_a_plugin(tmp_path: Path) -> None:
    """And that plugin passes its check."""
    (tmp_path / "of_timm.py").write_text(OF_TIMM)
    finished = run("-c", LOOKS_UP, path=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.split()[-2:] == ["True", "torchvision"]


def test_operators_that_are_missing_are_declared_and_nothing_of_ours_stays(tmp_path: Path) -> None:
    made_torchvision(tmp_path, MISFIT)
    code = """
import gazekit, sys
watched = sys.meta_path[:]
sys.meta_path[:] = [each for each in watched if type(each).__name__ != "_Watch"]
try:
    import torchvision  # alone, also where the environment is mended
except RuntimeError as error:
    print(error, file=sys.stderr)
for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
    del sys.modules[name]
sys.meta_path[:] = watched
import torchvision
print(torchvision.value, "torchvision.inner" in sys.modules)
print(type(torchvision.__loader__).__name__, type(torchvision.__spec__.loader).__name__)
import torch; torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
"""
    guarded = run("-c", code, path=tmp_path)
    assert "operator torchvision::nms does not exist" in guarded.stderr
    assert guarded.stdout.split() == ["7", "True", "SourceFileLoader", "SourceFileLoader"], guarded.stderr
    assert "NotImplementedError" in guarded.stderr  # declared, not implemented


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("value = 7", "7 [] True"),
        ("raise RuntimeError('CUDA versions differ')", "CUDA versions differ"),
        (None, "No module named 'torchvision'"),
    ],
)
def test_a_matched_pair_another_failure_and_none_at_all_are_left_alone(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        made_torchvision(tmp_path, content)
    before = "import sys; sys.path[:] = [each for each in sys.path if 'site-packages' not in each]\n"
    code = (
        "import gazekit, gazekit.registry.torchvision_guard as guard, sys, torchvision\n"
        "print(torchvision.value, guard._libraries, 'torch' not in sys.modules)"
    )
    finished = run("-c", before + code, path=tmp_path)
    assert said in finished.stdout + finished.stderr


def test_an_environment_is_mended_where_that_is_needed_and_only_there(tmp_path: Path) -> None:
    venv.create(tmp_path / "environment", symlinks=True)
    python = tmp_path / "environment" / "bin" / "python"
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{SITE_PACKAGES}\n")
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text("from torch import library\n")
    (packages / "torch" / "library.py").write_text(TORCH)
    made_torchvision(packages, MISFIT)
    alone = "import sys; assert 'gazekit' not in sys.modules; import torchvision; print(torchvision.value)"
    assert run("-c", alone, path=packages, python=python).returncode == 1

    mended = run("-m", "gazekit.doctor.mend_torchvision", path=packages, python=python)
    assert "was not built for this torch" in mended.stdout and str(site) in mended.stdout
    assert mended.stderr == ""
    assert run("-c", alone, path=packages, python=python).stdout == "7\n"
    assert (
        "was not built" in run("-m", "gazekit.doctor.mend_torchvision", path=packages, python=python).stdout
    )

    (packages / "torchvision" / "__init__.py").write_text("value = 8\n")
    assert (
        "nothing to mend" in run("-m", "gazekit.doctor.mend_torchvision", path=packages, python=python).stdout
    )
    assert not list(site.glob("_gazekit_torchvision_guard*"))
