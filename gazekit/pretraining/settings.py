"""Say how to pre-train."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gazekit.errors import ConfigurationError

Pretext = Literal["patches", "contrastive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings:
    """How to pre-train; the defaults are ours.

    Args:
        pretext: the task: ``patches`` tells patches apart by lesion masks and labels; ``contrastive`` needs neither.
        patch: side of a patch, px; None = see ``patches.default_side``.
        steps: number of batches.
        batch_size: patches in a batch.
        learning_rate: of AdamW at the start; it falls to 0 along half a cosine.
        held_out: share of the patients whose exams only measure, where no split is given.
        kinds: further target that divides lesions, such as mass and calcification.
        seed: of initial weights, patches and the split.
        split: exam → part; its training part is learnt from, its validation part measures, its test part stays
            closed. None = by patient, or as the source has it.
    """

    pretext: Pretext = "patches"
    patch: int | None = None
    steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 5e-3
    held_out: float = 0.2
    kinds: str | None = None
    seed: int = 0
    split: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Raise ConfigurationError: a value is out of range."""
        ranges = {
            "pretext": (self.pretext in get_args(Pretext), " or ".join(get_args(Pretext))),
            "patch": (self.patch is None or 8 <= self.patch < 2**16, "8 to 65535 px"),
            "steps": (self.steps >= 1, "at least 1"),
            "batch_size": (2 <= self.batch_size < 2**16, "2 to 65535"),
            "learning_rate": (0 < self.learning_rate < math.inf, "a finite number above 0"),
            "held_out": (0 < self.held_out < 1, "a share between 0 and 1"),
            "seed": (0 <= self.seed < 2**32, f"a whole number from 0 to {2**32 - 1}"),
        }
        for name, (fits, expected) in ranges.items():
            if not fits:
                raise ConfigurationError(f"{name} {getattr(self, name)}: expected {expected}")
