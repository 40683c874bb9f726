"""Describe in one line how a run of a study ended."""

from gazekit.errors import GazekitError
from gazekit.study.grid import RunTask

Outcome = tuple[RunTask, str | None]
"""An ended run: None if it finished, else the reason why not."""

STOPPED = "was stopped from outside before its end; the same command resumes it"


def in_one_line(error: BaseException, task: RunTask) -> str:
    """Return gazekit's own errors in full, and the type and first line of any other error.

    The run's path is removed: each reason is listed with its run, and several runs may share a reason.
    """
    if isinstance(error, GazekitError):
        return " ".join(str(error).split()).replace(f"{task.path}: ", "")
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
