"""Isolate foreign code: limit its time, keep its prints off standard output, name it when it fails."""

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
    """Import a plugin or call its hook: at most ``GAZEKIT_PLUGIN_TIMEOUT`` seconds (60), with prints to stderr.

    gazekit's own plugins have no limit: they do not hang, and imports can take long on a busy machine.
    """
    if origin.distribution == OWN:
        with redirect_stdout(sys.stderr):
            yield
        return
    with time_limit(_limit()), redirect_stdout(sys.stderr), _no_exit():
        yield


@contextmanager
def _no_exit() -> Iterator[None]:
    """Make ``os._exit`` raise: otherwise a plugin could end the process silently, as if it had succeeded."""

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
    """Turn an exception raised in a foreign plugin's code into a PluginError that names the plugin."""
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
    """Return the foreign plugin in whose code an exception arose, and the line; None if there is none."""
    owners = {
        package: origin for package, origin in registry.packages().items() if origin.distribution != OWN
    }
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        origin = owners.get(frame.f_globals.get("__name__", "").partition(".")[0])
        if origin is not None:
            return origin, f"{Path(frame.f_code.co_filename).name}:{line}"
    return None
