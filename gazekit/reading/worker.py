"""Set up a worker process: end with its parent, stay within its memory limit."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any


def start_worker(function: Callable[..., Any], mebibytes: int | None) -> None:  # noqa: ARG001
    """Prepare a worker; takes ``function`` so that its imports are not counted to the first task."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if mebibytes is not None:
        _limit_memory(mebibytes * 2**20)


def _limit_memory(beyond: int) -> None:
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # Windows, macOS
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + beyond if most == resource.RLIM_INFINITY else min(used + beyond, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
