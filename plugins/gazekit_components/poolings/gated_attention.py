"""Gated attention pooling: a weighted mean over places, with weights that are learnt."""

from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Extras


class GatedAttention(Pooling):
    """``z = Σ_k a_k A_k`` over places ``k``, with weights that sum to 1::

        a = softmax_k( w · (tanh(V A_k) ⊙ sigmoid(U A_k)) )

    ``A_k`` is the column of the last maps at a place, ``[C]``; ``V`` and ``U`` are ``[features, C]`` and ``w`` is
    ``[features]``, without biases. A map of equal places gives the mean.

    Args:
        channels: ``C`` of the maps.
        features: of ``V`` and ``U``.

    Source: Ilse et al. 2018, arXiv:1802.04712, Eq. 7 and 9; over patches of a mammogram in GMIC, Shen et al. 2021,
        doi:10.1016/j.media.2020.101908. Over the places of the last maps: ours.
    """

    def __init__(self, channels: int, *, features: PositiveInt = 128) -> None:
        super().__init__()
        self.tangent = nn.Linear(channels, features, bias=False)  # V
        self.gate = nn.Linear(channels, features, bias=False)  # U
        self.weight = nn.Linear(features, 1, bias=False)  # w

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:  # noqa: ARG002
        """Map the last maps ``[B, C, h, w]`` to ``[B, C]``."""
        places = maps.flatten(2).mT  # [B, h w, C]
        scores = self.weight(self.tangent(places).tanh() * self.gate(places).sigmoid())  # [B, h w, 1]
        pooled: Tensor = (scores.softmax(dim=1) * places).sum(dim=1)
        return pooled
