"""Carry out one run of a study in a separate process: ``python -m gazekit.study TASK [--attached]``.

TASK is a ``grid.RunTask`` as text. An attached process stops when its standard input closes, so that it never
outlives the one that started it.
"""

import os
import signal
import sys
import threading
import traceback

from gazekit.errors import GazekitError
from gazekit.study.grid import RunTask
from gazekit.study.outcome import in_one_line
from gazekit.study.running import carry_out
from gazekit.training.signals import stop_on_signals


def main(text: str, *, attached: bool = False) -> int:
    """Carry out the task; report an error in one line on stderr, with the exit codes of ``gazekit train``."""
    task = RunTask.from_text(text)
    with stop_on_signals() as signals:
        if attached:
            threading.Thread(target=_stop_with_parent, daemon=True).start()
        try:
            carry_out(task, should_stop=signals.asked)
        except GazekitError as error:
            signals.explain(error, "the same study")
            print(in_one_line(error, task), file=sys.stderr)
            return error.exit_code
        except Exception as error:
            traceback.print_exc()
            print(in_one_line(error, task), file=sys.stderr)
            return GazekitError.exit_code
    return 0


def _stop_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], attached="--attached" in sys.argv))
