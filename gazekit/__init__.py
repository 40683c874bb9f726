"""Multi-view image classification supervised by gaze.

trained = gazekit.train("mammonet_small", "PREPARED", "RUN")
predictions = gazekit.load("RUN").predict_images("0012_cc.dcm", "0012_mlo.dcm")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gazekit.torchvision_guard import watch as _watch

if TYPE_CHECKING:
    from gazekit.api import evaluate as evaluate
    from gazekit.api import load as load
    from gazekit.api import train as train
    from gazekit.build import build_model as build_model
    from gazekit.build import build_objective as build_objective
    from gazekit.data.default import default_data as default_data
    from gazekit.data.prepared import PreparedDataset as PreparedDataset
    from gazekit.discovery import load_registry as load_registry
    from gazekit.hookspecs import hookimpl as hookimpl
    from gazekit.training.trained import Trained as Trained

__version__ = "0.1.0"

_watch()

_PUBLIC = {
    "PreparedDataset": "gazekit.data.prepared",
    "Trained": "gazekit.training.trained",
    "build_model": "gazekit.build",
    "build_objective": "gazekit.build",
    "default_data": "gazekit.data.default",
    "evaluate": "gazekit.api",
    "hookimpl": "gazekit.hookspecs",
    "load": "gazekit.api",
    "load_registry": "gazekit.discovery",
    "train": "gazekit.api",
}
__all__ = [
    "PreparedDataset",
    "Trained",
    "__version__",
    "build_model",
    "build_objective",
    "default_data",
    "evaluate",
    "hookimpl",
    "load",
    "load_registry",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import gazekit`` costs nothing."""
    if name == "testing":
        return import_module("gazekit.testing")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'gazekit' has no attribute {name!r}")
