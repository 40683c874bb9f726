"""A Slurm cluster of one node, this machine, for as long as a test needs it; nothing outside of its folder is touched.

On Debian 12 (Slurm 22.05): ``apt-get install slurm-wlm munge``; the services that the packages bring need not run, and
their configuration in /etc is not read. The daemons run in the foreground as children of the test, with a munge key,
sockets, ports and state of their own. It works as root and without: jobs run as whoever runs the test.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
_PATIENCE_SECONDS = 60


def missing_programs() -> list[str]:
    """What of a cluster is not installed here."""
    return [name for name in PROGRAMS if _found(name) is None]


@contextmanager
def slurm_cluster(folder: Path, *, cores: int = 2) -> Iterator[Path]:
    """Start the cluster, yield its slurm.conf, stop it.

    Args:
        folder: new; holds everything, also ``slurmctld.out`` and ``slurmd.out`` for when it does not start. Its path
            must be short (a socket's address ends at 108 characters).
        cores: that the node says it has.
    """
    folder.mkdir(mode=0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(_configuration(folder, cores))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [
        f"--socket={folder / 'munge.socket'}",
        f"--key-file={key}",
        f"--seed-file={folder / 'munge.seed'}",
    ]
    munge += [f"--pid-file={folder / 'munge.pid'}", f"--log-file={folder / 'munge.log'}"]
    with ExitStack() as daemons:
        for command in (["munged", "-F", "--force", *munge], ["slurmctld", "-D"], ["slurmd", "-D"]):
            daemons.enter_context(_daemon(command, folder, environment))
        _wait_for_node(environment, folder)
        yield conf


@contextmanager
def _daemon(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("wb") as said:
        program = str(_found(command[0]))
        process = subprocess.Popen([program, *command[1:]], stdout=said, stderr=said, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    said = "\n".join(file.read_text(errors="replace")[-2000:] for file in sorted(folder.glob("*.out")))
    raise RuntimeError(f"the node did not come up in {_PATIENCE_SECONDS} s:\n{said}")


def _configuration(folder: Path, cores: int) -> str:
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    control, node = _free_ports(2)
    lines = {
        **{"ClusterName": "gazekit", "SlurmctldHost": host, "SlurmUser": user, "SlurmdUser": user},
        **{"SlurmctldPort": control, "SlurmdPort": node, "ReturnToService": 2},
        **{"AuthType": "auth/munge", "AuthInfo": f"socket={folder / 'munge.socket'}"},
        **{"StateSaveLocation": folder / "state", "SlurmdSpoolDir": folder / "spool"},
        **{"SlurmctldPidFile": folder / "slurmctld.pid", "SlurmdPidFile": folder / "slurmd.pid"},
        # no control groups, no accounting: a container has neither
        **{"ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none", "MpiDefault": "none"},
        **{"JobAcctGatherType": "jobacct_gather/none", "AccountingStorageType": "accounting_storage/none"},
        **{"SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core"},
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,sched_min_interval=0",
        "NodeName": f"{host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN",
        "PartitionName": f"main Nodes={host} Default=YES MaxTime=INFINITE State=UP",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _free_ports(number: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
