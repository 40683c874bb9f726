"""The gradient of the score as an attention map, which a loss differentiates once more."""

from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.score_gradients import maps_of_stage, score_gradients


class GradientSaliency:
    """``H = mean_c d score / d A_c``, with ``A_c`` the maps of a stage.

    A loss on ``H`` differentiates that stage's successors twice: a step takes about two more backward passes through
    them, and their operations must have a second derivative.

    Args:
        stage: counted from 1.

    Source: Fel et al. 2022, arXiv:2211.04533, Sec. 4, who differentiate at the pixels; at the maps of a stage, whose
        grid is coarser and cheaper to align, is ours.
    """

    reads_stages: ClassVar[bool] = True
    differentiates_gradient: ClassVar[bool] = True

    def __init__(self, *, stage: PositiveInt = 1) -> None:
        self.stage = stage

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view, the grid of the stage.

        A view that does not influence the score gets a map of zeros.

        Raises:
            ConfigurationError: the backbone has no such stage, or the score does not depend on its maps.
        """
        gradients = score_gradients(output, target, maps_of_stage(output, self.stage), detach=False)
        return {view: each.mean(dim=1) for view, each in gradients.items()}
