"""Outputs of small heads on random maps, for the tests of attention maps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gazekit.contracts.types import Output

VIEWS = ("cc", "mlo")


def mean_pooling(maps: Tensor) -> Tensor:
    """Average over space, as the model does."""
    return maps.mean(dim=(2, 3))


def output_of(
    head: nn.Module,
    *,
    pooling: Callable[[Tensor], Tensor] = mean_pooling,
    grid: tuple[int, int] = (5, 3),
    unused: str = "",
    positive: bool = False,
    seed: int = 0,
) -> Output:
    """Three exams, two views and four channels in float64; the view ``unused`` does not reach the head."""
    generator = torch.Generator().manual_seed(seed)
    features = {view: torch.randn(3, 4, *grid, generator=generator, dtype=torch.float64) for view in VIEWS}
    features = {view: (maps.abs() if positive else maps).requires_grad_() for view, maps in features.items()}
    pooled = {view: pooling(maps) for view, maps in features.items()}
    fused = torch.cat([pooled[view] for view in VIEWS if view != unused], dim=1)
    return Output(head(fused), features, pooled, pooled, fused)


def nonlinear_head(outputs: int, features: int = 8) -> nn.Sequential:
    """Two layers with a tanh between them, in float64."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, outputs)).double()


def gradient_of_one(output: Output, exam: int, label: int, maps: Tensor) -> Tensor:
    """The gradient of the score of one exam at its maps ``[C, h, w]``."""
    logits = output.logits[exam]
    score = (logits[0] if label else -logits[0]) if len(logits) == 1 else logits[label]
    return torch.autograd.grad(score, maps, retain_graph=True)[0][exam]
