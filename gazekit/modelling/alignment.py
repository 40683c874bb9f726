"""The term of the paper: attention maps of the model against the gaze of readers."""

from typing import Literal

import torch
from torch import Tensor, nn

from gazekit.contracts.heat_map import DURATION, X, Y, of_slots
from gazekit.contracts.interfaces import AlignmentLoss, AttentionMap
from gazekit.contracts.types import Batch, Output, Views

Explained = Literal["label", "positive"]


class Alignment(nn.Module):
    """An alignment loss per exam and view, NaN where there is no gaze.

    Args:
        alignment_loss: compares one map with the gaze on one image.
        target: class whose attention is aligned, ``"label"`` (the true one) or ``"positive"`` (for one logit
            the positive one, for several the true one).
        each_reader: compare the map with every reader of an image, instead of their mean.
        attention_map: of this term; None = the one of the preset.

    Source: Sec. 2.2, Eq. 1 and 2.
    """

    def __init__(
        self,
        alignment_loss: AlignmentLoss,
        *,
        target: Explained = "label",
        each_reader: bool = False,
        attention_map: AttentionMap | None = None,
    ) -> None:
        super().__init__()
        self.alignment_loss = alignment_loss
        self.target = target
        self.each_reader = each_reader
        self.attention_map = attention_map

    @property
    def needs(self) -> frozenset[str]:
        """See :class:`gazekit.contracts.interfaces.Term`."""
        fixations = self.each_reader or self.alignment_loss.reads == "fixations"
        return frozenset({"gaze", "fixations"} if fixations else {"gaze"})

    def explained(self, output: Output, labels: Tensor) -> Tensor:
        """The class whose attention is aligned, per exam ``[B]``."""
        if self.target == "positive" and output.logits.shape[1] == 1:
            return torch.ones_like(labels)
        return labels

    def forward(self, maps: Views, batch: Batch) -> Tensor:
        """Map attention maps ``[B, h, w]`` per view to losses ``[B, n]``, one per view, or per reader of a view.

        A loss that is not finite though there is gaze becomes infinite, so that the step is skipped and not the pair.
        """
        gaze = batch.gaze
        assert gaze is not None, "the core hands gaze to what needs it"
        views = [view for view in maps if view in gaze]
        found: list[Tensor] = []
        for shape in dict.fromkeys(maps[view].shape[1:] for view in views):  # maps of one size in one call
            alike = [view for view in views if maps[view].shape[1:] == shape]
            present = torch.stack([self._present(batch, view) for view in alike], dim=1)  # [B, V, readers]
            compared = torch.stack([self._gaze(batch, view, maps[view]) for view in alike], dim=1)
            attention = torch.stack([maps[view] for view in alike], dim=1)[:, :, None]
            attention = attention.expand(*present.shape, *shape).flatten(0, 2)
            compared = compared.flatten(0, 2)
            if self.alignment_loss.reads == "heat_map":  # what is absent may hold anything
                compared = torch.where(present.flatten()[:, None, None], compared, 0)
            losses = self.alignment_loss(attention, compared).view(present.shape)
            losses = torch.where(losses.isnan(), torch.inf, losses)
            found.append(torch.where(present, losses, torch.nan).flatten(1))
        if not found:
            return batch.labels.new_full((len(batch.labels), 1), torch.nan, dtype=torch.float32)
        return torch.cat(found, dim=1)

    def _present(self, batch: Batch, view: str) -> Tensor:
        """Which pairs have gaze, ``[B, 1]``, or ``[B, readers]``; for fixations, one on the image."""
        gaze = batch.gaze
        assert gaze is not None
        if self.alignment_loss.reads == "heat_map":
            return gaze.present_readers(view) if self.each_reader else gaze.present(view)[:, None]
        rows = gaze.scanpaths(view, (1, 1))
        x, y = rows[..., X], rows[..., Y]
        there = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1) & (rows[..., DURATION] > 0)  # [B, F]; NaN is not
        if not self.each_reader:
            return there.any(dim=1, keepdim=True)
        return (there[..., None] & of_slots(rows, gaze.slots)).any(dim=1)

    def _gaze(self, batch: Batch, view: str, attention: Tensor) -> Tensor:
        """Heat maps ``[B, 1 or readers, H, W]``, or fixations ``[B, 1 or readers, F, 3]``."""
        gaze = batch.gaze
        assert gaze is not None
        if self.alignment_loss.reads == "heat_map":
            return gaze.heat_maps(view) if self.each_reader else gaze[view][:, None]
        height, width = attention.shape[1:]
        rows = gaze.scanpaths(view, (height, width))
        if not self.each_reader:
            return _places(rows)[:, None]
        own = of_slots(rows, gaze.slots).mT  # [B, readers, F]
        return torch.where(own[..., None], _places(rows)[:, None], torch.nan)


def _places(rows: Tensor) -> Tensor:
    """x, y and duration of fixations, ``[B, F, 3]``."""
    return torch.stack([rows[..., column] for column in (X, Y, DURATION)], dim=-1)
