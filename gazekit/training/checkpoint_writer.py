"""Write checkpoints behind the training: it copies what they hold, and goes on while a thread writes."""

import threading
import time
from collections.abc import Callable

_QUICK = 0.1
"""Seconds that a checkpoint may always take after an epoch, however short the epoch."""
_SHARE = 0.1


class CheckpointWriter:
    """Write one checkpoint after another in a thread.

    One is due after each epoch, as long as writing takes at most a tenth of the run: writing a large model can take
    longer than an epoch of few exams on a GPU, and on a CPU it takes time from the training. What writing raises, the
    next call raises.
    """

    def __init__(self) -> None:
        self.took = 0.0
        self.ended = time.monotonic()
        self.thread: threading.Thread | None = None
        self.error: BaseException | None = None

    def due(self) -> bool:
        """Say whether a checkpoint is due now."""
        if self.thread is not None and self.thread.is_alive():
            return False
        return self.took < _QUICK or time.monotonic() - self.ended > self.took * (1 - _SHARE) / _SHARE

    def begin(self, write: Callable[[], None]) -> None:
        """Write, after waiting for the checkpoint before."""
        self.wait()
        # a daemon: whoever interrupts the process a second time does not wait for a disk
        self.thread = threading.Thread(target=self._write, args=(write,), daemon=True)
        self.thread.start()

    def _write(self, write: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            write()
        except BaseException as error:  # the thread of the training raises it
            self.error = error
        self.ended = time.monotonic()
        self.took = self.ended - began

    def check(self) -> None:
        """Raise what writing has raised, without waiting for it."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def wait(self) -> None:
        """Wait until all is written."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        self.check()
