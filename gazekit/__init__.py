"""Multi-view image classification supervised by gaze.

data = gazekit.prepare("folder", "MY_EXAMS", "PREPARED")
trained = gazekit.train("mammonet_small", data, "RUN")
predictions = gazekit.predict("RUN", "0012_cc.dcm", "0012_mlo.dcm")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gazekit.former_modules import accept_former_modules as _accept_former_modules
from gazekit.registry.torchvision_guard import watch as _watch

if TYPE_CHECKING:
    from gazekit.api import benchmark as benchmark
    from gazekit.api import calibrate as calibrate
    from gazekit.api import card as card
    from gazekit.api import evaluate as evaluate
    from gazekit.api import explain_check as explain_check
    from gazekit.api import export as export
    from gazekit.api import load as load
    from gazekit.api import predict as predict
    from gazekit.api import prepare as prepare
    from gazekit.api import pretrain as pretrain
    from gazekit.api import report as report
    from gazekit.api import train as train
    from gazekit.api import tune as tune
    from gazekit.contracts.hookspecs import hookimpl as hookimpl
    from gazekit.feeding.torch_dataset import ExamDataset as ExamDataset
    from gazekit.modelling.build import build_model as build_model
    from gazekit.modelling.build import build_objective as build_objective
    from gazekit.prepared.dataset import PreparedDataset as PreparedDataset
    from gazekit.preparing.default_data import default_data as default_data
    from gazekit.registry.discovery import load_registry as load_registry
    from gazekit.runs.trained import Trained as Trained

__version__ = "0.1.0"

_watch()
_accept_former_modules()

_PUBLIC = {
    "ExamDataset": "gazekit.feeding.torch_dataset",
    "PreparedDataset": "gazekit.prepared.dataset",
    "Trained": "gazekit.runs.trained",
    "benchmark": "gazekit.api",
    "build_model": "gazekit.modelling.build",
    "build_objective": "gazekit.modelling.build",
    "default_data": "gazekit.preparing.default_data",
    "calibrate": "gazekit.api",
    "card": "gazekit.api",
    "evaluate": "gazekit.api",
    "explain_check": "gazekit.api",
    "export": "gazekit.api",
    "hookimpl": "gazekit.contracts.hookspecs",
    "load": "gazekit.api",
    "load_registry": "gazekit.registry.discovery",
    "predict": "gazekit.api",
    "prepare": "gazekit.api",
    "pretrain": "gazekit.api",
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
    "calibrate",
    "card",
    "default_data",
    "evaluate",
    "explain_check",
    "export",
    "hookimpl",
    "load",
    "load_registry",
    "predict",
    "prepare",
    "pretrain",
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


def __dir__() -> list[str]:
    """List the public names, so that consoles and notebooks complete them before they are imported."""
    return __all__
