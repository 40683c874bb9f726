"""The optimisers of timm, by name."""

import warnings
from functools import cache
from typing import Annotated, Any

import torch
from pydantic import AfterValidator

from gazekit.disk.suggestion import did_you_mean
from gazekit.errors import ConfigurationError

_DEFAULT = "lamb"
"""Known without timm: its import takes seconds, and every look at this table checks the default."""


@cache
def _names() -> list[str]:
    """First-order optimisers that need no other package."""
    from timm.optim import get_optimizer_info, list_optimizers

    names = list_optimizers(exclude_filters=["bnb*", "fused*", "kron*"])
    return [name for name in names if not get_optimizer_info(name).second_order]


def _known(name: str) -> str:
    """Raise ValueError for a name that timm does not have."""
    if name != _DEFAULT and name not in _names():
        near = did_you_mean(name, _names()) or f"; there are {', '.join(_names())}"
        raise ValueError(f"timm has no such optimiser of first order{near}")
    return name


class TimmOptimizer:
    """Any optimiser of first order that timm has: ``lamb``, ``lion``, ``muon``, ``adan``, ``nadamw``.

    A step of it that does not count is known to the host before it is taken, so a GPU waits once per step.

    Args:
        algorithm: its name, as ``timm.optim.list_optimizers()`` has it.
        arguments: other arguments of timm's optimiser, such as ``{ betas = [0.9, 0.99] }``.

    Source: Wightman 2019, doi:10.5281/zenodo.4414861; each optimiser names its paper there.
    """

    def __init__(
        self,
        *,
        algorithm: Annotated[str, AfterValidator(_known)] = _DEFAULT,
        arguments: dict[str, bool | float | str | tuple[float, ...]] | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.arguments = arguments or {}

    def __call__(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make timm's optimiser. Raises ConfigurationError: it does not take an argument, or steps badly with it."""
        try:
            self._try_a_step(groups[0]["params"][0].device)
            return self._make(groups)
        except Exception as error:  # each optimiser has its own, many only in a step
            raise ConfigurationError(
                f"training.optimizer.arguments: timm's {self.algorithm} does not take these: {error}; give it "
                "arguments as its documentation has them"
            ) from None

    def _make(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        from timm.optim import create_optimizer_v2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: torch.optim.Optimizer = create_optimizer_v2(
                groups, opt=self.algorithm, lr=groups[0]["lr"], weight_decay=0.0, **self.arguments
            )
        return made

    def _try_a_step(self, device: torch.device) -> None:
        """Take two steps of a matrix and a vector, in which most faults of arguments show."""
        parameters = [torch.nn.Parameter(torch.ones(shape, device=device)) for shape in ((2, 2), (2,))]
        optimizer = self._make([{"params": parameters, "lr": 1e-3, "weight_decay": 0.0}])
        for _ in range(2):
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, 0.5)
            optimizer.step()
