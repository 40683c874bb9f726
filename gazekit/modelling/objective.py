"""The loss: classification + λ · alignment of attention with gaze + μ · the fusion's own terms (Eq. 8)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gazekit.contracts.interfaces import AlignmentLoss, AttentionMap
from gazekit.contracts.types import Batch, Output
from gazekit.distributed.processes import share, total
from gazekit.modelling.model import MultiViewClassifier


@dataclass(frozen=True, slots=True)
class Losses:
    """The total to minimise and its unweighted terms by name, all scalars."""

    total: Tensor
    terms: dict[str, Tensor]


class Objective(nn.Module):
    """``L = L_class + λ L_gaze + μ Σ L_auxiliary``.

    Args:
        attention_map, alignment_loss: gaze supervision; both None = without.
        target: class whose attention is aligned, ``"label"`` (the true one) or ``"positive"`` (for one logit
            the positive one, for several the true one).
        gaze_weight: λ.
        auxiliary_weight: μ.
        class_weights: ``[classes]``; None = all alike.

    Source: Sec. 2.4, Eq. 8; the class weights Sec. 3.2.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        attention_map: AttentionMap | None = None,
        alignment_loss: AlignmentLoss | None = None,
        target: str = "label",
        gaze_weight: float = 0.5,
        auxiliary_weight: float = 0.2,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.attention_map = attention_map
        self.alignment_loss = alignment_loss
        self.target = target
        self.gaze_weight = gaze_weight
        self.auxiliary_weight = auxiliary_weight
        self.register_buffer("class_weights", class_weights)

    def forward(self, model: MultiViewClassifier, output: Output, batch: Batch) -> Losses:
        """Sum the terms for one batch.

        Of a batch that several processes share, each has some exams, and gets its part of every term: the parts
        add up to the term of the whole batch, however the exams are shared out. A fusion's own terms are taken
        to be means over exams.
        """
        exams = share(output.logits.new_full((), len(batch.labels)))
        weight = exams
        if self.class_weights is not None and output.logits.shape[1] > 1:  # what its mean is divided by
            weight = share(self.class_weights[batch.labels].sum())
        terms = {"classification": weight * self.classification(output.logits, batch.labels)}
        loss = terms["classification"]
        if self.alignment_loss is not None:
            terms["gaze"] = self.alignment(output, batch)
            loss = loss + self.gaze_weight * terms["gaze"]
        if model.vector_fusion is not None:
            for name, term in model.vector_fusion.auxiliary_losses(output.vectors, output.fused).items():
                terms[name] = exams * term
                loss = loss + self.auxiliary_weight * terms[name]
        return Losses(loss, terms)

    def classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy; binary with pos_weight = w_1 / w_0, so that negatives weigh 1."""
        weights = self.class_weights
        if logits.shape[1] == 1:
            positive = None if weights is None else weights[1] / weights[0]
            return functional.binary_cross_entropy_with_logits(
                logits[:, 0], labels.to(logits.dtype), pos_weight=positive
            )
        return functional.cross_entropy(logits, labels, weight=weights)

    def alignment(self, output: Output, batch: Batch) -> Tensor:
        """Mean alignment loss over the (exam, view) pairs that have gaze; exactly 0 if none has.

        In a run of several processes: the sum over the pairs of this one, divided by the number of all.
        """
        assert self.attention_map is not None and self.alignment_loss is not None
        target = batch.labels
        if self.target == "positive" and output.logits.shape[1] == 1:
            target = torch.ones_like(target)
        maps = self.attention_map(output, target)
        views = [view for view in maps if view in batch.gaze]
        summed, pairs = output.logits.new_zeros(()), output.logits.new_zeros(())
        for shape in dict.fromkeys(maps[view].shape[1:] for view in views):
            alike = [view for view in views if maps[view].shape[1:] == shape]
            has_gaze = torch.cat([batch.has_gaze[view] for view in alike])  # [V·B]
            gaze = torch.cat([batch.gaze[view] for view in alike])  # [V·B, H, W]
            gaze = torch.where(has_gaze[:, None, None], gaze, 0)  # what is absent may hold anything
            losses = self.alignment_loss(torch.cat([maps[view] for view in alike]), gaze)  # [V·B]
            summed = summed + torch.where(has_gaze, losses, 0).sum()
            pairs = pairs + has_gaze.sum()
        return summed / total(pairs).clamp(min=1)


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights inverse to the class frequencies ``[classes]``; for two, w_1 / w_0 = n_0 / n_1."""
    counts = torch.bincount(labels, minlength=classes).float()
    return counts.sum() / (classes * counts.clamp(min=1))
