"""Bidirectional fusion learning: the fused vector must identify the exam of each view's vector."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import VectorFusion
from gazekit.contracts.precision import full_precision
from gazekit.contracts.types import Views
from gazekit.distributed.processes import gathered
from gazekit_components.fusions.fusion_network import Activation, fusion_network


class BidirectionalFusionLearning(VectorFusion):
    """The fusion network with a contrastive loss from ``I`` back to each view.

    For exam ``i`` and view ``v``, with ``N_v`` a linear layer and ``s`` of Eq. 6 (no temperature)::

        s(I, p_v) = exp(cos(p_v, N_v(I)))                                             (Eq. 6)
        L_v = -mean_i log( s(I_i, p_v^i) / sum_j s(I_i, p_v^j) )                      (Eq. 5)
        L_BFL = sum_v L_v                                                             (Eq. 7)

    The sum runs over all exams of the batch, ``i`` included, so a batch of one exam gives 0. Two exams of one patient
    are negatives of each other, too; the paper speaks of those of different patients. With several processes the sum
    runs over the exams of all, with gradient, and each process averages over its own exams.

    Args:
        views: names of the views, in the order of concatenation.
        channels: ``D_v``, features of each view's vector.
        hidden: features out of each hidden layer of the fusion network; the last is ``D``.
        activation: activation after each hidden layer.
        dropout: probability of dropping a hidden feature, in [0, 1).
        anchor: ``"fused"`` compares ``N_v(I_i)`` with all ``p_v^j`` (Eq. 5), ``"view"`` compares ``p_v^i``
            with all ``N_v(I_j)`` (the code of Han et al.).

    Source: Sec. 2.3; Han et al. 2021 (MMIM), doi:10.18653/v1/2021.emnlp-main.723.
    """

    def __init__(
        self,
        views: Sequence[str],
        channels: int,
        *,
        hidden: tuple[PositiveInt, ...] = (256,),
        activation: Activation = "tanh",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        anchor: Literal["fused", "view"] = "fused",
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.anchor = anchor
        in_features = channels * len(self.views)
        self.network = fusion_network(in_features, hidden, activation=activation, dropout=dropout)
        self.out_features = hidden[-1] if hidden else in_features
        self.reconstruct = nn.ModuleDict(
            {view: nn.Linear(self.out_features, channels) for view in self.views}
        )

    def forward(self, vectors: Views) -> Tensor:
        """Map ``[B, D_v]`` per view to ``I``, ``[B, D]``."""
        joined = torch.cat([vectors[view] for view in self.views], dim=1)  # [B, V * D_v]
        fused: Tensor = self.network(joined)
        return fused

    def auxiliary_losses(self, vectors: Views, fused: Tensor) -> dict[str, Tensor]:
        """``{"bfl": L_BFL}``, a scalar in float32 (or float64)."""
        losses = []
        for view in self.views:
            reconstructed, vector = self.reconstruct[view](fused), vectors[view]  # [B, D_v] both
            if self.anchor == "fused":
                losses.append(_contrast(reconstructed, vector))
            else:
                losses.append(_contrast(vector, reconstructed))
        return {"bfl": torch.stack(losses).sum()}


def _contrast(anchors: Tensor, candidates: Tensor) -> Tensor:
    """``-mean_i log softmax_j(cos(anchor_i, candidate_j))`` at ``j = i``."""
    with full_precision(anchors.device):
        everyone, first = gathered(_unit(candidates))  # [all exams, D_v]
        cosines = _unit(anchors) @ everyone.mT  # [B, all exams]
        own = torch.arange(first, first + len(anchors), device=anchors.device)
        return nn.functional.cross_entropy(cosines, own)


def _unit(vectors: Tensor) -> Tensor:
    """Normalise vectors to length one, in float32 at least; leave one too short to have a direction as it is.

    Dividing by a small constant instead would make the gradient of a zero vector enormous.
    """
    vectors = vectors if vectors.dtype == torch.float64 else vectors.float()
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(length > 1e-6, length, 1.0)
