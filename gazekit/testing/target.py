"""Find the plugins of a package to check, installed or in a folder."""

import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from gazekit.errors import ConfigurationError
from gazekit.registry.component import Provenance
from gazekit.registry.discovery import ALL_FOREIGN, add_plugin, load_registry
from gazekit.registry.distribution import GROUP, normalised
from gazekit.registry.registry import HOOKS, Registry


def open_target(target: str) -> tuple[Registry, str]:
    """Return a registry with the plugins of a package, and the name of its distribution.

    Args:
        target: an installed distribution (or one of its entry points), a folder with ``pyproject.toml``, or a Python
            file with hooks. A package that is not installed is imported in place, with only gazekit's own plugins.

    Raises:
        ConfigurationError: no such package, or it names no plugin.
    """
    path = Path(target)
    if (path / "pyproject.toml").is_file() or (path.is_dir() and path != Path(path.name)):
        registry, distribution = _from_folder(path)
    elif path.suffix == ".py":
        registry, distribution = _from_file(path)
    else:
        registry, distribution = _installed(target)
    for kind in HOOKS:
        registry.components(kind)
    return registry, distribution


def _installed(name: str) -> tuple[Registry, str]:
    registry = load_registry()
    origins = [*registry.provenance.values(), *(failure.provenance for failure in registry.failures)]
    for origin in origins:
        if normalised(name) in (normalised(origin.distribution), normalised(origin.plugin)):
            return registry, origin.distribution
    there = ", ".join(sorted({origin.distribution for origin in origins}))
    raise ConfigurationError(
        f"'{name}': no installed package with a plugin of gazekit, and no folder or .py file; installed are {there}"
    )


def _from_folder(folder: Path) -> tuple[Registry, str]:
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: no such file; expected the folder of a package") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: not readable as TOML: {error}") from None
    entries = project.get("entry-points", {}).get(GROUP, {})
    if not entries:
        raise ConfigurationError(f"{file}: no plugin in [project.entry-points.{GROUP}]")
    distribution, version = project.get("name", folder.name), str(project.get("version", "?"))
    sys.path[:0] = [str(place.resolve()) for place in (folder, folder / "src") if place.is_dir()]
    registry = load_registry(disable=[ALL_FOREIGN])
    for name, value in entries.items():
        entry = EntryPoint(name, value, GROUP)
        add_plugin(
            registry, Provenance(name, distribution, version), entry.load, where=f"entry point '{value}'"
        )
    return registry, distribution


def _from_file(file: Path) -> tuple[Registry, str]:
    if not file.is_file():
        raise ConfigurationError(f"{file}: no such file")
    sys.path.insert(0, str(file.resolve().parent))
    registry = load_registry(disable=[ALL_FOREIGN])
    entry = EntryPoint(file.stem, file.stem, GROUP)
    add_plugin(registry, Provenance(file.stem, file.name, "?"), entry.load, where=f"file '{file}'")
    return registry, file.name
