"""Carry out the runs of a study by the launcher that is asked for, such as this process and its children."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gazekit.disk.wording import counted
from gazekit.errors import Preempted
from gazekit.registry.discovery import load_registry
from gazekit.study.grid import RunTask
from gazekit.study.launch.launchers import launcher_of
from gazekit.study.results.outcome import Outcome, in_one_line
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
        launcher: a name of ``launchers.LAUNCHERS``.
        jobs: runs at a time.
        logs: folder for the output of child processes and of jobs elsewhere; created when needed.
        should_stop: called between steps; if true, every run writes a checkpoint and ends.

    Raises:
        ConfigurationError: the launcher is unknown, or Slurm or Ray is not available.
        Preempted: stopped on request.
    """
    chosen = launcher_of(launcher)
    module = importlib.import_module(f"{__package__}.{chosen.module}")
    outcomes: Iterator[Outcome] = getattr(module, chosen.function)(
        tasks, jobs=jobs, logs=logs, should_stop=should_stop
    )
    return outcomes


def on_this_machine(
    tasks: Sequence[RunTask], *, jobs: int, logs: Path, should_stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Carry out runs in this process for one job, in child processes for more; see ``launch``."""
    if jobs == 1:
        return one_after_another(tasks, should_stop=should_stop)
    from gazekit.study.launch.processes import in_processes

    return in_processes(tasks, jobs=jobs, logs=logs, should_stop=should_stop)


def one_after_another(tasks: Sequence[RunTask], *, should_stop: Callable[[], bool]) -> Iterator[Outcome]:
    """Carry out runs in this process; see ``launch``."""
    registry = load_registry()
    for done, task in enumerate(tasks):
        if should_stop():
            raise Preempted(f"stopped; {counted(len(tasks) - done, 'run')} left")
        try:
            carry_out(task, registry, should_stop=should_stop)
        except Preempted:
            raise
        except Exception as error:  # an error in a component fails only its own run
            yield task, in_one_line(error, task)
        else:
            yield task, None
