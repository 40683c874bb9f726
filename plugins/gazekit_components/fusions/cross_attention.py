"""Cross-view attention: every pixel of one view attends to all pixels of the others."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import MapFusion
from gazekit.contracts.types import Views

Norm = Literal["map", "layer", "instance"]
_FEW = 1024
"""Up to this many pixels count as few: 512-px images after the third stage, 50 MB of weights per exam for 12 heads."""


class CrossAttention(MapFusion):
    """``Z = Norm(Y + Linear(X))`` (Eq. 4) for each view, ``X`` what it gathers from the other views.

    Per head, with queries from the pixels of the view's own map ``Y`` and keys from those of the others::

        X = softmax(Q K^T / sqrt(d_k)) V                                              (Eq. 3)

    ``Q`` and ``K`` are linear without bias; ``V`` is the raw map of the other views, without projection.
    There is no positional encoding. All views read the maps from before the update, and each has separate
    weights. With more than two views the pixels of all others form one set of keys. A single view passes
    unchanged.

    Args:
        views: names of the views.
        channels: ``C`` of the maps.
        heads: attention heads; X has ``heads * C`` features per pixel.
        head_dim: ``d_k``, features of a query and a key.
        norm: over what ``Norm`` normalises: ``"map"`` (channels and space together), ``"layer"`` (channels,
            at each pixel) or ``"instance"`` (space, for each channel: van Tulder's code; it erases the mean
            that pooling reads). All have a scale and a shift per channel.
        dropout: probability of dropping a value of ``Linear(X)``, in [0, 1).

    Source: Sec. 2.3; van Tulder et al. 2021, doi:10.1007/978-3-030-87199-4_10. ``norm = "map"`` is ours.
    """

    def __init__(
        self,
        views: Sequence[str],
        channels: int,
        *,
        heads: PositiveInt = 12,
        head_dim: PositiveInt = 32,
        norm: Norm = "map",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.directions = make_directions(
            views, channels, heads=heads, head_dim=head_dim, norm=norm, dropout=dropout
        )

    def forward(self, maps: Views) -> Views:
        """Map ``[B, C, h, w]`` per view to the same shapes."""
        return exchange(self.directions, maps, lambda _view, source: source)


def make_directions(
    views: Sequence[str], channels: int, *, heads: int, head_dim: int, norm: Norm, dropout: float
) -> nn.ModuleDict:
    """Make a direction per view, with separate weights; none for a single view."""
    several = views if len(views) > 1 else ()
    return nn.ModuleDict(
        {
            view: Direction(channels, heads=heads, head_dim=head_dim, norm=norm, dropout=dropout)
            for view in several
        }
    )


def exchange(directions: nn.ModuleDict, maps: Views, summarise: Callable[[str, Tensor], Tensor]) -> Views:
    """Return every view's map ``[B, C, h, w]`` after it attends to the others; a single view passes unchanged.

    Args:
        directions: from ``make_directions``.
        maps: maps from before the update.
        summarise: for a view, maps the pixels ``[B, n, C]`` of all others to the keys ``[B, m, C]`` it attends to.
    """
    if not directions:
        return dict(maps)
    pixels = {view: values.flatten(2).mT for view, values in maps.items()}  # [B, h w, C]
    fused = {}
    for target, direction in directions.items():
        others = torch.cat([pixels[view] for view in directions if view != target], dim=1)
        fused[target] = direction(maps[target], pixels[target], summarise(target, others))
    return fused


class Direction(nn.Module):
    """The attention of one view to the others: to their pixels, or to tokens of them."""

    def __init__(self, channels: int, *, heads: int, head_dim: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, heads * head_dim, bias=False)
        self.key = nn.Linear(channels, heads * head_dim, bias=False)
        self.output = nn.Linear(heads * channels, channels, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = _norm(norm, channels)

    def forward(self, target_map: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Map ``[B, C, h, w]``, its pixels ``[B, n, C]`` and those of the others ``[B, m, C]`` to a new map."""
        query = self.query(target).unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, n, d_k]
        key = self.key(source).unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, m, d_k]
        gathered = _attend(query, key, source).transpose(1, 2).flatten(2)  # [B, n, heads * C]
        update = self.dropout(self.output(gathered)).mT.unflatten(2, target_map.shape[2:])  # [B, C, h, w]
        fused: Tensor = self.norm(target_map + update)
        return fused


def _attend(query: Tensor, key: Tensor, source: Tensor) -> Tensor:
    """Compute Eq. 3 for all heads, ``[B, heads, n, C]``; the values ``[B, m, C]`` are the same for all.

    On a CPU with few pixels, the weights are multiplied with the values for all heads in one product, which is fastest.
    With many pixels the n x m weights would dominate the memory. torch avoids that matrix only if keys are as wide as
    values, so they are padded with zeros, which changes no product.
    """
    heads, head_dim, channels = query.shape[1], query.shape[3], source.shape[2]
    scale = head_dim**-0.5
    if query.device.type == "cpu":
        if key.shape[2] <= _FEW:
            weights = (query * scale @ key.mT).softmax(dim=3)  # [B, heads, n, m]
            products: Tensor = weights.flatten(1, 2) @ source  # [B, heads * n, C]
            return products.view(*query.shape[:3], channels)
        if channels > head_dim:
            query, key = (nn.functional.pad(tensor, (0, channels - head_dim)) for tensor in (query, key))
    value = source[:, None].expand(-1, heads, -1, -1)
    return nn.functional.scaled_dot_product_attention(query, key, value, scale=scale)


def _norm(name: Norm, channels: int) -> nn.Module:
    if name == "layer":
        return _NormOverChannels(channels)
    return nn.GroupNorm(1 if name == "map" else channels, channels)


class _NormOverChannels(nn.LayerNorm):
    """Layer norm of ``[B, C, h, w]`` over ``C``."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)
