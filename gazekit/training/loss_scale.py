"""The factor that keeps float16 gradients from vanishing."""

import torch
from torch import Tensor

_FIRST = 2.0**16
_INTERVAL = 2000


class LossScale:
    """Halved where a step was not finite, doubled after 2000 steps that were; it never leaves the device.

    The rule and its numbers are those of torch.amp.GradScaler, whose step can be skipped for a gradient only; ours are
    skipped for a loss too.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), _FIRST, device=device)
        self.good_steps = torch.zeros((), device=device)

    def update(self, taken: Tensor) -> None:
        """Learn from a step; ``taken`` is a bool on the device."""
        good_steps = torch.where(taken, self.good_steps + 1, 0)
        grow = good_steps == _INTERVAL
        # in place, so that a recorded step finds them where they were
        self.scale.copy_(torch.where(taken, torch.where(grow, self.scale * 2, self.scale), self.scale / 2))
        self.good_steps.copy_(torch.where(grow, 0, good_steps))

    def state_dict(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"scale": self.scale.clone(), "good_steps": self.good_steps.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint, on whatever device."""
        self.scale.copy_(state["scale"])
        self.good_steps.copy_(state["good_steps"])
