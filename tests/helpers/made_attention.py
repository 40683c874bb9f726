"""Attention weights of made-up transformer blocks, and outputs that show them."""

import torch
from torch import Tensor

from gazekit.contracts.types import Extras, Output


def weights(*shape: int, seed: int = 0) -> Tensor:
    """Random weights ``[…, n, n]`` in float64, each row a softmax."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64).softmax(dim=-1)


def showing(*stages: Tensor | None, grid: tuple[int, int], registers: int = 0) -> Output:
    """The output of one view whose stages show these weights, among them those of registers, between class token and
    places; None = a stage that shows something else."""
    exams = next((len(each) for each in stages if each is not None), 1)
    features = {"cc": torch.zeros(exams, 4, *grid, dtype=torch.float64, requires_grad=True)}
    pooled = {"cc": features["cc"].mean(dim=(2, 3))}
    shown: tuple[Extras, ...] = tuple(
        {"tokens": features["cc"]}
        if each is None
        else {"attention": each} | ({"registers": torch.zeros(exams, registers, 4)} if registers else {})
        for each in stages
    )
    return Output(pooled["cc"][:, :1], features, pooled, pooled, pooled["cc"], extras={"cc": shown})
