"""Isolate foreign code: limit its time, keep its prints off standard output, name it when it fails."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gazekit.errors import GazekitError, PluginError
from gazekit.registry.component import OWN, Provenance, one_line
from gazekit.registry.time_limit import time_limit

if TYPE_CHECKING:
    from gazekit.registry.registry import Registry


@contextmanager
def foreign_code(origin: Provenance, *, limited: bool = True) -> Iterator[None]:
    """Import a plugin or call its code: at most ``GAZEKIT_PLUGIN_TIMEOUT`` seconds (60), with prints to stderr.

    gazekit's own plugins have no limit: they do not hang, and imports can take long on a busy machine. Nor has what is
    not ``limited``.

    Raises: RuntimeError if the code has changed what all code shares, which is restored; see ``_shared``.
    """
    if origin.distribution == OWN:
        with redirect_stdout(sys.stderr):
            yield
        return
    limit = time_limit(_limit()) if limited else nullcontext()
    with _shared_restored(), limit, redirect_stdout(sys.stderr), _no_exit():
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


@contextmanager
def _shared_restored() -> Iterator[None]:
    """Restore what all code shares, and raise RuntimeError for code that has changed it and not failed otherwise.

    NumPy's handling of errors is restored without a word: libraries change it when they are imported.
    """
    before = _shared()
    try:
        yield
    finally:
        now = _shared()
        changed = [name for name, value in before.items() if now.get(name) != value]
        if changed:
            _restore(before)
    if changed := [name for name in changed if name != _NUMPY]:
        raise RuntimeError(f"changes {' and '.join(changed)}, which all other code shares")


def _shared() -> dict[str, Any]:
    """The working directory, and settings of torch and NumPy, as they are by default where these are not imported."""
    torch: Any = sys.modules.get("torch")
    numpy: Any = sys.modules.get("numpy")
    found: dict[str, Any] = {
        "torch's default dtype": "float32" if torch is None else str(torch.get_default_dtype()).split(".")[1],
        "torch's default device": "cpu" if torch is None else _default_device(torch),
        "torch's gradient mode": torch is None or torch.is_grad_enabled(),
        _NUMPY: _ERRORS if numpy is None else numpy.geterr(),
    }
    with suppress(FileNotFoundError):  # it was removed
        found["the working directory"] = Path.cwd()
    return found


def _default_device(torch: Any) -> str:
    try:
        return str(torch.get_default_device())
    except Exception:  # torch tries a device that has no number, and this machine may have none
        return "one that is not there"


_NUMPY = "NumPy's handling of errors"
_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _restore(shared: dict[str, Any]) -> None:
    if "the working directory" in shared:
        os.chdir(shared["the working directory"])
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(getattr(torch, shared["torch's default dtype"]))
        device = shared["torch's default device"]
        torch.set_default_device(None if device == "cpu" else device)
        torch.set_grad_enabled(shared["torch's gradient mode"])
    if numpy := sys.modules.get("numpy"):
        numpy.seterr(**shared[_NUMPY])


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
