"""Carry out the runs of a study: in this process, in child processes, or as jobs of a Slurm cluster."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gazekit.errors import ConfigurationError, Preempted
from gazekit.registry.discovery import load_registry
from gazekit.study.grid import RunTask
from gazekit.study.outcome import Outcome, in_one_line
from gazekit.study.running import carry_out


def launch(
    tasks: Sequence[RunTask],
    *,
    launcher: str,
    jobs: int,
    logs: Path,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Carry out runs and yield each as it ends; a failed one carries its reason, and the others continue.

    Args:
        tasks: the runs; each resumes where it stopped.
        launcher: ``local`` (this process for one job, child processes for more) or ``slurm``.
        jobs: runs at a time.
        logs: folder for the output of child processes and Slurm jobs; created when needed.
        should_stop: called between steps; if true, every run writes a checkpoint and ends.

    Raises:
        ConfigurationError: the launcher is unknown, or Slurm is not available.
        Preempted: stopped on request.
    """
    if launcher == "slurm":
        from gazekit.study.launch.slurm import on_slurm

        return on_slurm(tasks, jobs=jobs, logs=logs, should_stop=should_stop)
    if launcher != "local":
        raise ConfigurationError(f"launcher {launcher}: expected local or slurm")
    if jobs == 1:
        return one_after_another(tasks, should_stop=should_stop)
    from gazekit.study.launch.processes import in_processes

    return in_processes(tasks, jobs=jobs, logs=logs, should_stop=should_stop)


def one_after_another(tasks: Sequence[RunTask], *, should_stop: Callable[[], bool]) -> Iterator[Outcome]:
    """Carry out runs in this process; see ``launch``."""
    registry = load_registry()
    for done, task in enumerate(tasks):
        if should_stop():
            raise Preempted(f"stopped; {len(tasks) - done} runs are left")
        try:
            carry_out(task, registry, should_stop=should_stop)
        except Preempted:
            raise
        except Exception as error:  # an error in a component fails only its own run
            yield task, in_one_line(error, task)
        else:
            yield task, None
