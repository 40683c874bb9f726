"""The core knows no component by name, imports point one way, and a plugin never imports its sibling."""

import ast
import re
import subprocess
import sys
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path

import pytest

from gazekit.measures.catalogue import MEASURES
from gazekit.registry.registry import HOOKS, Registry

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "gazekit").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists())

ROOMS = [
    "disk",
    "records",
    "contracts",
    "presets",
    "registry",
    "reading",
    "gaze",
    "prepared",
    "preparing",
    "distributed",
    "modelling",
    "feeding",
    "prediction",
    "measures",
    "runs",
    "training",
    "pretraining",
    "study",
    "reporting",
    "exporting",
    "doctor",
    "testing",
    "cli",
]
"""Each imports from those above it only, inside functions too."""
ROOMS_OF_MEASURES = ["statistics", "attention", "gaze", "classification", "comparing"]
"""The same order, within ``measures``."""
WITHOUT_TORCH = ["disk", "records", "presets", "reading", "gaze", "prepared", "preparing"]
"""Rooms that worker processes of a preparation may import."""
HOMONYMS = {*MEASURES, *("tensorboard", "mlflow", "wandb"), "outside", "mean", "max", "class_token"}
"""Words of the core that are a component's name too: a measure and the loss made of it; samples beside the image; the
mean of readers, and poolings that are called like a function of arrays, or like what a stage shows; packages of
trackers."""


@lru_cache(maxsize=4)  # trees take much memory; what is found in them is kept
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            if node.module == "gazekit":
                found += [f"gazekit.{alias.name}" for alias in node.names]
    return found


def core_parts(path: Path) -> set[str]:
    """The parts of the core (first name below ``gazekit``) that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("gazekit.")}


@cache
def constants(path: Path) -> set[str]:
    """String constants outside docstrings."""
    tree = parsed(path)
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions
    }
    return found


@pytest.fixture(scope="module")
def named(registry: Registry) -> set[str]:
    """The names of all components."""
    found = {component.name for kind in HOOKS for component in registry.components(kind)}
    assert {"concat", "mammonet", "phantom"} <= found
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_names_no_component_and_no_organ_and_imports_no_plugin(path: Path, named: set[str]) -> None:
    assert organs(path) == allowed_organs(path)
    assert not constants(path) & (named - HOMONYMS - allowed_organs(path))
    packages = {package.name for package in PLUGINS}
    assert not {name.split(".")[0] for name in imports(path)} & packages


ORGANS = re.compile(r"breast|mammo|bi-?rads|(?<![a-z])(cc|mlo)(?![a-z0-9])", re.IGNORECASE)
"""Words that only a plugin may know: the organ, its scale of suspicion, its views."""
OF_AN_ORGAN = {
    # what the correlation was called; read in results of earlier versions
    "measures/former_names.py": {"cc"},
    # keys of 0.1, kept for one release
    "preparing/validating/gaze_validation.py": {"breast", "breast_area"},
    # words of messages that are nobody's name, from plugins, too
    "preparing/redaction.py": {"breast", "breasts"},
    # a new plugin's README trains a preset that is there
    "registry/scaffold.py": {"mammonet_small"},
}
"""File → the words that it may say, and why."""


def names(path: Path) -> set[str]:
    """Identifiers that a file defines or uses."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        for field in ("id", "attr", "name", "arg", "asname"):
            value = getattr(node, field, None)
            found |= {value} if isinstance(value, str) else set()
    return found


def organs(path: Path) -> set[str]:
    """Words of a file's constants and names that name an organ."""
    words = {word for text in constants(path) for word in re.findall(r"[\w-]+", text)} | names(path)
    return {word for word in words if ORGANS.search(word)}


def allowed_organs(path: Path) -> set[str]:
    """Words for an organ that a file of the core may say."""
    return OF_AN_ORGAN.get(str(path.relative_to(ROOT / "gazekit")), set())


def test_the_search_would_find_an_organ(tmp_path: Path) -> None:
    file = tmp_path / "guilty.py"
    file.write_text(
        '"""breast in a docstring."""\ndef breast_box(l_mlo): return f"{l_mlo} of a BI-RADS 4, account"\n'
    )
    assert organs(file) == {"breast_box", "l_mlo", "BI-RADS"}


