"""``gazekit plugins new`` and ``check``, as the author of a plugin meets them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import gazekit

KINDS = [
    "backbone",
    "pooling",
    "fusion",
    "head",
    "attention-map",
    "alignment-loss",
    "optimizer",
    "schedule",
    "dataset",
    "gaze-reader",
    "region",
    "metric",
    "report-section",
    "tracker",
]


@pytest.fixture
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """``plugins check`` imports what lies in a folder; forget it afterwards."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("gazekit_soft_gate", "lonely"):
            del sys.modules[name]


def new(kind: str, folder: Path, name: str = "soft_gate") -> Path:
    said = gazekit("plugins", "new", kind, name, "--out", folder)
    files = {Path(line) for line in said.stdout.splitlines()}
    assert files == {path for path in folder.rglob("*") if path.is_file()}
    assert "$" not in "".join(path.read_text() for path in files)
    return folder


def test_a_new_fusion_is_a_package_that_keeps_its_promises(tmp_path: Path, clean_imports: None) -> None:
    folder = new("fusion", tmp_path / "package")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *("pyproject.toml", "README.md", "tests/test_soft_gate.py"),
        *("gazekit_soft_gate/__init__.py", "gazekit_soft_gate/soft_gate.py"),
        "gazekit_soft_gate/presets/mammonet_soft_gate.toml",
    }
    said = gazekit("plugins", "check", folder, "--set", "soft_gate.width=3", "--json")
    results = json.loads(said.stdout)["results"]
    assert {result["status"] for result in results} == {"ok"}
    assert {result["what"] for result in results} == {"fusion soft_gate", "preset mammonet_soft_gate"}
    assert f"gazekit-soft-gate: {len(results)} promises kept, 0 broken, 0 not checked" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_passes_its_own_tests_as_generated(kind: str, tmp_path: Path) -> None:
    folder = new(kind, tmp_path / "package")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error::UserWarning"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    # loss and pooling have no parameters, which two promises are of; a reader, a
    # metric, a section and a region have no preset; the data set leaves it to headers and names whose image a file is
    skipped = {
        "alignment-loss": 2,
        "pooling": 2,
        "gaze-reader": 1,
        "region": 1,
        "metric": 1,
        "report-section": 1,
        "tracker": 1,
        "dataset": 1,
    }.get(kind, 0)
    unchecked = f", {skipped} skipped" if skipped else ""
    assert re.search(rf"\d+ passed{unchecked} in", ended.stdout.splitlines()[-1]), ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_once_installed(kind: str, tmp_path: Path) -> None:
    folder, site = new(kind, tmp_path / "package"), tmp_path / "site"
    pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        site,
    ]
    subprocess.run([sys.executable, *pip, folder], check=True)
    show = f"import sys; sys.path.insert(0, {str(site)!r}); from gazekit.cli.main import main; main()"
    name = kind.replace("-", "_")
    command = [sys.executable, "-c", show, "plugins", "show", name, "soft_gate"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "from gazekit-soft-gate 0.1.0" in ended.stdout and ended.stderr == ""


def test_a_new_gaze_reader_says_why_it_has_no_preset_and_brings_a_file(
    tmp_path: Path, clean_imports: None
) -> None:
    folder = new("gaze-reader", tmp_path / "package")
    readme = (folder / "README.md").read_text()
    assert "It has no preset" in readme and not list(folder.rglob("*.toml"))[1:]
    (sample,) = re.findall(r"--sample soft_gate=(\S+)", readme)
    without = gazekit("plugins", "check", folder)
    assert "not checked Fits its own file" in without.stdout and "1 promise kept" in without.stderr
    said = gazekit("plugins", "check", folder, "--sample", f"soft_gate={folder / sample}")
    assert "gazekit-soft-gate: 6 promises kept, 0 broken, 0 not checked" in said.stderr


def test_a_package_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    said = gazekit("plugins", "new", "fusion", "x" * 300, "--out", tmp_path / "package", code=74).stderr
    assert "File name too long" in said and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fusions", "gate"], "no kind 'fusions'; the kinds are: backbone, fusion"),
        (
            ["fusion", "Soft Gate"],
            "'Soft Gate' cannot be the name of a component; expected a word in lower case",
        ),
        (["fusion", "lambda"], "'lambda' cannot be the name of a component"),
        (["fusion", "gate", "--out", "."], ".: exists already; choose another --out"),
    ],
)
def test_what_cannot_be_made_is_said(arguments: list[str], message: str) -> None:
    assert f"error: {message}" in gazekit("plugins", "new", *arguments, code=2).stderr


LONELY = """
import gazekit, torch
from gazekit.contracts.interfaces import VectorFusion

class Lonely(VectorFusion):
    '''The first view alone, unless there are three.'''
    def __init__(self, views, channels):
        super().__init__()
        self.out_features = channels

    def forward(self, vectors):
        first = next(iter(vectors.values()))
        return first if len(vectors) < 3 else first[:, :2]

@gazekit.hookimpl
def gazekit_fusions():
    return {"lonely": Lonely, "list": list}
"""


def test_a_broken_promise_names_the_smallest_case(tmp_path: Path, clean_imports: None) -> None:
    (tmp_path / "lonely.py").write_text(LONELY)
    said = gazekit("plugins", "check", tmp_path / "lonely.py", code=1)
    lines = [line.strip() for line in said.stdout.splitlines()]
    broken = lines.index("Lonely promises fused of shape [3, 6]; came: [3, 2]")
    assert lines[broken - 1].startswith("FAILED Finite results of the right names")
    assert lines[broken + 1] == "smallest failing case: views front, left, right; 3 exams; 6 channels"
    assert any("list does not derive from gazekit.contracts.interfaces" in line for line in lines)
    assert "broken" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing-of-this-name"],
            "no installed package with a plugin of gazekit, and no folder or .py file",
        ),
        (["absent.py"], "absent.py: no such file"),
        (
            ["gazekit-multiview", "--set", "conact.hidden=3"],
            "'conact' is no component of gazekit-multiview; there are",
        ),
        (["{tmp}"], "pyproject.toml: no such file; expected the folder of a package"),
    ],
)
def test_what_cannot_be_checked_is_said(tmp_path: Path, arguments: list[str], message: str) -> None:
    said = gazekit("plugins", "check", *(each.format(tmp=tmp_path) for each in arguments), code=2)
    assert message in said.stderr and said.stderr.startswith("error: ")


def test_docs_has_every_component_with_its_provenance() -> None:
    text = gazekit("plugins", "docs").stdout
    rows = json.loads(gazekit("plugins", "list", "--json").stdout)["components"]
    assert {f"### {row['name']}" for row in rows if row["kind"] != "preset"} <= set(text.splitlines())
    assert (
        "`Concat(views, channels, *, hidden: " in text
        and "From gazekit-multiview 0.1.0, `gazekit_components.fusions.concat:" in text
    )
    only = gazekit("plugins", "docs", "--kind", "attention_map", "--package", "gazekit-multiview").stdout
    assert only.startswith("## Attention map\n\n### cam\n") and "## Fusion" not in only
