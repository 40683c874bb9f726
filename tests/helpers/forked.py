"""A new Python without its start: a fork of this process, which has imported torch and gazekit, runs the module."""

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from gazekit.study.launch import child


def run_module(command: Sequence[str], environment: dict[str, str]) -> None:
    """In a fork: do what ``python -m MODULE ARGUMENTS…`` does, and end the process with its exit code."""
    python, flag, module, *arguments = command
    assert (python, flag) == (sys.executable, "-m")
    code: Any = 99
    try:
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = (open(fd, mode) for fd, mode in enumerate("rww"))  # noqa: SIM115, PTH123
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):  # what they write to may be gone; who gets here must not go on with the tests
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


class Forked(subprocess.Popen[Any]):
    """``subprocess.Popen`` of such a command: what it would execute, a fork of this process runs."""

    def __init__(self, command: Sequence[str], *, env: dict[str, str], **options: Any) -> None:
        begin = partial(self._begin, command, env, options.get("pass_fds", ()))
        super().__init__(command, preexec_fn=begin, **options)  # tests have no threads that hold locks

    @staticmethod
    def _begin(command: Sequence[str], environment: dict[str, str], kept: Sequence[int]) -> None:
        for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208
            if number > 2 and number not in kept:
                with suppress(OSError):  # the one that lists them is gone already
                    os.close(number)
        run_module(command, environment)


def fork_children(patch: pytest.MonkeyPatch) -> None:
    """Let a study fork its child processes from this one."""
    patch.setattr(child, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": Forked}))
