"""The core knows no component by name, imports point one way, and a plugin never imports its sibling."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazekit.registry import HOOKS, Registry

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "gazekit").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists())

ORDER = [
    "types",
    "interfaces",
    "hookspecs",
    "signature",
    "settings",
    "layers",
    "preset",
    "component",
    "registry",
    "discovery",
    "build",
]
ALLOWED = {
    "model": {"types", "interfaces", "errors", "recompute"},
    "objective": {"types", "interfaces", "model", "processes"},
    "interfaces": {"types", "data", "gaze"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "gazekit":
                yield from (f"gazekit.{alias.name}" for alias in node.names)


def core_parts(path: Path) -> set[str]:
    """The parts of the core (first name below ``gazekit``) that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("gazekit.")}


def constants(path: Path) -> set[str]:
    """String constants outside docstrings."""
    tree = ast.parse(path.read_text())
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions
    }
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_names_no_component_and_imports_no_plugin(path: Path, registry: Registry) -> None:
    named = {component.name for kind in HOOKS for component in registry.components(kind)}
    assert {"concat", "mammonet", "phantom"} <= named
    assert not constants(path) & named
    packages = {package.name for package in PLUGINS}
    assert not {name.split(".")[0] for name in imports(path)} & packages


def test_the_search_would_find_a_name(tmp_path: Path) -> None:
    file = tmp_path / "guilty.py"
    file.write_text('"""bfl in a docstring."""\nimport gazekit_components.bfl\nname = "bfl"\n')
    assert constants(file) == {"bfl"}
    assert list(imports(file)) == ["gazekit_components.bfl"]


def test_imports_point_one_way() -> None:
    for position, name in enumerate(ORDER):
        later = set(ORDER[position + 1 :])
        assert not core_parts(ROOT / f"gazekit/{name}.py") & later, name


@pytest.mark.parametrize(("name", "allowed"), ALLOWED.items())
def test_model_and_objective_know_only_types_and_interfaces(name: str, allowed: set[str]) -> None:
    assert core_parts(ROOT / f"gazekit/{name}.py") <= allowed


@pytest.mark.parametrize("folder", ["data", "gaze", "evaluation"])
def test_data_gaze_and_evaluation_do_not_know_training_or_the_command_line(folder: str) -> None:
    for path in (ROOT / "gazekit" / folder).rglob("*.py"):
        assert not core_parts(path) & {"training", "cli", "reporting"}, path


def test_only_the_command_line_knows_the_command_line() -> None:
    for path in CORE:
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert "cli" not in core_parts(path), path


def test_a_plugin_imports_no_sibling() -> None:
    names = {package.name for package in PLUGINS}
    assert names
    for package in PLUGINS:
        for path in package.rglob("*.py"):
            assert not {name.split(".")[0] for name in imports(path)} & (names - {package.name}), path
