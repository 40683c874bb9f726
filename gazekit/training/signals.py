"""How a training, a study of many, or a prediction is asked to stop."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gazekit.errors import Preempted


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP (a terminal that closes) asks to stop; a second SIGINT interrupts at once.

    Args:
        patient: whether there is something to bring to an end; if not, the first one ends the process.
    """

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self.received: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal."""
        if number == signal.SIGINT and (self.received is not None or not self.patient):
            raise KeyboardInterrupt
        if not self.patient:
            os.write(2, b"stopped before the first step\n")
            os._exit(Preempted.exit_code)  # whoever guards against a broken plugin would catch an exception
        self.received = number

    def asked(self) -> bool:
        """Whether to stop."""
        return self.received is not None

    def explain(self, error: Exception, command: str) -> None:
        """Give a requested stop its exit code (130 after SIGINT, else 75) and the command to go on with."""
        if isinstance(error, Preempted):
            error.args = (f"{error}; go on with: {command}",)
            error.exit_code = 130 if self.received == signal.SIGINT else Preempted.exit_code


@contextmanager
def stop_on_signals(*, patient: bool = True) -> Iterator[Signals]:
    """Install the handlers for the time of the work."""
    signals = Signals(patient=patient)
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup has it ignored
        numbers.append(hangup)
    before = {number: signal.signal(number, signals) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the work by SystemExit, code 143 as the shell has it, so that what is open is closed."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
