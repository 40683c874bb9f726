"""Tell how many cores, how much memory and which device this process may use.

A container, or a job of a cluster, may use less than its machine has. Linux tells in control groups, version 1 or 2
(man page cgroups(7)); the limits of a group hold for all groups below it.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gazekit.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

PROC = Path("/proc")
_MEMORY = {
    1: (["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_"),
    2: (["memory.max", "memory.high"], "memory.current", ""),
}
"""Version → the files with limits, the file with what is used, and how names in ``memory.stat`` begin."""


def available_cores() -> int:
    """Return the number of processor cores that this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([cores, *(max(math.ceil(share), 1) for share in _core_shares())])


def free_memory() -> float:
    """Return the bytes that are free to this process; where the system does not say, those of the machine."""
    available = _numbers(PROC / "meminfo").get("MemAvailable:")
    return min([_all_memory() if available is None else available * 1024, *_free_of_groups()])


def choose_device(device: "str | torch.device | None") -> "torch.device":
    """Resolve ``auto``, or None, to CUDA if there is a GPU. Raises ConfigurationError: unknown or missing device."""
    name = "auto" if device is None else str(device).removesuffix(":0")  # that of a tensor
    if name not in ("auto", "cpu", "cuda"):
        several = "; CUDA_VISIBLE_DEVICES chooses among several GPUs" if name.startswith("cuda:") else ""
        raise ConfigurationError(f"--device {name}: expected cpu, cuda or auto{several}")
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device(name)


def _all_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows
        return math.inf


def _core_shares() -> Iterator[float]:
    """Yield the processor time that each group may use, in cores."""
    for group, version in _groups("cpu"):
        if version == 2:
            quota, _, period = _text(group / "cpu.max").partition(" ")
        else:
            quota, period = (_text(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(period):  # not "max", or -1
            yield int(quota) / int(period)


def _free_of_groups() -> Iterator[float]:
    """Yield the bytes that each group may still use; pages of files count as free, the kernel drops them on demand."""
    for group, version in _groups("memory"):
        limits, usage, total = _MEMORY[version]
        now = _text(group / usage)
        for most in (_text(group / limit) for limit in limits):
            if most.isdecimal() and now.isdecimal():
                held = _numbers(group / "memory.stat")
                files = sum(held.get(f"{total}{kind}_file", 0) for kind in ("active", "inactive"))
                yield max(int(most) - int(now) + files, 0)


def _groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the groups of this process under a controller, each with its version, from its own to the outermost."""
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        version, inside = 1 if controllers else 2, PurePosixPath(path)
        if (version == 2 or controller in controllers.split(",")) and ".." not in inside.parts:
            mounts = list(_mounts(controller, version))
            above = [(root, mount) for root, mount in mounts if inside.is_relative_to(root)]
            for root, mount in above or mounts:  # in a container the path may be that of the machine
                own = mount / (inside.relative_to(root) if above else "")
                yield from ((each, version) for each in (own, *own.parents) if each.is_relative_to(mount))


def _mounts(controller: str, version: int) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the group at which each hierarchy of a controller is mounted, and where (proc_pid_mountinfo(5))."""
    for line in _text(PROC / "self" / "mountinfo").splitlines():
        about, _, of_system = line.partition(" - ")
        kind, _, options = of_system.split(" ", 2)
        if (kind, version) == ("cgroup2", 2) or (
            (kind, version) == ("cgroup", 1) and controller in options.split(",")
        ):
            root, mount = (
                re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), each)  # a space, a backslash
                for each in about.split(" ")[3:5]
            )
            yield PurePosixPath(root), Path(mount)


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of a name and a number per line."""
    words = (line.split() for line in _text(path).splitlines())
    return {each[0]: int(each[1]) for each in words if len(each) > 1 and each[1].isdecimal()}


def _text(path: Path) -> str:
    """Read a file; empty if there is none, or the system does not let it be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
