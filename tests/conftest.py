"""Fixtures that several test files share."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gazekit
from gazekit.registry import Registry

MakeDistribution = Callable[..., None]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return gazekit.load_registry()


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeDistribution:
    """Install a made-up distribution: ``distribution("gated", "1.2", code="…")`` with one module and entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(name: str, version: str, code: str, *, entry_point: str | None = None) -> None:
        module = name.replace("-", "_") + "_module"
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[gazekit]\n{name} = {entry_point or module}\n")
        made.append(module)

    yield make
    for module in made:
        sys.modules.pop(module, None)
