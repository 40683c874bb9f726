"""How a training, a study of many, or a prediction is asked to stop."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from gazekit.errors import Preempted

_GRACE_SECONDS = 1.0
"""For the main thread to be interrupted by itself."""
_EXIT = os._exit  # while a plugin is loaded, os._exit is another


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP (a terminal that closes) asks to stop; a second SIGINT interrupts at once.

    Args:
        patient: whether there is something to bring to an end; if not, the first one ends the process.
    """

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self.received: int | None = None
        self.interrupted = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal."""
        if number == signal.SIGINT and (self.received is not None or not self.patient):
            self.interrupted = True
            raise KeyboardInterrupt
        if not self.patient:
            _end(Preempted.exit_code)  # whoever guards against a broken plugin would catch an exception
        self.received = number

    def watch(self, arrived: int) -> None:
        """End the process where the main thread cannot, as it waits in native code for a process that never comes.

        Args:
            arrived: file descriptor from which the number of each signal can be read as a byte.
        """
        while number := os.read(arrived, 1):
            if number[0] == signal.SIGINT:
                time.sleep(_GRACE_SECONDS)
                if not self.patient and not self.interrupted:
                    _end(130)
            elif not self.patient:
                _end(Preempted.exit_code)

    def asked(self) -> bool:
        """Whether to stop."""
        return self.received is not None

    def explain(self, error: Exception, command: str) -> None:
        """Give a requested stop its exit code (130 after SIGINT, else 75) and the command to go on with."""
        if isinstance(error, Preempted):
            error.args = (f"{error}; go on with: {command}",)
            error.exit_code = 130 if self.received == signal.SIGINT else Preempted.exit_code


def _end(code: int) -> NoReturn:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, b"stopped before the first step\n")
    _EXIT(code)


@contextmanager
def stop_on_signals(*, patient: bool = True) -> Iterator[Signals]:
    """Install the handlers for the time of the work."""
    signals = Signals(patient=patient)
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup has it ignored
        numbers.append(hangup)
    before = {number: signal.signal(number, signals) for number in numbers}
    arrived, arriving = os.pipe()
    os.set_blocking(arriving, False)
    before_that = signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
    watch = threading.Thread(target=signals.watch, args=(arrived,), daemon=True)
    watch.start()
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(before_that)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(arriving)
        watch.join(2 * _GRACE_SECONDS)
        os.close(arrived)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the work by SystemExit, code 143 as the shell has it, so that what is open is closed."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
