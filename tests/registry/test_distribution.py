"""pip knows gazekit by a name that is not a stranger's, and nothing tells a user to install the stranger's code."""

import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from fresh_environment import ROOT
from packaging.requirements import Requirement

import gazekit
from gazekit.doctor import software
from gazekit.registry import distribution
from gazekit.registry.component import OWN
from gazekit.registry.registry import KINDS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = ("gazekit", "plugins", "tests", "examples", "benchmarks", "docs")
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")),
    *(
        file
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".md", ".txt", ".toml")
        and "_build" not in file.parts
        and file != Path(__file__)
    ),
]


def install(folder: Path, name: str, version: str, plugins: dict[str, str]) -> None:
    """Metadata as pip leaves them."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}\n" for key, value in plugins.items()]
    (info / "entry_points.txt").write_text("".join(["[gazekit]\n", *lines]) if lines else "")


def test_the_project_is_called_as_the_code_says() -> None:
    assert PROJECT["name"] == distribution.NAME == OWN
    assert set(PROJECT["scripts"]) == {"gazekit"}
    assert PROJECT["entry-points"][distribution.GROUP]["components"] == "gazekit_components"


def test_no_message_page_or_template_names_the_stranger_to_pip() -> None:
    strangers = re.compile(
        r"pip install[^\n`]*[ '\"]gazekit(?![-\w/])|gazekit\[[a-z]+\]|[\"']gazekit *[>=~]="
    )
    assert len(TEXTS) > 300
    assert [file.name for file in TEXTS if strangers.search(file.read_text(encoding="utf-8"))] == []


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata as this project's next installation has them."""
    extras = PROJECT["optional-dependencies"].items()
    lines = [f"{text}; extra == '{name}'" for name, texts in extras for text in texts]
    found = SimpleNamespace(
        requires=[*PROJECT["dependencies"], *lines], name=distribution.NAME, version="0.1.0"
    )
    monkeypatch.setattr(distribution, "own", lambda: found)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("extra", ["dicom", "onnx", "tensorboard", "slurm", "ray", "gdcm"])
def test_an_extra_is_installed_by_the_names_of_its_packages(extra: str) -> None:
    pip, verb, *packages = shlex.split(distribution.install_command(extra))
    assert (pip, verb) == ("pip", "install")
    wanted = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    found = [Requirement(text) for text in packages]
    assert {each.name: each.specifier for each in found} == {each.name: each.specifier for each in wanted}
    assert extra in software._EXTRAS


@pytest.mark.usefixtures("installed")
def test_what_is_needed_is_what_the_project_says_without_its_extras() -> None:
    wanted = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert [each.name for each in distribution.requirements()] == sorted(wanted, key=str.lower)


def test_the_installed_metadata_know_the_extras() -> None:
    assert distribution.install_command("slurm").startswith("pip install 'submitit>=")


def test_an_extra_of_sources_that_are_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "own", lambda: None)
    assert distribution.install_command("onnx") == "pip install 'gazekit-multiview[onnx]'"
    checks = {check.name: check for check in software.check_versions()}
    assert checks["gazekit"].status == "problem" and "make install" in checks["gazekit"].remedy


def test_the_strangers_gazekit_is_a_problem_for_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "gazekit of PyPI" not in {check.name for check in software.check_versions()}
    install(tmp_path, "gazekit", "0.0.3", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    (check,) = [check for check in software.check_versions() if check.name == "gazekit of PyPI"]
    assert check.status == "problem"
    assert check.found == f"another library of that name, 0.0.3, in {tmp_path}"
    assert check.remedy.startswith("pip uninstall gazekit, then install gazekit-multiview again")


def test_what_is_left_of_the_former_name_offers_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gazekit", "gazekit-multiview"):
        install(tmp_path, name, "0.1.0", PROJECT["entry-points"]["gazekit"])
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = gazekit.load_registry()
    components = [each for kind in KINDS for each in registry.components(kind)]
    assert {each.provenance.distribution for each in components} == {OWN}
    assert registry.contests() == [] and registry.failures == []
    assert distribution.strangers() == []


def test_an_installation_under_the_former_name_works_and_the_doctor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "gazekit", "0.1.0", PROJECT["entry-points"]["gazekit"])
    (found,) = distribution.distributions(path=[str(tmp_path)])
    assert distribution.is_own(found)
    monkeypatch.setattr(distribution, "own", lambda: found)
    check = software._check_own_name()
    assert check.status == "limit" and check.found.endswith("installed under its former name gazekit")
    assert check.remedy.startswith("pip uninstall gazekit, then make install")
