"""Write checkpoints in a thread while the training goes on."""

import threading
import time
from collections.abc import Callable

_QUICK = 0.1
"""Seconds that a checkpoint may always take after an epoch, however short the epoch."""
_SHARE = 0.1
_LOOK_SECONDS = 0.2


class CheckpointWriter:
    """Write one checkpoint after another in a thread.

    One is due after each epoch, as long as writing them takes at most a tenth of the run: writing a large model can
    take longer than an epoch of few exams on a GPU, and on a CPU it takes time from the training. ``check``, ``begin``
    and ``wait`` raise the error of a checkpoint that could not be written.
    """

    def __init__(self) -> None:
        self.took = 0.0
        self.ended = time.monotonic()
        self.error: BaseException | None = None
        self.done, self.given_up = threading.Event(), threading.Event()
        self.done.set()

    def due(self) -> bool:
        """Say whether a checkpoint is due after the epoch that ends now."""
        if not self.done.is_set():
            return False
        return self.took < _QUICK or time.monotonic() - self.ended > self.took * (1 - _SHARE) / _SHARE

    def begin(self, write: Callable[[], None], *, timed: bool = True) -> None:
        """Begin to write, after waiting for the checkpoint before.

        Args:
            write: may ask ``abandoned`` whether to go on.
            timed: whether the time that it takes counts for the next one to be due.
        """
        self.wait()
        # a daemon: a process that ends does not wait for a disk that has gone
        thread = threading.Thread(target=self._write, args=(write, timed), daemon=True)
        self.done.clear()
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:  # it does not run
                self.done.set()
            raise

    def _write(self, write: Callable[[], None], timed: bool) -> None:
        began = time.monotonic()
        try:
            write()
        except BaseException as error:  # the thread of the training raises it
            self.error = error
        if timed:
            self.ended = time.monotonic()
            self.took = self.ended - began
        self.done.set()

    def check(self) -> None:
        """Raise the error of a checkpoint that could not be written, without waiting for one that is being written."""
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error  # its traceback names this frame

    def wait(self) -> None:
        """Wait until all is written."""
        self._until_done()
        self.check()

    def abandon(self) -> None:
        """End the writing where it is, and wait until it has ended: nothing is written after the call."""
        self.given_up.set()
        self._until_done()

    def _until_done(self) -> None:
        # not Thread.join: interrupted once, it takes the thread for ended; and not one long wait: where signals restart
        # system calls, as asyncio has it, an interrupt would come only at its end
        while not self.done.wait(_LOOK_SECONDS):
            pass

    def abandoned(self) -> bool:
        """Say whether writing is to end where it is."""
        return self.given_up.is_set()
