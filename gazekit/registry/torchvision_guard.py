"""Let torchvision be imported even if its compiled operators do not fit this torch.

A torchvision built for CUDA cannot load its operators with a CPU build of torch; pip installs such a pair if torch does
not come from PyPI. Its import then fails with ``operator torchvision::nms does not exist``, and so does the import of
every library that needs another part of torchvision, such as timm
(https://github.com/pytorch/pytorch/issues/157648).

``import gazekit`` watches for that import, so plugins can import timm; ``gazekit.doctor.mend_torchvision`` copies this
file into site-packages for programs that do not import gazekit. A torchvision that fits is left alone. Every start of
Python may read this file, so it imports next to nothing.
"""

from __future__ import annotations

import importlib.machinery
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

MISSING = "operator torchvision::"
"""Found in the message of an import that fails for this reason."""
_SCHEMAS = ("nms", "qnms")
_libraries: list[Any] = []  # declarations vanish with the library object


def watch() -> None:
    """Make ``import torchvision`` succeed from now on; the second call does nothing."""
    if "torchvision" not in sys.modules and not any(isinstance(each, _Watch) for each in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """Find torchvision as Python does, and return a loader that tries twice."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TwiceLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _TwiceLoader:
    """Load a module; if operators are missing, declare them and load it again."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self.own.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.own  # leave no trace
        if module.__spec__ is not None:
            module.__spec__.loader = self.own
        try:
            self.own.exec_module(module)
        except RuntimeError as error:
            if MISSING not in str(error):
                raise
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            for name in [name for name in vars(module) if not name.startswith("__")]:
                delattr(module, name)
            _declare()
            self.own.exec_module(module)


def _declare() -> None:
    """Declare the two operators that the import asks for, without an implementation: calling one still fails."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _SCHEMAS:
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)
    _libraries.append(library)
