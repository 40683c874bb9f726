"""The software and hardware that a run was made with."""

import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from gazekit import __version__
from gazekit.disk.home_folder import without_home
from gazekit.registry.distribution import requirements


def environment() -> dict[str, Any]:
    """Versions and device, for ``environment.json``; no host name, no user name."""
    needed = {each.name: version(each.name) for each in requirements()}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {"gazekit": __version__} | needed,
        "cpu_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": ["gazekit", *map(without_home, sys.argv[1:])],
    }
