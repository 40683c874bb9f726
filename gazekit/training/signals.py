"""How a training, or a study of many, is asked to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gazekit.errors import Preempted


class Signals:
    """The first SIGINT or SIGTERM asks to stop; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal."""
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def asked(self) -> bool:
        """Whether to stop."""
        return self.received is not None

    def explain(self, error: Exception, command: str) -> None:
        """Give a requested stop its exit code (130 after SIGINT, 75 after SIGTERM) and the command to go on with."""
        if isinstance(error, Preempted):
            error.args = (f"{error}; go on with: {command}",)
            error.exit_code = 130 if self.received == signal.SIGINT else 75


@contextmanager
def stop_on_signals() -> Iterator[Signals]:
    """Install the handlers for the time of the work."""
    signals = Signals()
    before = {number: signal.signal(number, signals) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
