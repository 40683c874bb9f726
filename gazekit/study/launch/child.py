"""A child process that carries out the runs of a study one after another, so that its start is paid for once."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gazekit.disk.atomic import disk_errors
from gazekit.errors import ConfigurationError, Preempted
from gazekit.study.grid import RunTask
from gazekit.study.outcome import STOPPED

_SAID = 2**16
"""Bytes at the end of a log that are searched for the reason of a failure."""


class Child:
    """A process that has a run at work, or waits for the next; it ends with a run that fails.

    Args:
        task: the first run.
        resting_log: file for its output while it waits; beside it is the log of the run at work, named after that.
        environment: of the process.

    Raises:
        ConfigurationError: no further process can be started.
        StorageError: the log cannot be written.
    """

    def __init__(self, task: RunTask, resting_log: Path, environment: Mapping[str, str]) -> None:
        self.task, self._resting_log = task, resting_log
        self.log = self._log_of(task)
        with disk_errors(self.log):
            self.log.unlink(missing_ok=True)  # if it is a link, do not write through it
            said = open(self.log, "xb", opener=_appending)  # noqa: SIM115
        self._done, done = os.pipe()  # brings a byte for each run that is done
        with said:
            try:
                self.process = subprocess.Popen(
                    [*task.command(), "--attached", str(done)],
                    stdin=subprocess.PIPE,  # brings further runs; when it closes, the child knows we are gone
                    stdout=said,
                    stderr=said,
                    pass_fds=(done,),
                    env={
                        **environment,
                        "PYTHONUNBUFFERED": "1",
                    },  # so that a log ends with the latest message
                    start_new_session=True,  # we pass on keyboard interrupts ourselves
                )
            except OSError as error:
                os.close(self._done)
                raise ConfigurationError(
                    f"no process can be started for {task.system} {task.name}: {error.strerror}; choose fewer --jobs"
                ) from None
            finally:
                os.close(done)

    def waits(self) -> bool:
        """Whether its run is done and it waits for the next one; true once for each run."""
        if not (select.select([self._done], [], [], 0)[0] and os.read(self._done, 1)):
            return False
        with disk_errors(self.log):
            os.truncate(self.log, 0)
            self.log = self.log.replace(self._resting_log)
        return True

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def take(self, task: RunTask) -> bool:
        """Begin the next run; False if the process is gone."""
        assert self.process.stdin
        if self.has_ended():
            return False
        try:
            self.process.stdin.write(f"{task.to_text()}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        with disk_errors(self.log):
            self.task, self.log = task, self.log.replace(self._log_of(task))
        return True

    def reason(self) -> str | None:
        """Say why the run that ended last has failed; None, and no log, if it did not."""
        code = self.process.returncode
        if code is None:
            return None
        if code == 0:
            self.log.unlink(missing_ok=True)
            return None
        if code in (Preempted.exit_code, 130):
            return STOPPED
        if code < 0:
            hint = ": memory may have run out" if -code == signal.SIGKILL else ""
            return f"its process was killed by {signal.Signals(-code).name}{hint}"
        with self.log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _SAID, 0))
            lines = file.read().decode(errors="replace").split("\n")
        return next(
            (line.strip() for line in reversed(lines) if line.strip()), f"ended with exit code {code}"
        )

    def stop(self) -> None:
        """Ask its run to write a checkpoint and end."""
        self.process.terminate()

    def close(self, patience: float) -> None:
        """Wait for its end, and kill it when the seconds are over. It ends by itself if it has no run at work."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._done)
        self._resting_log.unlink(missing_ok=True)

    def _log_of(self, task: RunTask) -> Path:
        return self._resting_log.with_name(f"{task.system}-{task.name}.log")


def _appending(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_APPEND, 0o666)
