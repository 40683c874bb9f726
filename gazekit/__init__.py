"""Multi-view image classification supervised by gaze.

registry = gazekit.load_registry()
preset = registry.preset("mammonet")
model = gazekit.build_model(preset, registry, classes=2)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazekit.build import build_model as build_model
    from gazekit.build import build_objective as build_objective
    from gazekit.data.prepared import PreparedDataset as PreparedDataset
    from gazekit.discovery import load_registry as load_registry
    from gazekit.hookspecs import hookimpl as hookimpl

__version__ = "0.1.0"

_PUBLIC = {
    "PreparedDataset": "gazekit.data.prepared",
    "build_model": "gazekit.build",
    "build_objective": "gazekit.build",
    "hookimpl": "gazekit.hookspecs",
    "load_registry": "gazekit.discovery",
}
__all__ = ["PreparedDataset", "__version__", "build_model", "build_objective", "hookimpl", "load_registry"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import gazekit`` costs nothing."""
    if name == "testing":
        return import_module("gazekit.testing")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'gazekit' has no attribute {name!r}")
