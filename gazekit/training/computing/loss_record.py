"""Record the losses of each step on the device; the host reads them without making it wait."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class LossRecord:
    """Rows for the steps of an epoch: whether each was taken, and its loss terms.

    A step adds its row on the device. Rows are copied to the host in the background; ``arrived`` returns those
    that are complete. Nothing in an epoch waits for the device: on a CPU a row arrives at once, on a GPU a few
    steps later.

    Args:
        steps: maximum number of rows.
        device: of the model.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.steps = steps
        self.device = device
        self.names: tuple[str, ...] = ()
        self._added = self._sending = self._handed_over = 0
        self._sent: torch.cuda.Event | None = None

    def add(self, taken: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Add a step; ``taken`` is a bool and every term a scalar, all on the device."""
        if not self.names:
            self.names = tuple(terms)
            shape = (self.steps, 1 + len(terms))
            self._rows = torch.zeros(shape, dtype=torch.float64, device=self.device)
            on_host = self.device.type == "cpu"
            self._host = self._rows if on_host else torch.zeros(shape, dtype=torch.float64, pin_memory=True)
        self._rows[self._added].copy_(torch.stack([taken, *terms.values()]))
        self._added += 1

    def arrived(self, *, wait: bool = False) -> Iterator[dict[str, float] | None]:
        """Return the terms of each step not yet returned, in order; None for a skipped step.

        ``wait``: wait for all steps; otherwise return only those already on the host.
        """
        while self._handed_over < self._added:
            self._send()
            if self._sent is not None and wait:
                self._sent.synchronize()
            if self._sent is not None and not self._sent.query():
                return
            rows = self._host.numpy()[self._handed_over : self._sending].tolist()
            self._handed_over = self._sending
            for taken, *values in rows:
                yield dict(zip(self.names, values, strict=True)) if taken else None

    def _send(self) -> None:
        """Copy new rows to the host in the background, unless a copy is in progress."""
        if self._sending > self._handed_over:
            return
        self._sending = self._added
        if self.device.type == "cuda":
            rows = slice(self._handed_over, self._sending)
            self._host[rows].copy_(self._rows[rows], non_blocking=True)
            self._sent = torch.cuda.Event()
            self._sent.record()
