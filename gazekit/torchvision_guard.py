"""Let a torchvision be imported whose compiled operators do not fit this torch.

``pip install`` from PyPI may put a torchvision built for CUDA beside a CPU build of torch. Its operators then
do not load and its import fails with ``operator torchvision::nms does not exist``, and with it the import of
every library that imports torchvision for something else (https://github.com/pytorch/pytorch/issues/157648).
"""

import sys
from importlib import import_module

import torch

_MISSING = "operator torchvision::"
_SCHEMAS = ("nms", "qnms")
_libraries: list[torch.library.Library] = []  # declarations vanish with the library that made them


def allow_missing_operators() -> None:
    """Make ``import torchvision`` succeed; call it before importing what imports torchvision.

    Where torchvision's operators are missing, the two that its import asks for are declared, without an
    implementation: calling one still fails. A matched pair, or no torchvision at all, is left untouched.
    """
    try:
        import_module("torchvision")
    except ImportError:
        return
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in _SCHEMAS:
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        _libraries.append(library)
        import_module("torchvision")
