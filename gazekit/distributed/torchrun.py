"""Read the variables that ``torchrun`` sets for the processes it starts."""

import os


def launched() -> int:
    """The number of processes that are to train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_writer() -> bool:
    """Whether this process is the one that writes and speaks; known before they have joined."""
    return launched() == 1 or os.environ.get("RANK", "0") == "0"


def restarted() -> bool:
    """Whether the processes were started again after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def may_restart() -> bool:
    """Whether they will be started again if one of them dies."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0
