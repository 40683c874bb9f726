"""Multi-view image classification supervised by gaze.

data = gazekit.prepare("folder", "MY_EXAMS", "PREPARED")
trained = gazekit.train("mammonet_small", data, "RUN")
predictions = gazekit.predict("RUN", "0012_cc.dcm", "0012_mlo.dcm")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gazekit.torchvision_guard import watch as _watch

if TYPE_CHECKING:
    from gazekit.api import benchmark as benchmark
    from gazekit.api import evaluate as evaluate
    from gazekit.api import export as export
    from gazekit.api import load as load
    from gazekit.api import predict as predict
    from gazekit.api import prepare as prepare
    from gazekit.api import report as report
    from gazekit.api import train as train
    from gazekit.api import tune as tune
    from gazekit.build import build_model as build_model
    from gazekit.build import build_objective as build_objective
    from gazekit.data.default import default_data as default_data
    from gazekit.data.prepared import PreparedDataset as PreparedDataset
    from gazekit.data.torch_dataset import ExamDataset as ExamDataset
    from gazekit.discovery import load_registry as load_registry
    from gazekit.hookspecs import hookimpl as hookimpl
    from gazekit.training.trained import Trained as Trained

__version__ = "0.1.0"

_watch()

_PUBLIC = {
    "ExamDataset": "gazekit.data.torch_dataset",
    "PreparedDataset": "gazekit.data.prepared",
    "Trained": "gazekit.training.trained",
    "benchmark": "gazekit.api",
    "build_model": "gazekit.build",
    "build_objective": "gazekit.build",
    "default_data": "gazekit.data.default",
    "evaluate": "gazekit.api",
    "export": "gazekit.api",
    "hookimpl": "gazekit.hookspecs",
    "load": "gazekit.api",
    "load_registry": "gazekit.discovery",
    "predict": "gazekit.api",
    "prepare": "gazekit.api",
    "report": "gazekit.api",
    "train": "gazekit.api",
    "tune": "gazekit.api",
}
__all__ = [
    "ExamDataset",
    "PreparedDataset",
    "Trained",
    "__version__",
    "benchmark",
    "build_model",
    "build_objective",
    "default_data",
    "evaluate",
    "export",
    "hookimpl",
    "load",
    "load_registry",
    "predict",
    "prepare",
    "report",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import gazekit`` costs nothing."""
    if name == "testing":
        return import_module("gazekit.testing")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'gazekit' has no attribute {name!r}")
