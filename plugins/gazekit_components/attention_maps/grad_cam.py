"""Grad-CAM from the gradient at the pooled features, or at the maps: the graph spans head and pooling only."""

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit_components.attention_maps.score_gradients import score_gradients


class GradCAM:
    """Feature maps weighted by their influence on the score.

    ``H = sum_i w_i f_i`` (Eq. 1) with ``w_i`` the mean over space of ``d score / d f_i``. Where pooling is a mean, that
    is ``d score / d pooled_i / (h w)``; through another pooling it is differentiated as it stands. No part of the
    backbone is differentiated a second time.

    Args:
        detach_weights: treat ``w`` as constants, so that a loss on ``H`` reaches the network through ``f``
            alone; false lets it reach the head through ``w`` too (second derivatives of the head).
        relu: keep only the positive part of ``H``.

    Source: Eq. 1, Sec. 2.2; Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74.
    """

    def __init__(self, *, detach_weights: bool = True, relu: bool = False) -> None:
        self.detach_weights = detach_weights
        self.relu = relu

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view.

        A view that does not influence the score gets a map of zeros.

        Raises:
            ConfigurationError: the pooling does not read the maps.
        """
        at = output.pooled if output.mean_pooled else output.features
        gradients = score_gradients(output, target, at, detach=self.detach_weights)
        maps = {}
        for view, features in output.features.items():  # [B, C, h, w]
            if output.mean_pooled:
                places = features[0, 0].numel()  # torch.Size.numel() would fix B in an exported model
                explained = torch.einsum("bc,bchw->bhw", gradients[view], features) / places
            else:
                weights = gradients[view].mean(dim=(2, 3))  # [B, C]
                explained = torch.einsum("bc,bchw->bhw", weights, features)
            maps[view] = explained.relu() if self.relu else explained
        return maps
