"""Let signals stop a training, study or prediction."""

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
"""Seconds for the main thread to handle an interrupt itself."""
_EXIT = os._exit  # os._exit is replaced while a plugin loads


class Signals:
    """Request a stop on the first SIGINT, SIGTERM or SIGHUP (terminal closed); a second SIGINT interrupts at once.

    Args:
        patient: whether there is work to finish; if not, the first signal ends the process.
    """

    def __init__(self, *, patient: bool) -> None:
        self.patient = patient
        self.received: int | None = None
        self.interrupted = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Record the signal."""
        if number == signal.SIGINT and (self.received is not None or not self.patient):
            self.interrupted = True
            raise KeyboardInterrupt
        if not self.patient:
            _end(Preempted.exit_code)  # an exception would be caught by the guards against broken plugins
        self.received = number

    def watch(self, arrived: int) -> None:
        """End the process if the main thread cannot, for instance while native code waits for a lost process.

        Args:
            arrived: file descriptor that delivers each signal's number as a byte.
        """
        while number := os.read(arrived, 1):
            if number[0] == signal.SIGINT:
                time.sleep(_GRACE_SECONDS)
                if not self.patient and not self.interrupted:
                    _end(130)
            elif not self.patient:
                _end(Preempted.exit_code)

    def asked(self) -> bool:
        """Say whether a stop was requested."""
        return self.received is not None

    def explain(self, error: Exception, command: str) -> None:
        """Give a requested stop its exit code (130 after SIGINT, else 75) and the command to resume."""
        if isinstance(error, Preempted):
            error.args = (f"{error}; go on with: {command}",)
            error.exit_code = 130 if self.received == signal.SIGINT else Preempted.exit_code


def _end(code: int) -> NoReturn:
    with suppress(OSError):  # the terminal may be closed
        os.write(2, b"stopped before the first step\n")
    _EXIT(code)


@contextmanager
def stop_on_signals(*, patient: bool = True) -> Iterator[Signals]:
    """Install the handlers within the block."""
    signals = Signals(patient=patient)
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup ignores it
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
    """Turn SIGTERM into SystemExit with the shell's code 143, so that open files are closed."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
