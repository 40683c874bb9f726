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
        """Make timm's optimiser. Raises ConfigurationError: it does not take an argument."""
        from timm.optim import create_optimizer_v2

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                optimizer: torch.optim.Optimizer = create_optimizer_v2(
                    groups, opt=self.algorithm, lr=groups[0]["lr"], weight_decay=0.0, **self.arguments
                )
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigurationError(
                f"training.optimizer: timm's {self.algorithm} does not take these arguments: {error}"
            ) from None
        return optimizer
