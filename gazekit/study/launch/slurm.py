"""Carry out the runs of a study as jobs of a Slurm cluster, through submitit.

Partition, account, time limit and other cluster settings come from the variables that sbatch reads
(SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, …). A job requests OMP_NUM_THREADS cores, and a GPU if the
run needs one. The study directory must be visible on the nodes.
"""

import os
import secrets
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.disk.atomic import disk_errors, own_folder
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, Preempted
from gazekit.registry.distribution import install_command
from gazekit.study.grid import RunTask
from gazekit.study.results.outcome import STOPPED, Outcome, in_one_line

if TYPE_CHECKING:
    from submitit import SlurmExecutor
    from submitit.core.core import Job

    Jobs = dict[RunTask, "Job[str | None]"]

_CORES = "2"
_LOOK_SECONDS = 2.0
_PATIENCE_SECONDS = 300
"""Seconds for cancelled jobs to write a checkpoint; Slurm's own KillWait is shorter."""
_MOST_STOPS = 50
"""Time limits in a row after which a run is given up."""


def on_slurm(
    tasks: Sequence[RunTask], *, jobs: int, logs: Path, should_stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Carry out runs as jobs; see ``launch.launch``. A job stopped by its time limit or by others is resubmitted.

    No more jobs than asked for are submitted at a time: the limit of an array does not hold for resubmitted jobs, and
    a cluster refuses long arrays.
    """
    executor = _executor(tasks, jobs, logs)
    waiting = deque(tasks)
    left: Jobs = {}
    stops: Counter[RunTask] = Counter()
    try:
        while waiting or left:
            if should_stop():
                raise Preempted(f"stopped; {counted(len(waiting) + len(left), 'run')} left")
            free = min(jobs - len(left), len(waiting))
            if free:
                left |= _submit(executor, [waiting.popleft() for _ in range(free)])
            for task, reason in _ended(left, executor.folder):
                del left[task]
                stops[task] += reason == STOPPED
                if reason == STOPPED and stops[task] < _MOST_STOPS:
                    waiting.appendleft(task)
                else:
                    yield task, reason
            time.sleep(_LOOK_SECONDS)
    finally:
        _cancel(left)


def carry_out_as_job(task: RunTask) -> str | None:
    """Carry out a run on the node; return None, or in one line why it did not finish."""
    from gazekit.study.running import carry_out
    from gazekit.training.signals import stop_on_signals

    with stop_on_signals() as signals:
        signal.signal(signal.SIGUSR2, signals)  # Slurm sends it shortly before the time limit
        try:
            carry_out(task, should_stop=signals.asked)
        except Preempted:
            return STOPPED
        except Exception as error:  # an error in a component fails only its own run
            return in_one_line(error, task)
    return None


def _executor(tasks: Sequence[RunTask], jobs: int, logs: Path) -> "SlurmExecutor":
    try:
        from submitit import SlurmExecutor
    except ImportError:
        raise ConfigurationError(
            f"--launcher slurm needs submitit; install it with: {install_command('slurm')}"
        ) from None
    try:
        executor = SlurmExecutor(_new_folder(logs))
    except RuntimeError:
        raise ConfigurationError(
            "--launcher slurm: srun not found; start it on a node of the cluster"
        ) from None
    executor.update_parameters(
        job_name="gazekit",
        time=None,  # the partition's, or SBATCH_TIMELIMIT; submitit's own would be 5 minutes
        cpus_per_task=int(os.environ.get("OMP_NUM_THREADS", _CORES)),
        gpus_per_node=1 if any(task.device == "cuda" for task in tasks) else None,
        array_parallelism=jobs,  # submitit's own would be 256
        # we resubmit ourselves; two resubmissions would train a run twice
        additional_parameters={"no-requeue": True},
    )
    return executor


def _new_folder(logs: Path) -> Path:
    """Make a new folder for logs: results are pickles, and we must not open one that was there before."""
    folder = own_folder(own_folder(logs) / "slurm") / secrets.token_hex(4)
    with disk_errors(folder):
        folder.mkdir()
    return folder


def _submit(executor: "SlurmExecutor", tasks: Sequence[RunTask]) -> "Jobs":
    from submitit.core.utils import FailedJobError

    try:
        return dict(zip(tasks, executor.map_array(carry_out_as_job, tasks), strict=True))
    except FailedJobError as error:
        raise ConfigurationError(f"sbatch refuses the job: {' '.join(str(error).split())}") from None


def _ended(left: "Jobs", folder: Path) -> list[Outcome]:
    """Find runs whose job has left a result or vanished without one."""
    from submitit.core.utils import pickle_load

    queued = _queued()  # queried first: a job that ends afterwards is still in it
    files = {file.name for file in folder.iterdir()}  # a listing is fresh on network file systems too
    ended: list[Outcome] = []
    for task, job in left.items():
        if job.paths.result_pickle.name in files:
            outcome, result = pickle_load(job.paths.result_pickle)
            ended.append((task, result if outcome == "success" else _last_line(str(result))))
        elif queued is not None and job.job_id not in queued:
            ended.append((task, f"its Slurm job {job.job_id} was lost: {_last_line(job.stderr() or '')}"))
    return ended


def _queued() -> set[str] | None:
    """List jobs that Slurm knows as pending, running or ending; None if it does not answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(asked.stdout.split()) if asked.returncode == 0 else None


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "it said nothing")


def _cancel(left: "Jobs") -> None:
    """Cancel all jobs and wait until running ones have written a checkpoint and ended."""
    for job in left.values():
        job.cancel(check=False)
    until = time.monotonic() + _PATIENCE_SECONDS
    ids = {job.job_id for job in left.values()}
    while ids & (_queued() or set()) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
