"""``python -m gazekit.study TASK``: carry out one run of a study in a process of its own; see ``grid.RunTask``."""

import sys

from gazekit.errors import GazekitError
from gazekit.study.grid import RunTask
from gazekit.study.running import carry_out
from gazekit.training.signals import stop_on_signals


def main(text: str) -> int:
    """Carry out the task; a fault is one line on stderr, the exit code that of ``gazekit train``."""
    task = RunTask.from_text(text)
    with stop_on_signals() as signals:
        try:
            carry_out(task, should_stop=signals.asked)
        except GazekitError as error:
            signals.explain(error, "the same study")
            print(" ".join(str(error).split()), file=sys.stderr)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
