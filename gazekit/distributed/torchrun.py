"""Read the variables that ``torchrun`` sets for the processes it starts."""

import os


def launched() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_writer() -> bool:
    """Whether this process writes and prints; known before the processes have joined."""
    return launched() == 1 or os.environ.get("RANK", "0") == "0"


def restarted() -> bool:
    """Whether the processes were restarted after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def may_restart() -> bool:
    """Whether the processes will be restarted if one dies."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0
