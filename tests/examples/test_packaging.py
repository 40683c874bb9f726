"""The published package: sdist and wheel, one version, the same linters everywhere, forms that can be read."""

import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from fresh_environment import ROOT, build, make_environment

import gazekit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_stands_in_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", gazekit.__version__)
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text())
    files = [
        *(ROOT / "gazekit").rglob("*.py"),
        *(ROOT / "plugins").rglob("*.py"),
        *(ROOT / "docs").rglob("*.py"),
    ]
    written = re.compile(rf"['\"]{re.escape(gazekit.__version__)}['\"]")
    assert [f.name for f in files if written.search(f.read_text())] == ["__init__.py"]


def test_every_dependency_is_pinned() -> None:
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    wanted = [
        *PROJECT["dependencies"],
        *(item for extra in PROJECT["optional-dependencies"].values() for item in extra),
    ]
    names = {re.split(r"[<>=\[]", item)[0].lower() for item in wanted}
    assert names <= pinned


def test_pre_commit_runs_what_make_lint_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {hook["entry"].removeprefix(".venv/bin/") for repo in config["repos"] for hook in repo["hooks"]}
    makefile = (ROOT / "Makefile").read_text()
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert lint is not None
    assert hooks == set(re.findall(r"\$\(BIN\)/(.+)", lint[1]))


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_a_form_for_issues_asks_for_something(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert form["name"] and form["description"]
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    identities = [item["id"] for item in asked]
    assert len(set(identities)) == len(identities) > 0
    assert all(item["attributes"]["label"] for item in asked)
    assert any(item.get("validations", {}).get("required") for item in asked)


@pytest.mark.slow
def test_sdist_and_wheel_install_and_run_in_a_fresh_environment(tmp_path: Path) -> None:
    built = build(tmp_path / "dist")
    with zipfile.ZipFile(built["wheel"]) as wheel:
        inside = set(wheel.namelist())
    with tarfile.open(built["sdist"]) as sdist:
        sources = {name.partition("/")[2] for name in sdist.getnames()}
    for package in (
        "gazekit",
        "plugins/gazekit_components",
        "plugins/gazekit_baselines",
        "plugins/gazekit_datasets",
    ):
        files = [
            file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts
        ]
        names = {str(file.relative_to(ROOT)) for file in files}
        assert names <= sources
        assert {name.removeprefix("plugins/") for name in names} <= inside
    assert {"LICENSE", "README.md", "CITATION.cff", "constraints.txt", "docs/index.md"} <= sources
    assert {name.partition("/")[0] for name in inside} == {
        *("gazekit", "gazekit_components", "gazekit_baselines", "gazekit_datasets"),
        f"gazekit_multiview-{gazekit.__version__}.dist-info",
    }
    for kind, file in built.items():
        environment = make_environment(tmp_path / kind, file)
        found = environment.run(
            "python -c 'import gazekit; print(gazekit.__file__)'; gazekit --version", tmp_path
        )
        assert str(tmp_path / kind) in found and f"gazekit {gazekit.__version__}" in found
        assert '"mammonet"' in environment.run("gazekit presets list --json", tmp_path)
