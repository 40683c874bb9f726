"""Which components there are, where each comes from, and what could not be loaded."""

import difflib
import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from typing import Any

import pluggy

from gazekit import hookspecs, preset, signature
from gazekit.errors import ConfigurationError

HOOKS = {
    "backbone": "gazekit_backbones",
    "fusion": "gazekit_fusions",
    "attention_map": "gazekit_attention_maps",
    "alignment_loss": "gazekit_alignment_losses",
    "dataset": "gazekit_datasets",
    "gaze_reader": "gazekit_gaze_readers",
    "preset": "gazekit_presets",
}
KINDS = tuple(kind for kind in HOOKS if kind != "preset")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The plugin that something comes from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Component:
    """One registered name: a class, or for kind ``preset`` a file."""

    kind: str
    name: str
    value: Any
    provenance: Provenance

    @property
    def location(self) -> str:
        """Module and line of a class, file name of a preset."""
        if not isinstance(self.value, type):
            return str(getattr(self.value, "name", self.value))
        try:
            return f"{self.value.__module__}:{inspect.getsourcelines(self.value)[1]}"
        except (OSError, TypeError):
            return self.value.__module__


@dataclass(frozen=True, slots=True)
class Failure:
    """Something of a plugin that cannot be used, and why."""

    provenance: Provenance
    what: str
    cause: str
    kind: str | None = None
    """The kind that is affected; None = all."""

    def __str__(self) -> str:
        return f"plugin '{self.provenance.plugin}' of {self.provenance}: {self.what}: {self.cause}"


