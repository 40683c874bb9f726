"""Code that is not ours: run with a limit, kept off standard output, and named when it fails."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gazekit.errors import GazekitError, PluginError
from gazekit.registry.component import OWN, Provenance, one_line
from gazekit.registry.time_limit import time_limit

if TYPE_CHECKING:
    from gazekit.registry.registry import Registry


@contextmanager
def foreign_code(origin: Provenance) -> Iterator[None]:
    """Import a plugin or call its hook: at most ``GAZEKIT_PLUGIN_TIMEOUT`` seconds (60), its prints to stderr.

    gazekit's own have no limit: they hang nowhere, and on a busy machine the packages that they import take long.
    """
    if origin.distribution == OWN:
        with redirect_stdout(sys.stderr):
            yield
        return
    with time_limit(_limit()), redirect_stdout(sys.stderr), _no_exit():
        yield


@contextmanager
def _no_exit() -> Iterator[None]:
    """Let ``os._exit`` raise: it would end the process as if its work were done, and say nothing."""

    def refuse(status: int) -> NoReturn:
        raise RuntimeError(f"calls os._exit({status!r}), which would end gazekit")

    before, os._exit = os._exit, refuse
    try:
        yield
    finally:
        os._exit = before


def _limit() -> float:
    try:
        return max(float(os.environ.get("GAZEKIT_PLUGIN_TIMEOUT", "60")), 1e-3)
    except ValueError:
        return 60.0


@contextmanager
def blaming(registry: "Registry") -> Iterator[None]:
    """Turn an exception that arose in the code of a plugin not ours into a PluginError that names it."""
    try:
        yield
    except GazekitError:
        raise
    except Exception as error:
        culprit = culprit_of(error, registry)
        if culprit is None:
            raise
        origin, where = culprit
        raise PluginError(f"plugin '{origin.plugin}' of {origin}: {where}: {one_line(error)}") from error


def culprit_of(error: BaseException, registry: "Registry") -> tuple[Provenance, str] | None:
    """The plugin, not ours, in whose code an exception arose, and its line there; None if it is none's."""
    owners = {
        package: origin for package, origin in registry.packages().items() if origin.distribution != OWN
    }
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        origin = owners.get(frame.f_globals.get("__name__", "").partition(".")[0])
        if origin is not None:
            return origin, f"{Path(frame.f_code.co_filename).name}:{line}"
    return None
