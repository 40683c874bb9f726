"""Find the plugins of all installed distributions."""

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, distributions

import pluggy

from gazekit import __version__
from gazekit.contracts import hookspecs
from gazekit.disk.suggestion import did_you_mean
from gazekit.errors import ConfigurationError
from gazekit.registry.component import OWN, Failure, Provenance, one_line
from gazekit.registry.distribution import FORMER, GROUP, is_own, normalised
from gazekit.registry.isolation import foreign_code
from gazekit.registry.registry import HOOKS, Registry

ALL_FOREIGN = "*"
"""In ``GAZEKIT_DISABLE``: every plugin except gazekit's own."""


def load_registry(disable: Iterable[str] = ()) -> Registry:
    """Load the plugins of all installed distributions; failures go to ``failures``.

    Args:
        disable: distributions or entry-point names to leave out, besides those in ``GAZEKIT_DISABLE``
            (separated by commas); ``*`` leaves out all except gazekit's own.
    """
    manager = pluggy.PluginManager("gazekit")
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager)
    unwanted = {normalised(name) for name in (*disable, *os.environ.get("GAZEKIT_DISABLE", "").split(","))}
    for found in _installed():
        name = OWN if is_own(found[0]) else found[0].name
        for entry in sorted(found[0].entry_points.select(group=GROUP), key=lambda each: each.name):
            origin = Provenance(entry.name, name, found[0].version)
            foreign = origin.distribution != OWN
            if (foreign and ALL_FOREIGN in unwanted) or unwanted & {
                normalised(origin.distribution),
                normalised(origin.plugin),
            }:
                registry.disabled += (origin,)
            elif foreign and len({each.version for each in found}) > 1:
                places = ", ".join(f"{each.version} in {each.locate_file('')}" for each in found)
                cause = f"several versions are installed: {places}; uninstall all but one"
                registry.failures.append(Failure(origin, f"distribution '{origin.distribution}'", cause))
            else:
                add_plugin(registry, origin, entry.load, where=f"entry point '{entry.value}'")
    return registry


def add_plugin(registry: Registry, origin: Provenance, load: Callable[[], object], *, where: str) -> None:
    """Load a plugin and register its hooks; record a failure in ``registry.failures``.

    Args:
        registry: the registry that gains the plugin.
        origin: provenance of the plugin.
        load: returns the plugin, a module or object with hooks.
        where: describes what is loaded, for the report of a failure.
    """
    key = f"{origin.distribution}:{origin.plugin}"
    with warnings.catch_warnings(record=True) as caught:
        try:
            with foreign_code(origin):
                plugin = load()
            _check_version(plugin)
            warnings.simplefilter("always")  # show the warning of a deprecated hook, whatever the filters
            registry.manager.register(plugin, name=key)
            _check_hooks(registry.manager, plugin)
            registry.provenance[key] = origin
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if registry.manager.has_plugin(key):
                registry.manager.unregister(name=key)
            registry.failures.append(Failure(origin, where, one_line(error)))
    for each in caught:
        warnings.warn(f"plugin '{origin.plugin}' of {origin}: {each.message}", each.category, stacklevel=3)


def _installed() -> list[list[Distribution]]:
    """Return the distributions with plugins, sorted by name; Python imports the first of each list."""
    found: dict[str, list[Distribution]] = {}
    for distribution in distributions():
        if name := _name_with_plugins(distribution):
            found.setdefault(normalised(name), []).append(distribution)
    former = found.get(FORMER, [])
    if OWN in found and former and is_own(former[0]):
        del found[FORMER]  # left over: the same plugins under gazekit's former name
    return [found[name] for name in sorted(found)]


def _name_with_plugins(distribution: Distribution) -> str | None:
    """Return a distribution's name if it has plugins; None also if its metadata cannot be read."""
    try:
        if any(entry.group == GROUP for entry in distribution.entry_points):
            return distribution.metadata["Name"] or None
    except (OSError, ValueError, KeyError):
        pass
    return None


def _check_version(plugin: object) -> None:
    """Raise if the plugin was written for another version of the hooks."""
    wanted = getattr(plugin, "GAZEKIT_HOOKS", 1)
    if not isinstance(wanted, int):
        raise ConfigurationError(
            f"GAZEKIT_HOOKS is {wanted!r}; expected a whole number, e.g. {hookspecs.VERSION}"
        )
    if wanted not in hookspecs.SUPPORTED:
        what = "upgrade gazekit" if wanted > hookspecs.VERSION else "upgrade the plugin"
        raise ConfigurationError(
            f"it needs version {wanted} of the hooks; gazekit {__version__} has version {hookspecs.VERSION}; {what}"
        )


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise if the plugin implements an unknown hook, forgot the marker or has no hook at all."""
    known = tuple(HOOKS.values())
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if not caller.has_spec():
            hint = did_you_mean(caller.name, known) or f"; the hooks are: {', '.join(known)}"
            raise ConfigurationError(f"no hook '{caller.name}'{hint}")
    marked = {caller.name for caller in callers}
    for name in _unmarked(plugin, marked):
        raise ConfigurationError(f"function '{name}' lacks the marker @gazekit.hookimpl")
    if not marked:
        raise ConfigurationError(
            f"no hook in {getattr(plugin, '__name__', plugin)!r}; expected a module with one of {', '.join(known)}"
        )


def _unmarked(plugin: object, marked: set[str]) -> Iterator[str]:
    for name, value in vars(plugin).items():
        if name.startswith("gazekit_") and inspect.isroutine(value) and name not in marked:
            yield name
