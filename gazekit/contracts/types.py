"""The tensors that pass between the parts, with their shapes, stated once.

Letters: ``B`` exams in a batch, ``C`` channels, ``h w`` a feature map, ``H W`` an image,
``D_v`` features of one view's vector, ``D`` fused features, ``K`` logits (1 = binary, else classes).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

Views = dict[str, Tensor]
"""One tensor per view, in preset order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Exams on the device, ready for the model.

    Args:
        images: per view ``[B, C, H, W]``, float32, normalised.
        labels: truth, ``[B]`` int64, in ``0 … max(K, 2) - 1``.
        gaze: per view the gaze heat map ``[B, H, W]`` in [0, 1]; meaningless where ``has_gaze`` is false.
        has_gaze: per view ``[B]`` bool.
    """

    images: Views
    labels: Tensor
    gaze: Views
    has_gaze: Views

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch of what a function makes of each tensor: a slice of exams, a copy, another device."""
        made: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            made[field.name] = (
                {view: function(tensor) for view, tensor in value.items()}
                if isinstance(value, dict)
                else function(value)
            )
        return Batch(**made)

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, field by field."""
        for field in fields(self):
            value = getattr(self, field.name)
            yield from value.values() if isinstance(value, dict) else (value,)


@dataclass(frozen=True, slots=True)
class Output:
    """All that the losses need from one forward pass.

    Args:
        logits: ``[B, K]``.
        features: per view the last feature maps ``[B, C, h, w]``.
        pooled: per view their mean over space ``[B, C]``; in the graph of ``logits``.
        vectors: per view ``p_v`` ``[B, D_v]``, the projection of ``pooled``.
        fused: ``I`` ``[B, D]``.
    """

    logits: Tensor
    features: Views
    pooled: Views
    vectors: Views
    fused: Tensor

    def score(self, target: Tensor) -> Tensor:
        """The scalar that an attention map explains, per exam ``[B]``.

        For K = 1 it is the logit where ``target`` is 1 and the negated logit where it is 0;
        for K > 1 the logit of the target class. ``target`` is ``[B]`` int64.
        """
        if self.logits.shape[1] == 1:
            logit = self.logits[:, 0]
            return torch.where(target > 0, logit, -logit)
        return self.logits.gather(1, target[:, None])[:, 0]
