"""Finding the plugins of all installed distributions."""

import difflib
import inspect
import os
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import pluggy

from gazekit import hookspecs
from gazekit.component import Failure, Provenance, one_line
from gazekit.errors import ConfigurationError
from gazekit.registry import HOOKS, Registry


def load_registry(disable: Iterable[str] = ()) -> Registry:
    """Find the plugins of all installed distributions; one that fails is reported in ``failures``.

    Args:
        disable: distributions or entry-point names to leave out, beside those of ``GAZEKIT_DISABLE``
            (separated by commas).
    """
    manager = pluggy.PluginManager("gazekit")
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager)
    unwanted = {*disable, *filter(None, os.environ.get("GAZEKIT_DISABLE", "").split(","))}
    for entry in sorted(entry_points(group="gazekit"), key=lambda e: (e.dist.name if e.dist else "", e.name)):
        origin = Provenance(
            entry.name,
            entry.dist.name if entry.dist else "unknown",
            entry.dist.version if entry.dist else "?",
        )
        if unwanted & {origin.distribution, origin.plugin}:
            registry.disabled += (origin,)
            continue
        _register(registry, entry, origin)
    return registry


def _register(registry: Registry, entry: EntryPoint, origin: Provenance) -> None:
    key = f"{origin.distribution}:{origin.plugin}"
    plugin = None
    try:
        plugin = entry.load()
        registry.manager.register(plugin, name=key)
        _check_hooks(registry.manager, plugin)
        registry.provenance[key] = origin
    except (Exception, SystemExit) as error:
        if registry.manager.has_plugin(key):
            registry.manager.unregister(name=key)
        registry.failures.append(Failure(origin, f"entry point '{entry.value}'", one_line(error)))


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise if the plugin implements a hook that does not exist, or forgot the marker."""
    known = tuple(HOOKS.values())
    for caller in manager.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            raise ConfigurationError(f"no hook '{caller.name}'{_near(caller.name, known)}")
    marked = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    for name, value in vars(plugin).items():
        if name.startswith("gazekit_") and inspect.isroutine(value) and name not in marked:
            raise ConfigurationError(f"function '{name}' lacks the marker @gazekit.hookimpl")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; the hooks are: {', '.join(known)}"
