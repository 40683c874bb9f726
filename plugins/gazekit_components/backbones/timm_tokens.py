"""Vision Transformers of timm as stages: groups of blocks on tokens, which pass as maps and extras."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gazekit.contracts.types import Extras

GROUPS = 4
"""Stages that the blocks are divided among."""


def has_tokens(network: Any) -> bool:
    """Whether it is a chain of blocks on tokens of one width, as ViT, DeiT, DINOv2 and DINOv3 are."""
    parts = ("patch_embed", "_pos_embed", "norm_pre", "blocks", "norm", "num_prefix_tokens", "cls_token")
    mixed = getattr(network, "rope_mixed", False)  # positions learnt in each block
    return all(hasattr(network, part) for part in parts) and not mixed


def token_stages(network: Any, *, show_attention: bool) -> tuple[nn.ModuleList, int]:
    """Divide the blocks of a network among stages of one width.

    Args:
        network: without classifier; it does not survive.
        show_attention: let each stage show the attention of its blocks.

    Returns:
        The stages and their width.

    Raises:
        ValueError: its blocks compute attention in another way than those whose attention can be shown.
    """
    blocks = list(network.blocks)
    if show_attention and not all(map(_shows_attention, blocks)):
        raise ValueError("show_attention: its blocks compute attention in a way that is not known here")
    count = min(GROUPS, len(blocks))
    bounds = [round(group * len(blocks) / count) for group in range(count + 1)]
    norm, rope, width = network.norm, getattr(network, "rope", None), network.embed_dim
    embedding = Embedding(network)
    stages = nn.ModuleList()
    for group in range(count):
        of_group = TokenBlocks(
            blocks[bounds[group] : bounds[group + 1]],
            norm if group == count - 1 else nn.Identity(),
            rope,
            embedding,
            show_attention=show_attention,
        )
        stages.append(LaterStage(of_group) if group else FirstStage(embedding, of_group))
    return stages, width


class Embedding(nn.Module):
    """Images to tokens ``[B, n, C]``: patches with their positions, after class token and registers."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        height, width = network.patch_embed.grid_size
        self.grid = (height, width)
        self.class_tokens = int(network.cls_token is not None)
        self.registers = network.num_prefix_tokens - self.class_tokens
        network.blocks, network.norm = nn.Sequential(), nn.Identity()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``[B, C, H, W]`` to tokens."""
        tokens: Any = self.network._pos_embed(self.network.patch_embed(images))
        if isinstance(tokens, tuple):  # with rotary positions, which every stage asks for itself
            tokens = tokens[0]
        embedded: Tensor = self.network.norm_pre(tokens)
        return embedded


class TokenBlocks(nn.Module):
    """Some blocks, and a norm after the last of all.

    Args:
        blocks: in order.
        norm: after them.
        rope: rotary positions that each block adds to queries and keys; None = it does not.
        embedding: knows the grid and the tokens before it.
        show_attention: show the attention of the blocks, at the cost of computing queries and keys twice.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        norm: nn.Module,
        rope: nn.Module | None,
        embedding: Embedding,
        *,
        show_attention: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.rope = rope
        self.grid, self.registers = embedding.grid, embedding.registers
        self.class_tokens, self.show_attention = embedding.class_tokens, show_attention

    def forward(self, tokens: Tensor) -> tuple[Tensor, Extras]:
        """Map tokens ``[B, n, C]`` to maps, and class token, registers and attention as extras."""
        positions: dict[str, Tensor] = {}
        if self.rope is not None:
            positions["rope"] = self.rope.get_embed(shape=list(self.grid))  # type: ignore[operator]
        shown = []
        for block in self.blocks:
            if self.show_attention:
                shown.append(attention_weights(block, tokens, **positions))
            tokens = block(tokens, **positions)
        tokens = self.norm(tokens)
        own, registers, places = tokens.split(
            [self.class_tokens, self.registers, self.grid[0] * self.grid[1]], dim=1
        )
        extras = {}
        if self.class_tokens:
            extras["class_token"] = own[:, 0]
        if self.registers:
            extras["registers"] = registers
        if shown:
            extras["attention"] = torch.stack(shown, dim=1)  # [B, layers, heads, n, n]
        return places.mT.unflatten(2, self.grid), extras


class FirstStage(nn.Module):
    """From images to the maps of the first blocks."""

    def __init__(self, embedding: Embedding, blocks: TokenBlocks) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = blocks

    def forward(self, images: Tensor) -> tuple[Tensor, Extras]:
        """Map images ``[B, C, H, W]`` to maps ``[B, C, h, w]`` and tokens beside them."""
        result: tuple[Tensor, Extras] = self.blocks(self.embedding(images))
        return result


class LaterStage(nn.Module):
    """From the maps and tokens of some blocks to those of the next."""

    reads_extras: ClassVar[bool] = True

    def __init__(self, blocks: TokenBlocks) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, maps: Tensor, extras: Extras) -> tuple[Tensor, Extras]:
        """Map ``[B, C, h, w]`` and the tokens beside them to the next maps and tokens."""
        places = maps.flatten(2).mT  # [B, h w, C]
        before = [extras["class_token"][:, None]] if "class_token" in extras else []
        before += [extras["registers"]] if "registers" in extras else []
        result: tuple[Tensor, Extras] = self.blocks(torch.cat([*before, places], dim=1))
        return result


def _shows_attention(block: nn.Module) -> bool:
    from timm.layers import Attention  # timm is imported when a network of it is made
    from timm.models.eva import EvaAttention, EvaBlock
    from timm.models.vision_transformer import Block

    return isinstance(block, Block | EvaBlock) and isinstance(block.attn, Attention | EvaAttention)


def attention_weights(block: Any, tokens: Tensor, rope: Tensor | None = None) -> Tensor:
    """Compute the attention of a block ``[B, heads, n, n]`` from its input ``[B, n, C]``.

    ``softmax(Q K^T / sqrt(d))`` with the block's own queries and keys, whose rows sum to 1; without dropout.
    """
    attention, normed = block.attn, block.norm1(tokens)
    if getattr(attention, "qkv", None) is None:
        query, key = attention.q_proj(normed), attention.k_proj(normed)
    else:
        query, key, _ = attention.qkv(normed).chunk(3, dim=2)
        if getattr(attention, "q_bias", None) is not None:  # kept apart from the weight
            query, key = query + attention.q_bias, key + attention.k_bias
    query, key = (each.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for each in (query, key))
    query, key = attention.q_norm(query), attention.k_norm(key)
    if rope is not None:
        from timm.layers.pos_embed_sincos import apply_rot_embed_cat

        first, half = attention.num_prefix_tokens, getattr(attention, "rotate_half", False)
        query, key = (
            torch.cat([each[:, :, :first], apply_rot_embed_cat(each[:, :, first:], rope, half=half)], dim=2)
            for each in (query, key)
        )
    weights: Tensor = (query * attention.scale @ key.mT).softmax(dim=3)
    return weights
