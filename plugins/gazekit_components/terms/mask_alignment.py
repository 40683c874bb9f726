"""Penalise attention outside the lesions that a radiologist marked."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output
from gazekit_components.alignment_losses.comparable_maps import resize, unit_sum
from gazekit_components.attention_maps.grad_cam import GradCAM


class MaskAlignment(Term):
    """``L = sum_xy H^+ (1 - M) / sum_xy H^+`` per view: the share of positive attention outside the lesion mask ``M``.

    ``H`` is the Grad-CAM of the true class, resized bilinearly to the grid of ``M``; so the pooling must read the maps.
    A view without a mark says nothing. With gaze aligned beside it, the two can be compared, or combined.

    Args:
        views: names of the views.
        channels: of the last maps.

    Source: the idea is Ross et al. 2017, doi:10.24963/ijcai.2017/371, who penalise input gradients outside a mask; the
        share of a Grad-CAM is ours.
    """

    needs = frozenset({"masks"})

    def __init__(self, views: Sequence[str], channels: int) -> None:  # noqa: ARG002
        super().__init__()
        self.views = tuple(views)
        self.attention_map = GradCAM()

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Map the model's output and the masks to a loss per exam and view, ``[B, V]``."""
        masks = batch.masks
        assert masks is not None, "the core hands masks to what needs them"
        maps = self.attention_map(output, batch.labels)
        losses = []
        for view in [view for view in maps if view in masks]:
            mask = masks[view]
            share = unit_sum(resize(maps[view], mask.shape[1:]))
            outside = (share * (1 - mask)).sum(dim=(1, 2))
            losses.append(torch.where(mask.amax(dim=(1, 2)) > 0, outside, torch.nan))
        return torch.stack(losses, dim=1)
