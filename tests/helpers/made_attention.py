"""Attention weights of made-up transformer blocks, and outputs that show them."""

import torch
from torch import Tensor

from gazekit.contracts.types import Extras, Output


def weights(*shape: int, seed: int = 0) -> Tensor:
    """Random weights ``[…, n, n]`` in float64, each row a softmax."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64).softmax(dim=-1)


def showing(*stages: Tensor | None, grid: tuple[int, int]) -> Output:
    """The output of one view whose stages show these weights; None = a stage that shows something else."""
    exams = next((len(each) for each in stages if each is not None), 1)
    features = {"cc": torch.zeros(exams, 4, *grid, dtype=torch.float64, requires_grad=True)}
    pooled = {"cc": features["cc"].mean(dim=(2, 3))}
    shown: tuple[Extras, ...] = tuple(
        {"tokens": features["cc"]} if each is None else {"attention": each} for each in stages
    )
    return Output(pooled["cc"][:, :1], features, pooled, pooled, pooled["cc"], extras={"cc": shown})
