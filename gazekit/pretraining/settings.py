"""Say how to pre-train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
