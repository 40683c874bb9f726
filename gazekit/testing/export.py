"""Export a component and compare its results."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.testing.promises import check_equal, promise

PROMISED = "a program of torch.export with the same results, for any number of exams"


class Exportable(nn.Module):
    """A component as a module from one tensor to several.

    Args:
        component: in evaluation mode.
        run: calls it.
    """

    def __init__(self, component: nn.Module, run: Callable[[Any, Tensor], list[Tensor]]) -> None:
        super().__init__()
        self.component = component
        self.run = run

    def forward(self, tensor: Tensor) -> list[Tensor]:
        """Call the component."""
        return self.run(self.component, tensor)


@torch.no_grad()
def check_exported(cls: type[Any], module: Exportable, tensor: Tensor) -> None:
    """Check that a module can be exported, as ``gazekit export`` does, on several exams ``tensor``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's warnings about itself
        try:
            shapes = ({0: torch.export.Dim("exams")},)
            exported = torch.export.export(module, (tensor,), dynamic_shapes=shapes, strict=False).module()
        except Exception as error:  # the exporter may raise anything
            lines = str(error).strip().splitlines()
            promise(cls, PROMISED, False, lines[0] if lines else type(error).__name__)
            return
    for given in (tensor[:1], torch.cat([tensor, tensor.flip(0)])):
        expected, came = (
            {str(number): each for number, each in enumerate(results)}
            for results in (module(given), exported(given))
        )
        check_equal(cls, PROMISED, expected, came)
