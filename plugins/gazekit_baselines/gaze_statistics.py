"""Statistics of gaze as targets beside the class."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from gazekit.contracts.heat_map import DURATION, ONSET, SLOT, X, Y, goes_on
from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output

STATISTICS = ("time", "longest", "spread", "visits", "places")


class GazeStatistics(Term):
    """``L = mean_k (W_k z + b_k - s_k)^2`` per view: predict five statistics ``s`` of gaze from pooled features ``z``.

    The image is divided into ``cells`` x ``cells`` cells; ``T_c`` is the time in s that a reader spent on cell ``c``,
    ``n`` the number of cells. The statistics are those of one reader, averaged over the readers of an image:

    - ``time``: ``log(1 + sum_c T_c)``;
    - ``longest``: ``log(1 + max_c T_c)``, the time on the cell most looked at;
    - ``spread``: ``-sum_c p_c log p_c / log n`` with ``p_c = T_c / sum T``, 0 for one cell and 1 for all alike;
    - ``visits``: ``log(1 + v)``, ``v`` the fixations on a cell on which the fixation before was not; one before it in
      another recording does not count;
    - ``places``: the share of the cells that were looked at.

    Only fixations on the image count. A view without any says nothing, and so do finished heat maps and recordings
    without times.

    Args:
        views: names of the views.
        channels: of the last maps.
        cells: along an axis.

    Source: Gaze-MTL, Saab et al. 2021, doi:10.1007/978-3-030-87196-3_56: statistics of gaze as helper tasks, among them
        time on the patch most looked at, diffusivity, visits and time spent. The entropy in the place of their
        diffusivity, logarithms, squares, the share of cells and the grid are ours.
    """

    needs = frozenset({"gaze", "fixations"})

    def __init__(
        self, views: Sequence[str], channels: int, *, cells: Annotated[int, Field(ge=2)] = 4
    ) -> None:
        super().__init__()
        self.views = tuple(views)
        self.cells = cells
        self.statistics = nn.Linear(channels, len(STATISTICS))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Map pooled features and fixations to a loss per exam and view, ``[B, V]``."""
        gaze = batch.gaze
        assert gaze is not None, "the core hands gaze to what needs it"
        losses = []
        for view in [view for view in self.views if view in gaze]:
            rows = gaze.scanpaths(view, (self.cells, self.cells))
            known = statistics(rows, self.cells, gaze.slots)  # [B, 5]
            difference = self.statistics(output.pooled[view]) - known.nan_to_num(0.0)
            loss = difference.square().mean(dim=1)
            losses.append(torch.where(known.isnan().any(dim=1), torch.nan, loss))
        return torch.stack(losses, dim=1)


def statistics(rows: Tensor, cells: int, slots: int) -> Tensor:
    """Compute the statistics of fixations ``[B, F, 9]`` in cells, ``[B, 5]``; NaN where none is on the image.

    Args:
        rows: see ``gazekit.contracts.gaze``.
        cells: along an axis.
        slots: the most readers that an image has.
    """
    x, y, duration = rows[..., X], rows[..., Y], rows[..., DURATION]
    there = (x >= 0) & (x < cells) & (y >= 0) & (y < cells) & (duration > 0)  # [B, F]; NaN is not
    there &= ~(rows[..., ONSET].isnan() & (duration == 1))  # the weight of a sample without time
    column, row = (each.nan_to_num(0.0).floor().long().clamp(0, cells - 1) for each in (x, y))
    cell = row * cells + column
    reader = torch.arange(slots, device=rows.device, dtype=rows.dtype)
    own = there[..., None] & (rows[..., SLOT, None] == reader)  # [B, F, readers]
    stays = goes_on(rows)
    stays[:, 1:] &= there[:, :-1] & (cell[:, 1:] == cell[:, :-1])
    visits = (own & ~stays[..., None]).sum(dim=1)  # [B, readers]
    seconds = torch.where(there, duration, 0) / 1000
    places = nn.functional.one_hot(cell, cells**2).to(rows.dtype)  # [B, F, n]
    times = (own * seconds[..., None]).mT @ places  # [B, readers, n]
    total = times.sum(dim=2)
    shares = times / torch.where(total > 0, total, 1.0)[..., None]
    found = torch.stack(
        [
            total.log1p(),
            times.amax(dim=2).log1p(),
            -torch.xlogy(shares, shares).sum(dim=2) / math.log(cells**2),
            visits.to(rows.dtype).log1p(),
            (times > 0).to(rows.dtype).mean(dim=2),
        ],
        dim=2,
    )  # [B, readers, 5]
    looked = (total > 0)[..., None]
    readers = looked.sum(dim=1)
    mean = torch.where(looked, found, 0).sum(dim=1) / readers.clamp(min=1)
    return torch.where(readers > 0, mean, torch.nan)
