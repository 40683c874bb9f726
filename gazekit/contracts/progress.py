"""How far a training is: everything that a schedule may depend on."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Validated:
    """One epoch's validation; a number is None where the outputs were not finite."""

    auc: float | None
    loss: float | None


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The step about to be taken.

    Args:
        step: steps taken before it; ``steps``: of the whole training.
        epoch: epochs completed before it; ``epochs``: of the whole training.
        validated: the validations so far, in order; fewer than the epochs if ``training.validate_every`` is above 1.
    """

    step: int
    steps: int
    epoch: int = 0
    epochs: int = 1
    validated: Sequence[Validated] = ()