@dataclass
class Registry:
    """The components of all plugins; a value that is passed along, not a global.

    A hook is called when its kind is first asked for; ``failures`` grows accordingly.
    """

    manager: pluggy.PluginManager
    provenance: dict[str, Provenance] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    disabled: tuple[Provenance, ...] = ()
    _tables: dict[str, dict[str, list[Component]]] = field(default_factory=dict)

    def components(self, kind: str) -> list[Component]:
        """All usable and contested names of a kind, sorted by name."""
        table = self._table(kind)
        return [component for name in sorted(table) for component in table[name]]

    def component(self, kind: str, name: str) -> Component:
        """Look one name up. Raises ConfigurationError: unknown, or offered twice."""
        table = self._table(kind)
        if name not in table:
            raise ConfigurationError(self._unknown(kind, name, table))
        first, *others = table[name]
        if others:
            owners = " and ".join(str(c.provenance) for c in table[name])
            raise ConfigurationError(
                f"{_words(kind)} '{name}' is offered by {owners}; neither wins. "
                f"Disable one with GAZEKIT_DISABLE={first.provenance.distribution}"
            )
        return first

    def create(self, kind: str, name: str, *context: Any, **options: Any) -> Any:
        """Make a component from its context and options; options are checked against its signature."""
        factory = self.component(kind, name).value
        checked, problems = signature.validate(factory, options)
        if problems:
            lines = "; ".join(f"'{key}': {message}" for key, message in problems)
            raise ConfigurationError(f"{_words(kind)} '{name}': {lines}")
        return factory(*context, **checked)

    def preset(
        self,
        name: str,
        *,
        config: Traversable | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Iterable[str] = (),
    ) -> preset.Preset:
        """Resolve a preset: defaults < ``extends`` < preset < config file < environment < overrides.

        Args:
            name: a registered preset or the path of a TOML file.
            config: a TOML file on top of the preset.
            environment: variables ``GAZEKIT_TABLE__KEY=value``.
            overrides: ``key.path=value`` items.

        Raises:
            ConfigurationError: all that is wrong, with file and key.
        """
        layers = preset.preset_layers(name, self._preset_file)
        if config is not None:
            layers.append(preset.read_layer(config))
        layers.append(preset.environment_layer(environment or {}))
        layers.append(preset.override_layer(overrides))
        return preset.resolve(name, layers, self._check_component)

    def table(self, kind: str | None = None) -> list[dict[str, str]]:
        """One row per component (of one kind, or of all), then one per failure and disabled plugin."""
        rows = []
        for each in [kind] if kind else HOOKS:
            names = [component.name for component in self.components(each)]
            rows += [
                _row(
                    each,
                    component.name,
                    component.provenance,
                    location=component.location,
                    status="ok" if names.count(component.name) == 1 else "offered twice",
                )
                for component in self.components(each)
            ]
        for failure in self.failures:
            status = f"failed: {failure.what}: {failure.cause}"
            rows.append(_row("plugin", failure.provenance.plugin, failure.provenance, status=status))
        rows += [_row("plugin", origin.plugin, origin, status="disabled") for origin in self.disabled]
        return rows

    def _preset_file(self, name: str) -> Traversable:
        return self.component("preset", name).value  # type: ignore[no-any-return]

    def _check_component(
        self, kind: str, name: str, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        try:
            factory = self.component(kind, name).value
        except ConfigurationError as error:
            return {}, [("use", str(error))]
        return signature.validate(factory, options)

    def _table(self, kind: str) -> dict[str, list[Component]]:
        if kind not in HOOKS:
            raise ConfigurationError(f"no kind '{kind}'; the kinds are: {', '.join(HOOKS)}")
        if kind not in self._tables:
            self._tables[kind] = self._collect(kind)
        return self._tables[kind]

    def _collect(self, kind: str) -> dict[str, list[Component]]:
        table: dict[str, list[Component]] = {}
        for plugin_name, plugin in self.manager.list_name_plugin():
            origin = self.provenance[plugin_name]
            others = [p for _, p in self.manager.list_name_plugin() if p is not plugin]
            try:
                answers = self.manager.subset_hook_caller(HOOKS[kind], others)()
                for name, value in (answers[0] if answers else {}).items():
                    self._admit(table, Component(kind, name, value, origin))
            except (Exception, SystemExit) as error:
                self.failures.append(Failure(origin, f"hook {HOOKS[kind]}", _cause(error), kind))
        return table

    def _admit(self, table: dict[str, list[Component]], component: Component) -> None:
        try:
            _check_contract(component)
        except ConfigurationError as error:
            what = f"{_words(component.kind)} '{component.name}'"
            self.failures.append(Failure(component.provenance, what, str(error), component.kind))
        else:
            table.setdefault(component.name, []).append(component)

    def _unknown(self, kind: str, name: str, table: Mapping[str, Any]) -> str:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        there = ", ".join(sorted(table)) or "none"
        failed = "".join(f" Not loaded: {f}." for f in self.failures if f.kind in (None, kind))
        return f"no {_words(kind)} '{name}'.{hint} There are: {there}.{failed}"


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
        registry.failures.append(Failure(origin, f"entry point '{entry.value}'", _cause(error)))


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


def _check_contract(component: Component) -> None:
    value = component.value
    if component.kind == "preset":
        if not hasattr(value, "read_text"):
            raise ConfigurationError(f"expected a file (pathlib.Path or importlib.resources), got {value!r}")
        return
    if not isinstance(value, type):
        raise ConfigurationError(f"expected a class, got {value!r}")
    if component.kind in _METHODS:
        if not any(_METHODS[component.kind] in vars(base) for base in value.__mro__):
            raise ConfigurationError(f"{value.__name__} has no method '{_METHODS[component.kind]}'")
    elif not issubclass(value, _bases(component.kind)):
        names = " or ".join(base.__name__ for base in _bases(component.kind))
        raise ConfigurationError(f"{value.__name__} does not derive from gazekit.interfaces.{names}")
    signature.check_signature(value)


_METHODS = {"attention_map": "__call__", "dataset": "exams", "gaze_reader": "read"}


def _bases(kind: str) -> tuple[type, ...]:
    from gazekit import interfaces  # imports torch: data sets and gaze readers do without

    return {
        "backbone": (interfaces.Backbone,),
        "fusion": (interfaces.ImageFusion, interfaces.MapFusion, interfaces.VectorFusion),
        "alignment_loss": (interfaces.AlignmentLoss,),
    }[kind]


def _row(kind: str, name: str, origin: Provenance, *, status: str, location: str = "") -> dict[str, str]:
    return {
        "kind": kind,
        "name": name,
        "package": origin.distribution,
        "version": origin.version,
        "location": location,
        "status": status,
    }


def _cause(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _words(kind: str) -> str:
    return kind.replace("_", " ")
