"""Tell how many processes train a model and which one this is, without importing torch."""

import sys
from typing import Any


def count() -> int:
    """Return the number of processes."""
    group = joined()
    return 1 if group is None else int(group.get_world_size())


def rank() -> int:
    """Return the number of this process, from 0; process 0 writes."""
    group = joined()
    return 0 if group is None else int(group.get_rank())


def joined() -> Any:
    """Return ``torch.distributed`` if this process has joined others, which needs its import; None if it is alone."""
    group: Any = sys.modules.get("torch.distributed")
    return group if group is not None and group.is_available() and group.is_initialized() else None
