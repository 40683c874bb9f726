"""The tensors that pass between the parts, with their shapes, stated once.

Letters: ``B`` exams in a batch, ``C`` channels, ``h w`` a feature map, ``H W`` an image,
``D_v`` features of one view's vector, ``D`` fused features, ``K`` logits (1 = binary, else classes).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gazekit.contracts.gaze import Gaze

Views = dict[str, Tensor]
"""One tensor per view, in preset order."""
Extras = dict[str, Tensor]
"""Tensors that a stage of a backbone shows beside its maps, by name: attention weights, tokens."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The exams that the images of a batch are mixed with.

    Args:
        share: of each exam's own image, ``[B]`` in [0.5, 1]; the loss of its own label has the same share.
        labels: truth of the others, ``[B]`` int64.
        targets: of the others, as in ``Batch``.
    """

    share: Tensor
    labels: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Mixture":
        """The same with a function applied to each tensor."""
        targets = {name: function(tensor) for name, tensor in self.targets.items()}
        return Mixture(function(self.share), function(self.labels), targets)

    def of(self, own: Tensor, others: Tensor) -> Tensor:
        """Mix numbers of the exams ``[B]`` with those of the others."""
        mixed = own + (1 - self.share).to(own.dtype) * (others - own)
        return torch.where(self.share == 1, own, mixed)  # the other's may be NaN


@dataclass(frozen=True, slots=True)
class Batch:
    """Exams on the device, ready for the model.

    Args:
        images: per view ``[B, C, H, W]``, float32, normalised.
        labels: truth, ``[B]`` int64, in ``0 … max(K, 2) - 1``.
        gaze: where readers looked; None where nothing in the training asks for it.
        masks: per view ``[B, H, W]`` float32 in [0, 1], 1 in a lesion, zero where nothing is marked; None where no term
            asks for them.
        targets: truth of the further targets by name, ``[B]`` int64, -1 where it is not known.
        covariates: ``[B, C]`` float32 in preset order, NaN where not known; None without any.
        present: per view ``[B]`` bool, false where an exam lacks the view, whose pixels are then zero; None where no
            exam of the data lacks one.
        mixture: what the images are mixed with, by mixup; None where they are not. All other fields are the exam's own.
    """

    images: Views
    labels: Tensor
    gaze: Gaze | None = None
    masks: Views | None = None
    targets: dict[str, Tensor] = field(default_factory=dict)
    covariates: Tensor | None = None
    present: Views | None = None
    mixture: Mixture | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with a function applied to each tensor: a slice of exams, a copy, another device."""

        def each(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: function(tensor) for name, tensor in tensors.items()}

        return Batch(
            each(self.images),
            function(self.labels),
            self.gaze and self.gaze.map(function),
            self.masks and each(self.masks),
            each(self.targets),
            None if self.covariates is None else function(self.covariates),
            self.present and each(self.present),
            self.mixture and self.mixture.map(function),
        )

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, field by field."""
        yield from self.images.values()
        yield self.labels
        yield from self.gaze.tensors() if self.gaze is not None else ()
        yield from (self.masks or {}).values()
        yield from self.targets.values()
        yield from () if self.covariates is None else (self.covariates,)
        yield from (self.present or {}).values()
        if self.mixture is not None:
            yield from (self.mixture.share, self.mixture.labels, *self.mixture.targets.values())


@dataclass(frozen=True, slots=True)
class Output:
    """Everything that the losses need from one forward pass.

    Args:
        logits: ``[B, K]``.
        features: per view the last feature maps ``[B, C, h, w]``.
        pooled: per view the vector that pooling makes of them ``[B, C]``; in the graph of ``logits``.
        vectors: per view ``p_v`` ``[B, D_v]``, the projection of ``pooled``.
        fused: ``I`` ``[B, D]``.
        stages: per view the feature maps after each stage; empty unless an attention map reads them.
        extras: per view what each stage chose to show; empty where none does.
        mean_pooled: whether ``pooled`` is the mean of ``features`` over space.
        further: logits of the further targets by name, ``[B, K]``; ``logits`` are those of the label.
    """

    logits: Tensor
    features: Views
    pooled: Views
    vectors: Views
    fused: Tensor
    stages: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)
    extras: dict[str, tuple[Extras, ...]] = field(default_factory=dict)
    mean_pooled: bool = True
    further: dict[str, Tensor] = field(default_factory=dict)

    def score(self, target: Tensor) -> Tensor:
        """The scalar that an attention map explains, per exam ``[B]``.

        For K = 1 it is the logit where ``target`` is 1 and the negated logit where it is 0;
        for K > 1 the logit of the target class. ``target`` is ``[B]`` int64.
        """
        if self.logits.shape[1] == 1:
            logit = self.logits[:, 0]
            return torch.where(target > 0, logit, -logit)
        return self.logits.gather(1, target[:, None])[:, 0]
