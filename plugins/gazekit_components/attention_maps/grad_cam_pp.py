"""Grad-CAM++: weights from the positive part of the gradient, so that small objects count as much as large ones."""

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.score_gradients import score_gradients


class GradCAMPlusPlus:
    """Feature maps weighted by the places where they raise the score.

    ``H = sum_c w_c A_c``, ``w_c = sum_xy α_c g_c^+``, ``α_c = g_c^2 / (2 g_c^2 + S_c g_c^3) = 1 / (2 + S_c g_c)``:
    ``A_c`` are the last feature maps, ``g_c = d score / d A_c``, and ``S_c`` is the sum of ``A_c`` over space.
    ``S_c`` counts the positive part of ``A_c`` only, so that the denominator is never below 2; for maps after a ReLU,
    as in the paper, that changes nothing. The paper explains ``exp(score)``, a factor of the whole map that is left
    out here. The gradient passes through head and pooling only, never through the backbone.

    Args:
        detach_weights: treat ``g`` as constants, so that a loss on ``H`` reaches the network through ``A`` alone (``S``
            included); false lets it reach the head through ``g`` too (second derivatives of head and pooling).
        relu: keep only the positive part of ``H``.

    Source: Chattopadhay et al. 2018, doi:10.1109/WACV.2018.00097; the positive part in ``S`` and the factor are ours.
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
            rising = gradients[view].relu()  # [B, C, h, w]; where it is zero, so is its weight
            weights = (rising / (2 + features.relu().sum(dim=(2, 3), keepdim=True) * rising)).sum(dim=(2, 3))
            explained = torch.einsum("bc,bchw->bhw", weights, features)
            maps[view] = explained.relu() if self.relu else explained
        return maps
