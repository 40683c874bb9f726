"""How a run of a study ended, in one line."""

from gazekit.errors import GazekitError
from gazekit.study.grid import RunTask

Outcome = tuple[RunTask, str | None]
"""A run that has ended: None if it is finished, else why it is not."""

STOPPED = "was stopped from outside before its end; the same command goes on with it"


def in_one_line(error: BaseException, task: RunTask) -> str:
    """The whole of an error that we word ourselves; of any other its kind and the first line it says.

    The path of the run is left out: a reason names its run, and several runs may have the same.
    """
    if isinstance(error, GazekitError):
        return " ".join(str(error).split()).replace(f"{task.path}: ", "")
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
