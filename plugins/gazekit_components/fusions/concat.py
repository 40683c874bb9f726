"""Late fusion: the vectors of the views, concatenated."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from gazekit.contracts.interfaces import VectorFusion
from gazekit.contracts.types import Views
from gazekit_components.fusions.fusion_network import Activation, fusion_network


class Concat(VectorFusion):
    """``I = [Linear -> activation] x n (concat(p_v))``; with no hidden layer, the plain concatenation.

    Args:
        views: names of the views, in the order of concatenation.
        channels: ``D_v``, features of each view's vector.
        hidden: features out of each hidden layer.
        activation: activation after each hidden layer.
        dropout: probability of dropping a hidden feature, in [0, 1).

    Source: Sec. 2.1; "late join" of van Tulder et al. 2021, doi:10.1007/978-3-030-87199-4_10.
    """

    def __init__(
        self,
        views: Sequence[str],
        channels: int,
        *,
        hidden: tuple[PositiveInt, ...] = (),
        activation: Activation = "tanh",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        in_features = channels * len(self.views)
        self.network = fusion_network(in_features, hidden, activation=activation, dropout=dropout)
        self.out_features = hidden[-1] if hidden else in_features

    def forward(self, vectors: Views) -> Tensor:
        """Map ``[B, D_v]`` per view to ``I``, ``[B, D]``."""
        joined = torch.cat([vectors[view] for view in self.views], dim=1)  # [B, V * D_v]
        fused: Tensor = self.network(joined)
        return fused
