"""HiResCAM: the gradient of the score times the maps, place by place."""

from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.score_gradients import score_gradients


class HiResCAM:
    """Feature maps weighted, place by place, by their influence on the score.

    ``H = sum_c g_c A_c`` with ``A_c`` the last feature maps and ``g_c = d score / d A_c``, both ``[h, w]``. After mean
    pooling ``g_c`` is the same everywhere, so ``H`` equals Grad-CAM, and ``CAM / (h w)`` with a linear head; after
    another pooling they differ. The gradient passes through head and pooling only, never through the backbone.

    Args:
        detach_weights: treat ``g`` as constants, so that a loss on ``H`` reaches the network through ``A`` alone; false
            lets it reach the head through ``g`` too (second derivatives of head and pooling).
        relu: keep only the positive part of ``H``.

    Source: Draelos & Carin 2020, arXiv:2011.08891.
    """

    def __init__(self, *, detach_weights: bool = True, relu: bool = False) -> None:
        self.detach_weights = detach_weights
        self.relu = relu

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view.

        A view that does not influence the score gets a map of zeros.
        """
        gradients = score_gradients(output, target, output.features, detach=self.detach_weights)
        maps = {}
        for view, features in output.features.items():
            explained = (gradients[view] * features).sum(dim=1)  # [B, h, w]
            maps[view] = explained.relu() if self.relu else explained
        return maps
