"""Early fusion: the views as channels of one image."""

from collections.abc import Sequence

import torch

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import ImageFusion
from gazekit.contracts.types import Views


class Stack(ImageFusion):
    """One image ``stacked`` whose channels are the views, in their order.

    Gaze cannot supervise it, because its attention map belongs to no single view.

    Args:
        views: names of the views.
        in_channels: ``C`` of each view's image; ``V * C`` come out.

    Source: Lopez et al. 2022, arXiv:2204.05798 (CC and MLO as two channels).
    """

    def __init__(self, views: Sequence[str], in_channels: int) -> None:
        super().__init__()
        self.stacked = tuple(views)
        self.views = ("stacked",)
        self.in_channels = in_channels * len(self.stacked)

    def forward(self, images: Views, gaze: Gaze | None) -> Views:  # noqa: ARG002
        """Map images ``[B, C, H, W]`` per view to one of ``[B, V * C, H, W]``."""
        return {"stacked": torch.cat([images[view] for view in self.stacked], dim=1)}
