"""Cross-view attention to tokens: every pixel of one view attends to a few summaries of the others."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import MapFusion
from gazekit.contracts.types import Views
from gazekit_components.fusions.cross_attention import Norm, exchange, make_directions


class TokenAttention(MapFusion):
    """Cross-view attention to ``T`` tokens of the other views instead of all their pixels.

    With ``X`` the pixels of the other views, ``[n, C]``::

        tokens = softmax(X W_1)^T X;   then per further layer   tokens = softmax(X (tokens W_l)^T)^T X

    each softmax over the pixels. :class:`CrossAttention` follows, with the tokens in place of ``X``, so the cost grows
    with the number of pixels rather than its square.

    Args:
        views: names of the views.
        channels: ``C`` of the maps.
        tokens: ``T`` per direction.
        layers: tokenisations, the first included.
        heads, head_dim, norm, dropout: see ``cross_attention``.

    Source: van Tulder et al. 2021, doi:10.1007/978-3-030-87199-4_10. ``norm = "map"`` is ours.
    """

    def __init__(
        self,
        views: Sequence[str],
        channels: int,
        *,
        tokens: PositiveInt = 48,
        layers: PositiveInt = 3,
        heads: PositiveInt = 12,
        head_dim: PositiveInt = 32,
        norm: Norm = "map",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.directions = make_directions(
            views, channels, heads=heads, head_dim=head_dim, norm=norm, dropout=dropout
        )
        self.tokenizers = nn.ModuleDict(
            {view: _Tokenizer(channels, tokens, layers) for view in self.directions}
        )

    def forward(self, maps: Views) -> Views:
        """Map ``[B, C, h, w]`` per view to the same shapes."""
        return exchange(self.directions, maps, lambda view, others: self.tokenizers[view](others))


class _Tokenizer(nn.Module):
    """Map pixels ``[B, n, C]`` to tokens ``[B, T, C]``."""

    def __init__(self, channels: int, tokens: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, tokens, bias=False)
        self.further = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(layers - 1))

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.first(pixels).softmax(dim=1).mT @ pixels
        for layer in self.further:
            tokens = (pixels @ layer(tokens).mT).softmax(dim=1).mT @ pixels
        return tokens
