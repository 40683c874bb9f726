"""Record the software and hardware of a run."""

import platform
import sys
from functools import cache
from importlib.metadata import version
from typing import Any

import torch

from gazekit import __version__
from gazekit.disk.home_folder import without_home_within
from gazekit.registry.distribution import requirements


def environment() -> dict[str, Any]:
    """Return versions and device for ``environment.json``, without host name or user name."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {"gazekit": __version__} | _versions(),
        "cpu_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": ["gazekit", *map(without_home_within, sys.argv[1:])],
    }


@cache
def _versions() -> dict[str, str]:
    """Read the versions of the packages that gazekit needs, once in a process."""
    return {each.name: version(each.name) for each in requirements()}
