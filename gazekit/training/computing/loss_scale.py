"""Scale the loss to keep float16 gradients from vanishing."""

import torch
from torch import Tensor

_FIRST = 2.0**16
_INTERVAL = 2000


class LossScale:
    """Loss scale that halves after a non-finite step and doubles after 2000 finite ones; it stays on the device.

    Rule and numbers are those of torch.amp.GradScaler, which skips a step for its gradient only; ours is
    skipped for its loss too.

    Source: Micikevicius et al. 2018, arXiv:1710.03740.
    """

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), _FIRST, device=device)
        self.good_steps = torch.zeros((), device=device)

    def update(self, taken: Tensor) -> None:
        """Adapt the scale after a step; ``taken`` is a bool on the device."""
        good_steps = torch.where(taken, self.good_steps + 1, 0)
        grow = good_steps == _INTERVAL
        # in place: a recorded step reads these addresses
        self.scale.copy_(torch.where(taken, torch.where(grow, self.scale * 2, self.scale), self.scale / 2))
        self.good_steps.copy_(torch.where(grow, 0, good_steps))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint."""
        return {"scale": self.scale.clone(), "good_steps": self.good_steps.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the state from a checkpoint made on any device."""
        self.scale.copy_(state["scale"])
        self.good_steps.copy_(state["good_steps"])
