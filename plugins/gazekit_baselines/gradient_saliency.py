"""The gradient of the score as an attention map, which a loss differentiates once more."""

from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


class GradientSaliency:
    """``H = mean_c d score / d A_c``, with ``A_c`` the maps of a stage.

    A loss on ``H`` differentiates that stage's successors twice: a step takes about two more backward passes through
    them, and their operations must have a second derivative. The fused attention of a timm transformer has none; set
    ``backbone.fused_attention = false`` there.

    Args:
        stage: counted from 1.

    Source: Fel et al. 2022, arXiv:2211.04533, Sec. 4, who differentiate at the pixels; at the maps of a stage, whose
        grid is coarser and cheaper to align, is ours.
    """

    reads_stages: ClassVar[bool] = True

    def __init__(self, *, stage: PositiveInt = 1) -> None:
        self.stage = stage

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view, the grid of the stage.

        A view that does not influence the score gets a map of zeros.

        Raises:
            ConfigurationError: the backbone has no such stage.
        """
        stages = min((len(each) for each in output.stages.values()), default=0)
        if self.stage > stages:
            raise ConfigurationError(
                f"attention_map gradient_saliency: expected a stage of 1 … {stages}, got {self.stage}"
            )
        maps = [output.stages[view][self.stage - 1] for view in output.features]
        gradients = torch.autograd.grad(
            output.score(target).sum(), maps, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return {view: each.mean(dim=1) for view, each in zip(output.features, gradients, strict=True)}
