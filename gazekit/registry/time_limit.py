"""Limit how long foreign code may take."""

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(BaseException):
    """The time limit is over; not an ``Exception``, so that the code does not catch it by accident."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the block after ``seconds``, again each second in case it is swallowed.

    Native code that lets no Python run cannot be interrupted; after twice that time it ends the process with exit code
    1 and a traceback that shows where it hangs. The limit works in the main thread on POSIX; elsewhere there is none.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"took longer than {seconds:g} s; GAZEKIT_PLUGIN_TIMEOUT sets another limit")

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, over)
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(2 * seconds, exit=True, file=sys.__stderr__)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
        if remaining:  # an alarm set by other code
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - began), 1e-3), interval)
