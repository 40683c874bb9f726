"""LayerCAM: the positive gradient of the score times the maps, place by place, at any stage."""

from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.score_gradients import maps_of_stage, score_gradients


class LayerCAM:
    """Feature maps of a stage, weighted by the places where they raise the score.

    ``H = sum_c g_c^+ A_c`` with ``A_c`` the maps of the stage and ``g_c = d score / d A_c``, both ``[h, w]``. Maps of
    an early stage are finer; their gradient passes backwards through every later stage, once more per step, and
    through them twice where ``detach_weights`` is false. At the last stage it passes through head and pooling only.

    Args:
        stage: counted from 1; None = the last.
        detach_weights: treat ``g`` as constants, so that a loss on ``H`` reaches the network through ``A`` alone: the
            stages up to this one; false lets it reach the later stages and the head through ``g`` too.
        relu: keep only the positive part of ``H``, as the paper does.

    Source: Jiang et al. 2021, doi:10.1109/TIP.2021.3089943.
    """

    reads_stages: ClassVar[bool] = True

    def __init__(
        self, *, stage: PositiveInt | None = None, detach_weights: bool = True, relu: bool = False
    ) -> None:
        self.stage = stage
        self.detach_weights = detach_weights
        self.relu = relu

    @property
    def differentiates_gradient(self) -> bool:
        """Whether its maps hold a gradient that passed through stages of the backbone."""
        return self.stage is not None and not self.detach_weights

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view, the grid of the stage.

        A view that does not influence the score gets a map of zeros.

        Raises:
            ConfigurationError: the backbone has no such stage, or the score does not depend on its maps.
        """
        features = output.features  # [B, C, h, w]
        if self.stage is not None:
            features = maps_of_stage(output, self.stage)
        gradients = score_gradients(output, target, features, detach=self.detach_weights)
        maps = {}
        for view, each in features.items():
            explained = (gradients[view].relu() * each).sum(dim=1)  # [B, h, w]
            maps[view] = explained.relu() if self.relu else explained
        return maps
