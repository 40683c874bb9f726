"""Gaze as a mask in training: the network sees the patches that a reader looked at most."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import ImageFusion
from gazekit.contracts.types import Views


class GazeMask(ImageFusion):
    """``x'_p = x_p`` for the patches ``p`` that were looked at most, and the image's darkest value elsewhere.

    Patches are ranked by the mean of the heat map ``R`` over each; ``keep`` of them stay, and as many more as are
    looked at alike, but none that nobody looked at. In training only: an exam without gaze, and every image at
    inference, stays whole.

    Args:
        views: names of the views.
        in_channels: channels of an image.
        patch: side of a patch, px; the patches of the backbone.
        keep: share of the patches that stays.
        share: chance that an exam is masked in a step, all its views alike; the others stay whole.

    Source: EG-ViT, Ma et al. 2023, doi:10.1109/TMI.2023.3287572, whose published code keeps 49 of 196 patches and
        masks four of ten batches. There the masked patches are left out of all blocks but the last, which gets them
        back as they were embedded; here their pixels are as dark as the background, and no block sees them.
    """

    needs_gaze = "training"

    def __init__(
        self,
        views: Sequence[str],
        in_channels: int,
        *,
        patch: PositiveInt = 16,
        keep: Annotated[float, Field(gt=0, le=1)] = 0.25,
        share: Annotated[float, Field(gt=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.in_channels = in_channels
        self.patch = patch
        self.keep = keep
        self.share = share

    def forward(self, images: Views, gaze: Gaze | None) -> Views:
        """Map images ``[B, C, H, W]`` and gaze to images of the same shapes."""
        if gaze is None:
            return dict(images)
        first = next(iter(images.values()))
        whole = torch.zeros(len(first), dtype=torch.bool, device=first.device)
        if self.share < 1:
            whole = torch.rand(len(first), device=first.device) >= self.share
        return {
            view: torch.where(
                (self.mask(gaze[view]) | whole[:, None, None])[:, None],
                image,
                image.amin(dim=(1, 2, 3), keepdim=True),
            )
            if view in gaze
            else image
            for view, image in images.items()
        }

    def mask(self, heat: Tensor) -> Tensor:
        """Map heat maps ``[B, H, W]`` to the pixels that stay, ``[B, H, W]`` bool."""
        looked = functional.avg_pool2d(heat[:, None], self.patch, ceil_mode=True)[:, 0]  # [B, rows, columns]
        ranked = looked.flatten(1).sort(dim=1, descending=True).values
        count = max(1, round(self.keep * ranked.shape[1]))
        least = ranked[:, count - 1, None, None]
        nobody = ranked[:, :1, None] == 0
        stays = ((looked >= least) & (looked > 0)) | nobody
        height, width = heat.shape[1:]
        for axis in (1, 2):
            stays = stays.repeat_interleave(self.patch, dim=axis)
        return stays[:, :height, :width]
