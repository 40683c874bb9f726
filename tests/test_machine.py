"""Control groups of both versions tell what a container or a job may use of its machine."""

import math
import os
from pathlib import Path

import pytest
import torch

from gazekit import machine


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GiB free and 16 cores."""
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)), raising=False)
    put(tmp_path / "proc", meminfo="MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n")
    return tmp_path / "proc"


def put(folder: Path, **files: object) -> None:
    """Write small files; ``__`` in a name stands for a point."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def mounted(proc: Path, mount: Path, *, root: str = "/", of: str = "cgroup2 cgroup2 rw") -> None:
    with (proc / "self" / "mountinfo").open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"32 31 0:29 {root} {mount} rw,relatime shared:9 - {of}\n")


def test_a_machine_without_control_groups(proc: Path) -> None:
    assert machine.free_memory() == 8 * 2**30
    assert machine.available_cores() == 16


def test_a_system_that_does_not_say_what_is_free(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS, whose memory is known, and Windows, whose is not."""
    monkeypatch.setattr(machine, "PROC", proc / "none")
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    assert machine.free_memory() == 4096 * 1000
    monkeypatch.delattr(os, "sysconf")
    assert machine.free_memory() == math.inf


def test_a_job_may_use_what_the_smallest_group_above_it_leaves(proc: Path, tmp_path: Path) -> None:
    """Version 2. The pages of files that a group holds are free as soon as they are needed."""
    mount, job = tmp_path / "groups", tmp_path / "groups" / "slurm" / "job_7"
    put(proc / "self", cgroup="0::/slurm/job_7/step_0", mountinfo="")
    mounted(proc, mount)
    put(job / "step_0", memory__max="max", memory__current=1000, memory__stat="", cpu__max="max 100000")
    stat = "anon 900\nactive_file 100\ninactive_file 500\nshmem 50"
    put(job, memory__max=5000, memory__current=2000, memory__stat=stat, cpu__max="250000 100000")
    put(mount / "slurm", memory__max=9000, memory__current=4000, memory__stat="", cpu__max="400000 100000")
    assert machine.free_memory() == 5000 - 2000 + 100 + 500
    assert machine.available_cores() == 3
    put(job, memory__high=3000)  # above it the kernel slows the job down
    assert machine.free_memory() == 3000 - 2000 + 100 + 500
    put(job, memory__current=6000)  # a limit has just been lowered
    assert machine.free_memory() == 0


def test_a_container_of_version_2_with_groups_of_its_own(proc: Path, tmp_path: Path) -> None:
    put(proc / "self", cgroup="0::/", mountinfo="")
    mounted(proc, tmp_path / "groups")
    files = {"memory__max": 5000, "memory__current": 2000, "memory__stat": "", "cpu__max": "100000 100000"}
    put(tmp_path / "groups", **files)
    assert (machine.free_memory(), machine.available_cores()) == (3000, 1)


@pytest.mark.parametrize(
    ("own", "root", "mount"),
    [
        ("/", "/", "M\udcfcller"),  # bytes that are no UTF-8
        ("/", "/", r"a\040b"),
        (r"/a\x2db.slice/job", r"/a\134x2db.slice", "slice"),  # systemd writes a hyphen like this
    ],
)
def test_names_that_the_kernel_escapes(proc: Path, tmp_path: Path, own: str, root: str, mount: str) -> None:
    put(proc / "self", cgroup=f"0::{own}", mountinfo="")
    mounted(proc, tmp_path / "another group", root="/another")
    mounted(proc, tmp_path / mount, root=root)
    put(tmp_path / "another group", memory__max=1, memory__current=0, memory__stat="")
    there = tmp_path / mount.replace(r"\040", " ") / ("job" if "job" in own else "")
    put(there, memory__max=5000, memory__current=2000, memory__stat="")
    assert machine.free_memory() == 3000


def test_a_group_outside_what_is_seen_tells_nothing(proc: Path, tmp_path: Path) -> None:
    put(proc / "self", cgroup="0::/../job", mountinfo="")
    mounted(proc, tmp_path)
    put(tmp_path, memory__max=5000, memory__current=2000, memory__stat="")
    assert machine.free_memory() == 8 * 2**30


@pytest.mark.parametrize("seen_as", ["/docker/4f", "/"], ids=["mounted at its own", "mounted whole"])
def test_a_container_of_version_1(proc: Path, tmp_path: Path, seen_as: str) -> None:
    """Docker mounts the container's own group, whose path in ``/proc/self/cgroup`` is the machine's."""
    put(
        proc / "self", cgroup="5:cpu,cpuacct:/docker/4f\n4:memory:/docker/4f\n3:pids:/docker/4f", mountinfo=""
    )
    for controller in ("memory", "cpu,cpuacct"):
        mount = tmp_path / controller
        mounted(proc, mount, root=seen_as, of=f"cgroup cgroup rw,{controller}")
        own = mount if seen_as != "/" else mount / "docker" / "4f"
        if controller == "memory":
            stat = "inactive_file 1\ntotal_active_file 10\ntotal_inactive_file 20"
            put(own, memory__limit_in_bytes=5000, memory__usage_in_bytes=2000, memory__stat=stat)
        else:
            put(own, cpu__cfs_quota_us=50000, cpu__cfs_period_us=100000)
    assert machine.free_memory() == 5000 - 2000 + 10 + 20
    assert machine.available_cores() == 1


def test_groups_without_limits_and_those_that_cannot_be_read(proc: Path, tmp_path: Path) -> None:
    put(proc / "self", cgroup="4:memory:/a\n5:cpu:/a\n0::/a", mountinfo="")
    for controller in ("memory", "cpu"):
        mounted(proc, tmp_path / controller, of=f"cgroup cgroup rw,{controller}")
    mounted(proc, tmp_path / "missing")
    most = 2**63 - 4096  # how version 1 says that there is no limit
    put(tmp_path / "memory" / "a", memory__limit_in_bytes=most, memory__usage_in_bytes=2000, memory__stat="")
    put(tmp_path / "cpu" / "a", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert machine.free_memory() == 8 * 2**30
    assert machine.available_cores() == 16


def test_a_device_of_torch_is_taken_as_its_name() -> None:
    for device in (torch.device("cpu"), torch.device("cpu", 0)):
        assert machine.choose_device(device) == torch.device("cpu")
