"""How much of its machine this process may use: processor cores and memory.

A container, or a job of a cluster, may use less than its machine has. Linux tells in control groups, version 1 or 2
(man page cgroups(7)); each limits all groups below it.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")


def available_cores() -> int:
    """Return the number of processor cores that this process may use: of part of one, 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([cores, *(max(math.ceil(share), 1) for share in _core_shares())])


def free_memory() -> float:
    """Return the bytes that are free to this process; infinite where nothing says."""
    machine = _numbers(PROC / "meminfo").get("MemAvailable:", math.inf) * 1024
    return min([machine, *_free_of_groups()])


@dataclass(frozen=True, slots=True)
class _Group:
    folder: Path
    version: int


def _core_shares() -> Iterator[float]:
    """Yield the processor time that each group may use, in cores."""
    for group in _groups("cpu"):
        if group.version == 2:
            quota, _, period = _text(group.folder / "cpu.max").partition(" ")
        else:
            quota, period = (_text(group.folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(period):  # not "max", or -1
            yield int(quota) / int(period)


def _free_of_groups() -> Iterator[float]:
    """Yield the bytes that each group may still use; what it holds of files makes room when it is needed."""
    for group in _groups("memory"):
        if group.version == 2:
            limit, used, total = "memory.max", "memory.current", ""
        else:
            limit, used, total = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
        most, now = _text(group.folder / limit), _text(group.folder / used)
        if most.isdecimal() and now.isdecimal():
            held = _numbers(group.folder / "memory.stat")
            files = sum(held.get(f"{total}{kind}_file", 0) for kind in ("active", "inactive"))
            yield max(int(most) - int(now) + files, 0)


def _groups(controller: str) -> Iterator[_Group]:
    """Yield the groups of this process that limit a controller, from its own to the outermost that it sees."""
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        version = 1 if controllers else 2
        if version == 2 or controller in controllers.split(","):
            for root, mount in _mounts(controller, version):
                inside = PurePosixPath(path)
                below = inside.relative_to(root) if inside.is_relative_to(root) else PurePosixPath()
                own = mount / below
                yield from (
                    _Group(each, version) for each in (own, *own.parents) if each.is_relative_to(mount)
                )


def _mounts(controller: str, version: int) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the group at which each hierarchy of a controller is mounted, and where (proc_pid_mountinfo(5))."""
    for line in _text(PROC / "self" / "mountinfo").splitlines():
        about, _, of_system = line.partition(" - ")
        kind, _, options = of_system.split(" ", 2)
        if (kind == "cgroup2" and version == 2) or (
            kind == "cgroup" and version == 1 and controller in options.split(",")
        ):
            root, mount = about.split(" ")[3:5]
            yield PurePosixPath(root), Path(mount)


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of a name and a number per line."""
    words = (line.split() for line in _text(path).splitlines())
    return {each[0]: int(each[1]) for each in words if len(each) > 1 and each[1].isdecimal()}


def _text(path: Path) -> str:
    """Read a file; empty if there is none, or the system does not let it be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
