"""Single precision where numbers need it, whatever the training uses."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast inside, on any device; on one that knows no autocast, such as ``meta``, there is nothing to do.

    Inputs keep the dtype that they have: bring them to float32 first.

    Example::

        with full_precision(attention.device):
            loss = (attention.float() - gaze).square().mean(dim=(1, 2))
    """
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
