"""Look up components: which there are, where they come from, what could not be loaded."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Literal, overload

import pluggy

from gazekit.disk.wrong_value import key_in_words
from gazekit.errors import ConfigurationError, PluginError
from gazekit.presets.layers import (
    Key,
    component_kind,
    environment_layer,
    override_layer,
    preset_layers,
    read_layer,
)
from gazekit.presets.preset import Preset, check_environment, resolve
from gazekit.registry import signature
from gazekit.registry.component import OWN, Component, Failure, Provenance, check_contract, in_words, one_line
from gazekit.registry.isolation import foreign_code

if TYPE_CHECKING:  # they import torch
    from gazekit.contracts.interfaces import (
        AlignmentLoss,
        AttentionMap,
        Backbone,
        DataSource,
        Fusion,
        GazeReader,
        Metric,
        Optimizer,
        Pooling,
        RegionFinder,
        Schedule,
    )

HOOKS = {
    "backbone": "gazekit_backbones",
    "fusion": "gazekit_fusions",
    "pooling": "gazekit_poolings",
    "head": "gazekit_heads",
    "attention_map": "gazekit_attention_maps",
    "alignment_loss": "gazekit_alignment_losses",
    "term": "gazekit_terms",
    "optimizer": "gazekit_optimizers",
    "schedule": "gazekit_schedules",
    "dataset": "gazekit_datasets",
    "gaze_reader": "gazekit_gaze_readers",
    "region": "gazekit_regions",
    "metric": "gazekit_metrics",
    "report_section": "gazekit_report_sections",
    "tracker": "gazekit_trackers",
    "preset": "gazekit_presets",
}
KINDS = tuple(kind for kind in HOOKS if kind != "preset")


def kind_called(name: str, kinds: Collection[str] = HOOKS) -> str:
    """Return the kind of a name, in which dashes may replace underscores. Raises ConfigurationError: there is none."""
    kind = name.replace("-", "_")
    if kind not in kinds:
        raise ConfigurationError(f"no kind '{name}'; the kinds are: {', '.join(kinds)}")
    return kind


@dataclass
class Registry:
    """The components of all plugins; a value to pass along, not a global.

    A hook is called when its kind is first asked for; ``failures`` grows accordingly.
    """

    manager: pluggy.PluginManager
    provenance: dict[str, Provenance] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    disabled: tuple[Provenance, ...] = ()
    _tables: dict[str, dict[str, list[Component]]] = field(default_factory=dict)

    def components(self, kind: str) -> list[Component]:
        """List all usable and contested names of a kind, sorted."""
        table = self._table(kind_called(kind))
        return [component for name in sorted(table) for component in table[name]]

    def component(self, kind: str, name: str, *, level: str = "") -> Component:
        """Look up a name.

        Args:
            kind: kind of component.
            name: in its table.
            level: level at which the preset names a fusion: ``images``, ``maps`` or ``vectors``; empty = any.

        Raises:
            ConfigurationError: no such component, or it is a fusion of another level.
            PluginError: it is offered twice, or it is missing and may belong to a plugin that failed.
        """
        kind = kind_called(kind)
        table = self._table(kind)
        if name not in table:
            fitting = {each: offered for each, offered in table.items() if _fits(offered[0], level)}
            raise self._unknown(kind, name, fitting, level)
        first, *others = table[name]
        if others:
            raise PluginError(_contest(table[name]))
        if not _fits(first, level):
            there = ", ".join(sorted(each for each, (other, *_) in table.items() if _fits(other, level)))
            raise ConfigurationError(
                f"fusion '{name}' joins {first.level}, so it belongs at fusion.{first.level}; fusions of {level} are: "
                f"{there or 'none'}"
            )
        return first

    def contests(self) -> list[str]:
        """List names offered more than once, with their owners, for the kinds looked up so far."""
        return [
            _contest(offered)
            for table in self._tables.values()
            for offered in table.values()
            if len(offered) > 1
        ]

    @overload
    def create(
        self, kind: Literal["backbone"], name: str, /, *context: object, **options: object
    ) -> "Backbone": ...
    @overload
    def create(
        self, kind: Literal["pooling"], name: str, /, *context: object, **options: object
    ) -> "Pooling": ...
    @overload
    def create(
        self, kind: Literal["fusion"], name: str, /, *context: object, **options: object
    ) -> "Fusion": ...
    @overload
    def create(self, kind: Literal["attention_map"], name: str, /, **options: object) -> "AttentionMap": ...
    @overload
    def create(self, kind: Literal["alignment_loss"], name: str, /, **options: object) -> "AlignmentLoss": ...
    @overload
    def create(self, kind: Literal["optimizer"], name: str, /, **options: object) -> "Optimizer": ...
    @overload
    def create(self, kind: Literal["schedule"], name: str, /, **options: object) -> "Schedule": ...
    @overload
    def create(self, kind: Literal["dataset"], name: str, /, **options: object) -> "DataSource": ...
    @overload
    def create(self, kind: Literal["gaze_reader"], name: str, /, **options: object) -> "GazeReader": ...
    @overload
    def create(self, kind: Literal["region"], name: str, /, **options: object) -> "RegionFinder": ...
    @overload
    def create(self, kind: Literal["metric"], name: str, /, **options: object) -> "Metric": ...
    @overload
    def create(self, kind: str, name: str, /, *context: object, **options: object) -> Any: ...
    def create(self, kind: str, name: str, /, *context: object, **options: object) -> Any:
        """Create a component from its context and options; check the options against its signature.

        A component that takes less of the context gets no more.
        """
        component = self.component(kind, name)
        factory = component.value
        checked, problems = signature.validate(factory, options)
        if problems:
            lines = "; ".join(f"'{key_in_words(key.split('.'))}': {message}" for key, message in problems)
            raise ConfigurationError(f"{in_words(component.kind)} '{name}': {lines}")
        return factory(*signature.taken(factory, context), **checked)

    def preset(
        self,
        name: str,
        *,
        config: Traversable | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Iterable[str] = (),
    ) -> Preset:
        """Resolve a preset: defaults < ``extends`` < preset < config file < environment < overrides.

        Args:
            name: a registered preset or the path of a TOML file.
            config: a TOML file on top of the preset.
            environment: variables ``GAZEKIT_TABLE__KEY=value``.
            overrides: ``key.path=value`` items.

        Raises:
            ConfigurationError: lists every problem with file and key.
        """
        layers = preset_layers(name, self._preset_file)
        if config is not None:
            layers.append(read_layer(config))
            if ("extends",) in layers[-1]:
                raise ConfigurationError(
                    f"{config}: extends belongs to a preset, and this file lies on top of one; remove it, or take "
                    f"the file itself: --preset {config}"
                )
        check_environment(environment or {})
        layers.append(environment_layer(environment or {}))
        layers.append(override_layer(overrides))
        return resolve(name, layers, self._check_component)

    def packages(self) -> dict[str, Provenance]:
        """Map each top-level package to its plugin, as far as plugins and components tell where they are."""
        homes = {
            getattr(plugin, "__name__", type(plugin).__module__): self.provenance[key]
            for key, plugin in self.manager.list_name_plugin()
        }
        for table in self._tables.values():
            for component in (each for offered in table.values() for each in offered):
                if isinstance(component.value, type):
                    homes[component.value.__module__] = component.provenance
        return {module.partition(".")[0]: origin for module, origin in homes.items()}

    def ask(self, hook: str, use: Callable[[Provenance, Any], None], kind: str | None = None) -> None:
        """Call a hook plugin by plugin, and hand each answer to ``use``; what fails is noted in ``failures``.

        Args:
            hook: of the specification.
            use: is given the plugin and its answer; an exception that it raises is a failure of the plugin.
            kind: of component that the hook is about; None where it is about none.
        """
        for plugin_name, plugin in self.manager.list_name_plugin():
            origin = self.provenance[plugin_name]
            others = [p for _, p in self.manager.list_name_plugin() if p is not plugin]
            try:
                with foreign_code(origin):
                    answers = self.manager.subset_hook_caller(hook, others)()
                for answer in answers:
                    use(origin, answer)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.failures.append(Failure(origin, f"hook {hook}", one_line(error), kind))

    def table(self, kind: str | None = None) -> list[dict[str, str]]:
        """Return a row per component (of one kind or of all), then per failure and disabled plugin."""
        rows = []
        for each in [kind_called(kind)] if kind else HOOKS:
            names = [component.name for component in self.components(each)]
            rows += [
                _row(
                    each,
                    component.name,
                    component.provenance,
                    level=component.level,
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
        file: Traversable = self.component("preset", name).value
        return file

    def _check_component(
        self, key: Key, name: str, options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        kind = component_kind(key)
        assert kind is not None, "asked only where a preset names a component"
        try:
            factory = self.component(kind, name, level=key[-1] if kind == "fusion" else "").value
        except PluginError:
            raise
        except ConfigurationError as error:
            return {}, [("use", str(error))]
        return signature.validate(factory, options, table=".".join(key))

    def _table(self, kind: str) -> dict[str, list[Component]]:
        if kind not in self._tables:
            self._tables[kind] = self._collect(kind)
        return self._tables[kind]

    def _collect(self, kind: str) -> dict[str, list[Component]]:
        table: dict[str, list[Component]] = {}

        def admit(origin: Provenance, answer: Any) -> None:
            for name, value in _mapping(answer).items():
                self._admit(table, Component(kind, name, value, origin))

        self.ask(HOOKS[kind], admit, kind)
        return table

    def _admit(self, table: dict[str, list[Component]], component: Component) -> None:
        try:
            check_contract(component)
        except Exception as error:  # an annotation may be any code
            what = f"{in_words(component.kind)} '{component.name}'"
            self.failures.append(Failure(component.provenance, what, one_line(error), component.kind))
        else:
            table.setdefault(component.name, []).append(component)

    def _unknown(self, kind: str, name: str, table: Mapping[str, Any], level: str = "") -> ConfigurationError:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        there = ", ".join(sorted(table)) or "none"
        failures = [failure for failure in self.failures if failure.kind in (None, kind)]
        error = PluginError if failures and not near else ConfigurationError
        notes = [f" Not loaded: {failure}." for failure in failures]
        notes += [f" Left out by --no-plugins or GAZEKIT_DISABLE: {origin}." for origin in self.disabled]
        what = f"{in_words(kind)} of {level}" if level else in_words(kind)
        return error(f"no {what} '{name}'.{hint} There are: {there}.{''.join(notes)}")


def _fits(component: Component, level: str) -> bool:
    return level in ("", component.level)


def _contest(offered: list[Component]) -> str:
    """Describe who offers a contested name, and what to do."""
    theirs = min(offered, key=lambda each: each.provenance.distribution == OWN)
    owners = " and ".join(str(each.provenance) for each in offered)
    return (
        f"{in_words(theirs.kind)} '{theirs.name}' is offered by {owners}; neither wins. "
        f"Disable one with GAZEKIT_DISABLE={theirs.provenance.distribution}"
    )


def _mapping(answer: Any) -> Mapping[Any, Any]:
    if not isinstance(answer, Mapping):
        raise ConfigurationError(f"expected a mapping of names, got {answer!r}")
    return answer


def _row(
    kind: str, name: str, origin: Provenance, *, status: str, level: str = "", location: str = ""
) -> dict[str, str]:
    return {
        "kind": kind,
        "level": level,
        "name": name,
        "package": origin.distribution,
        "version": origin.version,
        "location": location,
        "status": status,
    }
