"""A child process that carries out the runs of a study one after another, so that its start is paid for once."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gazekit.disk.atomic import disk_errors
from gazekit.errors import ConfigurationError, Preempted
from gazekit.study.grid import RunTask
from gazekit.study.results.outcome import STOPPED

_SAID = 2**16
"""Bytes at the end of a log that are searched for the reason of a failure."""


class Child:
    """A process that carries out a run and then waits for the next; it ends with a run that fails.

    Args:
        task: the first run.
        log: file for its output, emptied before each run, and removed with the process.
        environment: of the process.

    Raises:
        ConfigurationError: no further process can be started.
        StorageError: the log cannot be written.
    """

    def __init__(self, task: RunTask, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with disk_errors(log):
            log.unlink(missing_ok=True)  # if it is a link, do not write through it
            self._said = open(log, "xb", opener=_appending)  # noqa: SIM115
        self._done, done = os.pipe()  # brings a byte for each run that is done
        os.set_blocking(self._done, False)
        try:
            self.process = subprocess.Popen(
                [*task.command(), "--attached", str(done)],
                stdin=subprocess.PIPE,  # brings further runs; when it closes, the child knows we are gone
                stdout=self._said,
                stderr=self._said,
                pass_fds=(done,),
                env={**environment, "PYTHONUNBUFFERED": "1"},  # so that a log ends with the latest message
                start_new_session=True,  # we pass on keyboard interrupts ourselves
            )
        except OSError as error:
            os.close(self._done)
            self._said.close()
            raise ConfigurationError(
                f"no process can be started for {task.system} {task.name}: {error.strerror}; choose fewer --jobs"
            ) from None
        finally:
            os.close(done)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def hears_of_end(self) -> bool:
        """Whether it has said, since the last call, that its run is done."""
        try:
            return bool(os.read(self._done, 1))
        except BlockingIOError:
            return False

    def take(self, task: RunTask) -> bool:
        """Begin the next run; False if the process is gone."""
        assert self.process.stdin
        if self.has_ended():
            return False
        self._said.truncate(0)
        try:
            self.process.stdin.write(f"{task.to_text()}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def reason(self, task: RunTask) -> str | None:
        """Say why its run has failed, once the process is gone; None if it did not.

        The output then stays in a log beside the process's own, named after the run.
        """
        code = self.process.returncode
        if code == 0:
            return None
        lines = [""]
        with suppress(FileNotFoundError):  # somebody has cleaned up
            log = self._log.replace(self._log.with_name(f"{task.system}-{task.name}.log"))
            with log.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _SAID, 0))
                lines = file.read().decode(errors="replace").split("\n")
        if code in (Preempted.exit_code, 130):
            return STOPPED
        if code < 0:
            hint = ": memory may have run out" if -code == signal.SIGKILL else ""
            return f"its process was killed by {signal.Signals(-code).name}{hint}"
        return next(
            (line.strip() for line in reversed(lines) if line.strip()), f"ended with exit code {code}"
        )

    def stop(self) -> None:
        """Ask its run to write a checkpoint and end."""
        self.process.terminate()

    def let_go(self) -> None:
        """Close its input: the process ends when it waits for a run, and else as after ``stop``."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def close(self, patience: float) -> None:
        """Let it go, wait for its end, and kill it when the seconds are over."""
        self.let_go()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._done)
        self._said.close()
        self._log.unlink(missing_ok=True)


def _appending(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_APPEND, 0o666)