def outcome_of(code: str) -> tuple[int, str]:
    """How a Python of its own ends that runs this code: its exit code, and what it says on stderr, such as why."""
    done = subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def test_data_sources_and_regions_are_loaded_without_torch() -> None:
    code = (
        "import sys\n"
        "from gazekit.registry.discovery import load_registry\n"
        "registry = load_registry()\n"
        "for kind in ('dataset', 'gaze_reader', 'region'):\n"
        "    assert registry.components(kind) and not registry.failures\n"
        "assert registry.create('region', 'breast').version\n"
        "sys.exit('torch' in sys.modules and 'torch is imported')\n"
    )
    assert outcome_of(code) == (0, "")


def test_the_search_would_find_a_name(tmp_path: Path) -> None:
    file = tmp_path / "guilty.py"
    file.write_text('"""bfl in a docstring."""\nimport gazekit_components.fusions.bfl\nname = "bfl"\n')
    assert constants(file) == {"bfl"}
    assert imports(file) == ["gazekit_components.fusions.bfl"]


def test_the_rooms_are_those_of_the_tree() -> None:
    there = {path.parent.name for path in (ROOT / "gazekit").glob("*/__init__.py")}
    assert there == set(ROOMS)
    assert {path.stem for path in (ROOT / "gazekit").glob("*.py")} == {
        *("__init__", "__main__", "api", "errors", "former_modules", "machine")
    }


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    below = {*ROOMS[: ROOMS.index(room) + 1], "errors", "machine"}
    for path in (ROOT / "gazekit" / room).rglob("*.py"):
        assert not core_parts(path) & set(ROOMS) - below, path
        assert "api" not in core_parts(path), path


@pytest.mark.parametrize("room", ROOMS_OF_MEASURES)
def test_rooms_of_measures_import_one_way(room: str) -> None:
    below = tuple(
        f"gazekit.measures.{each}." for each in ROOMS_OF_MEASURES[: ROOMS_OF_MEASURES.index(room) + 1]
    )
    paths = sorted((ROOT / "gazekit/measures" / room).glob("*.py"))
    assert len(paths) > 1
    for path in paths:
        assert all(name.startswith(below) for name in imports(path) if name.startswith("gazekit.measures")), (
            path
        )


def test_the_page_of_a_run_does_not_know_studies() -> None:
    for folder in ("run", "drawing"):
        for path in (ROOT / "gazekit/reporting" / folder).glob("*.py"):
            assert "study" not in core_parts(path), path


def test_no_room_that_a_preparation_needs_imports_torch() -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        f"for room in {WITHOUT_TORCH}:\n"
        "    package = importlib.import_module(f'gazekit.{room}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):\n"
        "        importlib.import_module(module.name)\n"
        "        if 'torch' in sys.modules:\n"
        "            sys.exit(f'{module.name} imports torch')\n"
    )
    assert outcome_of(code) == (0, "")


def test_only_training_pays_for_torchs_compiler() -> None:
    """Its import takes as long as that of torch; a study opened to be read, and all of the façade, do without.

    A training imports it with its first step, and neither tests of statistics nor what reads DICOM files at all.
    """
    code = """
import sys
import gazekit.training.run
import gazekit.training.start
early = {"scipy.stats", "pydicom", "torch._dynamo"} & sys.modules.keys()
import gazekit.api
import gazekit.study.study
import gazekit.reporting.study.report
import gazekit.study.tuning.nested
late = {"torch._dynamo"} & sys.modules.keys()
sys.exit(", ".join(sorted(early | late)) or None)
"""
    assert outcome_of(code) == (0, "")


def test_a_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    aliases: set[str] = set()
    for path in [*CORE, *(path for package in PLUGINS for path in package.rglob("*.py"))]:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
            elif isinstance(node, ast.Assign):
                aliases |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    assert not {name: files for name, files in places.items() if len(files) > 1}
    assert not aliases & set(places), "the name of a class for another type"


def test_a_plugin_imports_no_sibling() -> None:
    names = {package.name for package in PLUGINS}
    assert names
    for package in PLUGINS:
        for path in package.rglob("*.py"):
            assert not {name.split(".")[0] for name in imports(path)} & (names - {package.name}), path


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_a_benchmark_imports_what_there_is(path: Path) -> None:
    """No test runs it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gazekit."):
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_a_file_of_tests_has_a_name_of_its_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}, (
        "pytest cannot import two modules of one name"
    )
