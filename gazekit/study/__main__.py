"""Carry out runs of a study in a separate process: ``python -m gazekit.study TASK [--attached DESCRIPTOR]``.

TASK is a ``grid.RunTask`` as text. An attached process reads further tasks from its standard input, one per line, and
writes a byte to the descriptor for each that is done. It ends with the first that fails, and stops when its standard
input closes, so that it never outlives the one that started it.
"""

import os
import signal
import sys
import threading
import traceback
from queue import SimpleQueue

from gazekit.errors import GazekitError
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry
from gazekit.study.grid import RunTask
from gazekit.study.results.outcome import in_one_line
from gazekit.study.running import carry_out
from gazekit.training.signals import Signals, stop_on_signals


def main(text: str, done: int | None = None) -> int:
    """Carry out the task, then with ``done``, the descriptor, those of standard input; returns the exit code."""
    tasks: SimpleQueue[str] = SimpleQueue()
    with stop_on_signals() as signals:
        registry = load_registry()
        if done is not None:
            threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
        while text:
            sys.argv[1:] = [text.strip()]  # the command that the run notes
            if code := _carry_out(RunTask.from_text(text), registry, signals):
                return code
            if done is None or signals.asked():
                break
            os.write(done, b".")
            text = tasks.get()
    return 0


def _carry_out(task: RunTask, registry: Registry, signals: Signals) -> int:
    """Carry out a task; report an error in one line on stderr, with the exit codes of ``gazekit train``."""
    try:
        carry_out(task, registry, should_stop=signals.asked)
    except GazekitError as error:
        signals.explain(error, "the same study")
        print(in_one_line(error, task), file=sys.stderr)
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        print(in_one_line(error, task), file=sys.stderr)
        return GazekitError.exit_code
    return 0


def _listen(tasks: SimpleQueue[str]) -> None:
    """Pass on every line of standard input. At its end, stop the run at work; without one, the wait is over."""
    for line in sys.stdin:
        tasks.put(line)
    os.kill(os.getpid(), signal.SIGTERM)
    tasks.put("")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[3]) if "--attached" in sys.argv else None))
