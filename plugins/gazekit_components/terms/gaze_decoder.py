"""Predict where readers looked from the feature maps."""

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output


class GazeDecoder(Term):
    """``L = KL(R || P)`` per view, with ``P`` decoded from the last maps and ``R`` the heat map, both of sum 1.

    ``P = softmax over places of conv1x1(ReLU(conv3x3(upsample(A))))`` on ``upsample`` times the grid of the maps ``A``;
    one decoder serves all views. ``R`` is the mean over the pixels of each cell. The decoder is used in training only;
    what it teaches the branches stays.

    Args:
        views: names of the views.
        channels: of the last maps.
        hidden: channels of the decoder.
        upsample: cells of the predicted map per cell of the feature map, along an axis.

    Source: gaze as a target beside the class is Saab et al. 2021 (GazeMTL), doi:10.1007/978-3-030-87196-3_56; the
        decoder and the KL divergence are ours.
    """

    needs = frozenset({"gaze"})

    def __init__(
        self, views: Sequence[str], channels: int, *, hidden: PositiveInt = 32, upsample: PositiveInt = 2
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.upsample = upsample
        self.hidden = nn.Conv2d(channels, hidden, 3, padding=1)
        self.place = nn.Conv2d(hidden, 1, 1)

    def log_density(self, maps: Tensor) -> Tensor:
        """Map feature maps ``[B, C, h, w]`` to ``log P`` ``[B, s h, s w]``, s the factor of ``upsample``."""
        larger = nn.functional.interpolate(maps, scale_factor=self.upsample, mode="bilinear")
        scores: Tensor = self.place(self.hidden(larger).relu())[:, 0]
        scores = scores if scores.dtype == torch.float64 else scores.float()
        return scores.flatten(1).log_softmax(dim=1).view_as(scores)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Map the last maps and the gaze to a loss per exam and view, ``[B, V]``."""
        gaze = batch.gaze
        assert gaze is not None, "the core hands gaze to what needs it"
        losses = []
        for view in [view for view in self.views if view in gaze]:
            predicted = self.log_density(output.features[view])
            heat = nn.functional.adaptive_avg_pool2d(
                gaze[view][:, None], (predicted.shape[1], predicted.shape[2])
            )[:, 0]
            present = gaze.present(view)
            heat = torch.where(present[:, None, None], heat, 1.0).to(predicted.dtype)
            density = heat / heat.sum(dim=(1, 2), keepdim=True)
            divergence = (torch.xlogy(density, density) - density * predicted).sum(dim=(1, 2))
            losses.append(torch.where(present, divergence, torch.nan))
        return torch.stack(losses, dim=1)
