"""Check devices and disk; run all checks."""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gazekit.contracts.check import Check
from gazekit.doctor.software import (
    check_by_plugins,
    check_codecs,
    check_extras,
    check_plugins,
    check_torchvision,
    check_versions,
)
from gazekit.errors import ConfigurationError
from gazekit.machine import available_cores, free_memory
from gazekit.preparing.default_data import cache_folder
from gazekit.registry.registry import Registry

_LITTLE_SPACE = 2 * 2**30  # bytes: half for a prepared data set at 512 px, half for checkpoints


def diagnose(registry: Registry) -> list[Check]:
    """Run all checks; nothing is downloaded or changed."""
    of_plugins = check_by_plugins(registry)  # first: a plugin that fails here is one of those that failed
    return [
        *check_versions(),
        *check_torchvision(),
        *check_device(),
        *check_codecs(),
        *check_extras(),
        *check_plugins(registry),
        *of_plugins,
        *check_disk(),
    ]


def check_device() -> Iterator[Check]:
    """Check the cores and the memory that this process may use, and the GPUs that torch can use."""
    import torch

    cores, threads, free = available_cores(), torch.get_num_threads(), free_memory()
    memory = f", {free / 2**30:.1f} GiB of memory free" if math.isfinite(free) else ""
    found = f"{cores} cores, torch uses {threads}{memory}"
    if threads > cores:
        yield Check(
            "device", "cpu", "limit", found, f"threads wait for each other: set OMP_NUM_THREADS={cores}"
        )
    else:
        yield Check("device", "cpu", "ok", found)
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            yield Check(
                "device", f"cuda:{number}", "ok", f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
            )
    elif torch.version.cuda is None:
        remedy = (
            "on a machine with an NVIDIA GPU install a CUDA build of torch; else expect hours for 300 epochs"
        )
        yield Check("device", "cuda", "limit", "this torch is built without CUDA", remedy)
    else:
        remedy = "look at nvidia-smi: a driver older than this CUDA, or no GPU given to this process"
        found = f"torch is built for CUDA {torch.version.cuda} and sees no GPU"
        yield Check("device", "cuda", "limit", found, remedy)


def check_disk() -> Iterator[Check]:
    """Check free space and write permission where gazekit writes."""
    places: dict[str, Callable[[], str | Path]] = {
        "here": Path.cwd,
        "cache": cache_folder,
        "temporary files": tempfile.gettempdir,
    }
    for name, find in places.items():
        try:
            place = Path(find())
        except (ConfigurationError, OSError) as error:
            yield Check("disk", name, "problem", "there is no such folder", str(error))
            continue
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        found = f"{free / 2**30:.1f} GiB free in {place}"
        if not os.access(there, os.W_OK):
            remedy = "choose another folder" if name != "cache" else "set GAZEKIT_CACHE to a folder of yours"
            yield Check("disk", name, "problem", f"{place} is not writable", remedy)
        elif free < _LITTLE_SPACE:
            yield Check("disk", name, "limit", found, "free some space, or work in another folder")
        else:
            yield Check("disk", name, "ok", found)
