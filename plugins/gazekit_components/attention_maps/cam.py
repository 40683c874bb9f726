"""The class activation map of a linear head on mean-pooled features."""

import torch
from torch import Tensor

from gazekit.contracts.types import Output, Views
from gazekit.errors import ConfigurationError


class CAM:
    """``H = sum_i w_i f_i`` (Eq. 1), with ``w_i`` the weight of feature ``i`` in a linear head, detached.

    The weights are the gradient of the score at the pooled features, which for a linear head is the head's weight
    (through any number of linear layers). So ``CAM = h w Grad-CAM``. It exists where pooling is a mean.

    Args:
        relu: keep only the positive part of ``H``.

    Source: Eq. 1; Zhou et al. 2016, doi:10.1109/CVPR.2016.319; detached as in GA-Net (Wang et al. 2022,
    doi:10.1109/TMI.2022.3146973).
    """

    def __init__(self, *, relu: bool = False) -> None:
        self.relu = relu

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view.

        Raises:
            ConfigurationError: pooling is not a mean, or the head is not linear in the pooled features, so the weights
                do not exist.
        """
        if not output.mean_pooled:
            raise ConfigurationError(
                'attention_map cam: expected pooling = "mean", of which the score is a sum over places; use '
                "grad_cam or hires_cam, which differentiate any pooling"
            )
        pooled = list(output.pooled.values())
        weights = torch.autograd.grad(
            output.score(target).sum(), pooled, create_graph=True, allow_unused=True, materialize_grads=True
        )
        if _depends(weights, pooled):
            raise ConfigurationError(
                "attention_map cam: expected a head that is linear in the pooled features, but an activation "
                "lies between them and the logits; use concat without hidden layers, or grad_cam"
            )
        maps = {}
        for view, weight in zip(output.pooled, weights, strict=True):
            explained = torch.einsum("bc,bchw->bhw", weight.detach(), output.features[view])
            maps[view] = explained.relu() if self.relu else explained
        return maps


def _depends(weights: tuple[Tensor, ...], pooled: list[Tensor]) -> bool:
    """Whether the graph of the weights leads back to the pooled features, as it does after an activation."""
    total = torch.stack([weight.sum() for weight in weights]).sum()
    if not total.requires_grad:  # frozen linear layers leave the weights without any graph
        return False
    second = torch.autograd.grad(total, pooled, retain_graph=True, allow_unused=True)
    return any(gradient is not None for gradient in second)
