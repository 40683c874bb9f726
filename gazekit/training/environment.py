"""What a run was made with."""

import platform
import re
import sys
from importlib.metadata import requires, version
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Versions and device, for ``environment.json``; no host name, no user name."""
    needed = [re.split(r"[^\w.-]", item)[0] for item in requires("gazekit") or () if "extra ==" not in item]
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in ["gazekit", *sorted(needed)]},
        "cpu_threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": ["gazekit", *sys.argv[1:]],
    }
