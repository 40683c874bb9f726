"""Modules that plugins may import under the names that they had until 0.1, with a warning, for one release."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    "gazekit.build": "gazekit.modelling.build",
    "gazekit.component": "gazekit.registry.component",
    "gazekit.data": "",
    "gazekit.data.batches": "gazekit.feeding.batches",
    "gazekit.data.content": "gazekit.reading.content",
    "gazekit.data.exam": "gazekit.records.exam",
    "gazekit.data.geometry": "gazekit.records.geometry",
    "gazekit.data.identity": "gazekit.records.identity",
    "gazekit.data.image": "gazekit.reading.image",
    "gazekit.data.image_header": "gazekit.records.image_header",
    "gazekit.data.lesions": "gazekit.records.lesions",
    "gazekit.data.prepared": "gazekit.prepared.dataset",
    "gazekit.data.splits": "gazekit.prepared.splits",
    "gazekit.data.table": "gazekit.reading.tables.table",
    "gazekit.data.walk": "gazekit.disk.walk",
    "gazekit.discovery": "gazekit.registry.discovery",
    "gazekit.doctor.check": "gazekit.contracts.check",
    "gazekit.gaze.geometry": "gazekit.records.placement",
    "gazekit.gaze.recording": "gazekit.records.recording",
    "gazekit.hookspecs": "gazekit.contracts.hookspecs",
    "gazekit.interfaces": "gazekit.contracts.interfaces",
    "gazekit.measures.areas_of_interest": "gazekit.measures.gaze.areas_of_interest",
    "gazekit.measures.information_gain": "gazekit.measures.gaze.information_gain",
    "gazekit.measures.observer_ceiling": "gazekit.measures.gaze.observer_ceiling",
    "gazekit.measures.reader_comparison": "gazekit.measures.gaze.reader_comparison",
    "gazekit.measures.scanpath": "gazekit.measures.gaze.scanpath",
    "gazekit.model": "gazekit.modelling.model",
    "gazekit.modelling.precision": "gazekit.contracts.precision",
    "gazekit.objective": "gazekit.modelling.objective",
    "gazekit.preset": "gazekit.presets.preset",
    "gazekit.signature": "gazekit.registry.signature",
    "gazekit.training.trained": "gazekit.runs.trained",
    "gazekit.types": "gazekit.contracts.types",
}
"""Former name → the name now; a package whose modules went different ways has none."""


class _Finder(MetaPathFinder, Loader):
    """Asked last, when no module of that name is found."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module that has the name's content now; None for a name that never was."""
        if fullname not in FORMER:
            return None
        return ModuleSpec(fullname, self, is_package=not FORMER[fullname])

    def exec_module(self, module: ModuleType) -> None:
        """Replace the former module by today's."""
        name = module.__name__
        if now := FORMER[name]:
            warnings.warn(
                f"{name} is now {now}; the former name goes in the next release", FutureWarning, stacklevel=2
            )
            sys.modules[name] = import_module(now)


def accept_former_modules() -> None:
    """Let the former names be imported."""
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.append(_Finder())
