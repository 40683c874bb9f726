"""Predict where a reader looks next: supervision by the order of fixations."""

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.heat_map import X, Y, goes_on
from gazekit.contracts.interfaces import Term
from gazekit.contracts.types import Batch, Output, Views


class NextFixation(Term):
    """``L = -mean_t log P(c_t+1 | c_1 ... c_t)`` per view: the cross-entropy of the cell that a reader looks at next.

    The image is divided into the cells of the last maps ``A``. With ``k_c = W_k A_c`` for each cell ``c``, the state of
    a reader at fixation ``t`` is ``q_t = W_q [A_c_t; mean of A over c_1 ... c_t]``, and::

        P(c | c_1 ... c_t) = softmax_c( k_c q_t / sqrt(d) + r log(1 + visits of c up to t) )

    with a learnt weight ``r`` of returning, which a reader who does not look twice makes negative. A state is that of
    one recording, and only steps count between two of its fixations that both lie on the image. The last state of a
    prediction starts the next: see ``predict``.

    Args:
        views: names of the views.
        channels: of the last maps.
        features: ``d``.

    Source: supervision by the order of fixations is the future work of Ji et al. 2023; the model is ours, a small
        attention head, with inhibition of return as in Itti et al. 1998, doi:10.1109/34.730558.
    """

    needs = frozenset({"gaze", "fixations"})

    def __init__(self, views: Sequence[str], channels: int, *, features: PositiveInt = 32) -> None:
        super().__init__()
        self.views = tuple(views)
        self.key = nn.Linear(channels, features, bias=False)
        self.query = nn.Linear(2 * channels, features)
        self.returning = nn.Parameter(torch.zeros(()))

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Map the last maps and the fixations to a loss per exam and view, ``[B, V]``."""
        gaze = batch.gaze
        assert gaze is not None, "the core hands gaze to what needs it"
        losses = []
        for view in [view for view in self.views if view in gaze]:
            maps = output.features[view]
            height, width = maps.shape[2:]
            rows = gaze.scanpaths(view, (height, width))  # [B, F, 9]
            cells, there = _cells(rows, height, width)  # [B, F] both
            recording = (~goes_on(rows)).cumsum(dim=1)  # [B, F]
            step = there[:, :-1] & there[:, 1:] & (recording[:, :-1] == recording[:, 1:])  # [B, F - 1]
            before = _same_recording_up_to(recording, there)  # [B, F, F]
            scores = self._scores(maps, cells, before)[:, :-1]  # [B, F - 1, cells]
            surprise = -scores.log_softmax(dim=2).gather(2, cells[:, 1:, None])[..., 0]
            steps = step.sum(dim=1)
            mean = torch.where(step, surprise, 0).sum(dim=1) / steps.clamp(min=1)
            losses.append(torch.where(steps > 0, mean, torch.nan))
        return torch.stack(losses, dim=1)

    @torch.no_grad()
    def predict(self, output: Output, *, fixations: int) -> Views:
        """Predict a scanpath on each view, ``[B, fixations, 2]``: x and y as shares of width and height.

        It starts at the cell that most resembles the mean of all, and then goes where the next fixation is most
        probable.
        """
        paths: Views = {}
        for view, maps in output.features.items():
            height, width = maps.shape[2:]
            start = maps.mean(dim=(2, 3))  # [B, C]
            keys = self.key(maps.flatten(2).mT)  # [B, cells, d]
            cells = (keys @ self.query(torch.cat([start, start], dim=1))[..., None])[..., 0].argmax(dim=1)[
                :, None
            ]
            while cells.shape[1] < fixations:
                count = cells.shape[1]
                before = torch.ones(count, count, device=maps.device).tril().expand(len(maps), -1, -1)
                following = self._scores(maps, cells, before)[:, -1].argmax(dim=1)
                cells = torch.cat([cells, following[:, None]], dim=1)
            x = (cells % width + 0.5) / width
            y = (torch.div(cells, width, rounding_mode="floor") + 0.5) / height
            paths[view] = torch.stack([x, y], dim=2)
        return paths

    def _scores(self, maps: Tensor, cells: Tensor, before: Tensor) -> Tensor:
        """Score every cell as the next one after each fixation, ``[B, F, cells]``.

        Args:
            maps: ``[B, C, h, w]``.
            cells: ``[B, F]`` of the fixations.
            before: ``[B, F, F]``, 1 where the second fixation is the first or one before it, of the same recording.
        """
        places = maps.flatten(2).mT  # [B, cells, C]
        exact = torch.float64 if maps.dtype == torch.float64 else torch.float32
        visited = nn.functional.one_hot(cells, places.shape[1]).to(exact)  # [B, F, cells]
        visits = before.to(exact) @ visited  # [B, F, cells]
        mean = visits / visits.sum(dim=2, keepdim=True).clamp(min=1)
        state = torch.cat(
            [visited.to(places.dtype) @ places, mean.to(places.dtype) @ places], dim=2
        )  # [B, F, 2 C]
        query, keys = self.query(state), self.key(places)
        scores: Tensor = (query @ keys.mT).to(exact) / keys.shape[2] ** 0.5
        return scores + self.returning * visits.log1p()


def _cells(rows: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The cell of each fixation, and which fixations lie on the image, ``[B, F]``."""
    x, y = rows[..., X], rows[..., Y]
    there = (x >= 0) & (x < width) & (y >= 0) & (y < height)  # NaN is not
    column, row = (each.nan_to_num(0.0).floor().long() for each in (x, y))
    return row.clamp(0, height - 1) * width + column.clamp(0, width - 1), there


def _same_recording_up_to(recording: Tensor, there: Tensor) -> Tensor:
    """For each fixation those up to it that are of its recording and on the image, ``[B, F, F]``."""
    order = torch.arange(recording.shape[1], device=recording.device)
    up_to = order[:, None] >= order
    return (recording[:, :, None] == recording[:, None]) & up_to & there[:, None]
