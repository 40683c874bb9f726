"""A preset: its components, their options and the training. TOML → validated values."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args

import pydantic
import tomlkit
from pydantic import Field

from gazekit.disk.suggestion import did_you_mean
from gazekit.disk.wording import counted
from gazekit.disk.wrong_value import key_in_words, problems_of, wrong_value
from gazekit.errors import ConfigurationError
from gazekit.presets.layers import (
    COMPONENT_KEYS,
    Key,
    Layer,
    Value,
    component_keys,
    component_kind,
    dotted,
    merge,
    nest,
)
from gazekit.presets.tables import (
    COMMON_SPACE,
    LABEL,
    ComponentChoice,
    DataSettings,
    FusionSettings,
    GazeSettings,
    GroupSettings,
    LossSettings,
    ModelSettings,
    NonNegative,
    PresetTable,
    ReportedSettings,
    Slot,
    Space,
    TermSettings,
    TrainingSettings,
    absent,
    read_space,
)

CheckComponent = Callable[[Key, str, Mapping[str, Any]], tuple[dict[str, Any], list[tuple[str, str]]]]
"""(key, name, options of a component) → (options with defaults, problems)."""


class Preset(PresetTable):
    """A complete system, ready to be trained; see ``registry.preset``."""

    description: str = ""
    """One-line description."""
    stand_in: str = ""
    """The published system that this one stands in for, and why; empty for a published system."""
    quick: str = ""
    """A preset that shows the same in minutes on a CPU."""
    views: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the views, in the order of fusion."""
    data: DataSettings = DataSettings()
    backbone: ComponentChoice
    """The network of every view."""
    pooling: ComponentChoice = ComponentChoice(use="mean")
    """Turns the last feature maps of a view into one vector."""
    model: ModelSettings = ModelSettings()
    fusion: FusionSettings = FusionSettings()
    head: Slot = None
    """From the fused vector to the logits; absent: one linear layer per target."""
    targets: dict[str, NonNegative] = {}
    """Further targets of the data, predicted beside the label, each with the weight of its cross-entropy."""
    covariates: tuple[str, ...] = ()
    """Numbers of the data that the head gets beside the fused vector, standardised."""
    attention_map: Slot = None
    """Computes the model's attention, for supervision and for every picture."""
    gaze: Annotated[GazeSettings | None, pydantic.BeforeValidator(absent)] = None
    loss: LossSettings = LossSettings()
    terms: dict[str, Annotated[TermSettings | None, pydantic.BeforeValidator(absent)]] = {}
    """More terms of the loss, each under its own name."""
    training: TrainingSettings = TrainingSettings()
    tune: Annotated[Space, pydantic.BeforeValidator(read_space)] = COMMON_SPACE
    """Key → values that a tuning tries; a preset that extends this one does not inherit them."""
    reported: dict[str, ReportedSettings] = {}
    """Data set → published results, shown next to ours; a preset that extends this one does not inherit them."""
    _name: str = pydantic.PrivateAttr(default="")
    _sources: Layer = pydantic.PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """Name by which the preset was requested."""
        return self._name

    def named(self, name: str) -> "Preset":
        """Return the preset under the name that a study gives it."""
        copy = self.model_copy()
        copy._name = name
        return copy

    @property
    def sources(self) -> Layer:
        """Origin and comment of every value that a layer set; other values are defaults."""
        return self._sources

    @property
    def active_terms(self) -> dict[str, TermSettings]:
        """The terms of ``terms`` that are in force: with ``gaze = "none"`` no alignment is."""
        return {
            name: term
            for name, term in self.terms.items()
            if term is not None and (self.gaze is not None or term.use is not None)
        }

    @property
    def supervised(self) -> bool:
        """Whether the loss reads gaze; else the table ``gaze`` serves a fusion of images alone."""
        return self.gaze is not None and (self.gaze.alignment_loss is not None or bool(self.active_terms))

    @property
    def aligns_label(self) -> bool:
        """Whether gaze aligns the preset's attention map, and always that of the true class."""
        if self.gaze is None:
            return False
        own = [self.gaze.target] if self.gaze.alignment_loss and self.loss.gaze_weight else []
        further = [
            term.target or self.gaze.target
            for term in self.active_terms.values()
            if term.alignment_loss and term.weight and not term.attention_map
        ]
        return {*own, *further} == {"label"}

    @property
    def space(self) -> Space:
        """The entries of ``tune`` that are in force: with ``gaze = "none"`` those about gaze are not."""
        idle = ("gaze.", "loss.gaze_weight") if self.gaze is None else ()
        space = {key: axis for key, axis in self.tune.items() if not key.startswith(idle)}
        return space or COMMON_SPACE

    def component(self, key: Key) -> ComponentChoice | None:
        """The choice at a key where a preset names a component."""
        value: Any = self
        for part in key:
            if isinstance(value, dict):
                value = value.get(part)
            else:
                value = getattr(value, part, None) if value is not None else None
        return value  # type: ignore[no-any-return]

    def to_toml(self) -> str:
        """Return the resolved preset as TOML, each value with its origin; it can be read back."""
        document = tomlkit.document()
        _write_table(document, self.model_dump(mode="json"), (), self._sources)
        return tomlkit.dumps(document)


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if a variable names a value with one underscore for two: it would set nothing."""
    for name in sorted(environment):
        if not name.startswith("GAZEKIT_") or "__" in name:
            continue
        words = name.removeprefix("GAZEKIT_").lower()
        for dotted_key in _keys(Preset):
            key = dotted_key.split(".")
            start = "_".join(key)
            if tuple(key) in COMPONENT_KEYS and words.startswith(f"{start}_"):
                key.append(words.removeprefix(f"{start}_"))
            elif len(key) == 1 or words != start:
                continue
            raise ConfigurationError(
                f"${name} sets nothing: expected two underscores between table and key; rename it to "
                f"GAZEKIT_{'__'.join(key).upper()}, or unset it"
            )


def resolve(name: str, layers: Iterable[Layer], check: CheckComponent) -> Preset:
    """Merge the layers, validate the result and check the options of every component.

    Raises:
        ConfigurationError: lists every problem with file and key.
    """
    merged = merge(layers)
    for key, leaf in merged.items():
        if leaf.former:
            text = f"{leaf.origin}: {leaf.former} is now {'.'.join(key)}; the former key goes in the next release"
            warnings.warn(text, FutureWarning, stacklevel=3)
    tables = nest(merged)
    problems = _check_components(tables, check)
    try:
        preset = Preset.model_validate(tables)
    except pydantic.ValidationError as error:
        problems += [(tuple(map(str, item["loc"])), _explain(item, merged)) for item in problems_of(error)]
    else:
        problems += _check_views(preset)
    if problems:
        lines = "\n".join(f"  {_where(merged, key)}: {message}" for key, message in problems)
        raise ConfigurationError(f"preset '{name}' has {counted(len(problems), 'problem')}:\n{lines}")
    preset._name, preset._sources = name, merged
    return preset


def _check_components(tables: dict[str, Any], check: CheckComponent) -> list[tuple[Key, str]]:
    """Check each component's options and write their defaults into ``tables``."""
    problems: list[tuple[Key, str]] = []
    for key in component_keys(tables):
        table: Any = tables
        for part in key:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(table.get("use"), str):
            own = set(TermSettings.model_fields) if key[0] == "terms" and len(key) == 2 else {"use"}
            options = {name: value for name, value in table.items() if name not in own}
            checked, found = check(key, table["use"], options)
            table.update(checked)
            problems += [((*key, *path.split(".")), message) for path, message in found]
    return problems


def _check_views(preset: Preset) -> list[tuple[Key, str]]:
    problems: list[tuple[Key, str]] = []
    if len(set(preset.views)) < len(preset.views):
        problems.append((("views",), f"a view is named twice: {', '.join(preset.views)}"))
    if len(set(preset.covariates)) < len(preset.covariates):
        problems.append((("covariates",), f"a covariate is named twice: {', '.join(preset.covariates)}"))
    if LABEL in preset.targets:
        problems.append((("targets", LABEL), "the label is predicted anyway; name further targets only"))
    if len(preset.views) > 1 and not (preset.fusion.vectors or preset.fusion.images):
        problems.append(
            (("fusion", "vectors"), f"{len(preset.views)} views need a fusion of vectors or of images")
        )
    if preset.gaze and preset.gaze.alignment_loss and not preset.attention_map:
        problems.append((("attention_map",), "is needed for gaze supervision"))
    if preset.gaze and not preset.supervised and not preset.fusion.images:
        problems.append(
            (
                ("gaze", "alignment_loss"),
                "is needed, or a term that reads gaze in the table terms, or a fusion of images that does",
            )
        )
    if preset.training.patience and preset.training.select == "last":
        problems.append(
            (
                ("training", "patience"),
                'cannot wait for better weights with select = "last"; select by auc or loss',
            )
        )
    for name, term in preset.terms.items():
        problems += [(("terms", name), message) for message in _faults_of_term(name, term, preset)]
    return problems


_NOT_A_TERM = frozenset(
    (
        *("gaze", "classification", "loss"),
        *("epoch", "step", "val_auc", "val_loss", "best_epoch", "skipped_steps", "learning_rate", "seconds"),
    )
)
"""Names that a line of ``metrics.jsonl`` has already."""


def _faults_of_term(name: str, term: TermSettings | None, preset: Preset) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _NOT_A_TERM or name.startswith("target_"):
        taken = ", ".join(sorted(_NOT_A_TERM))
        yield f"cannot name a term; expected small letters, digits and _, and none of {taken}"
    if term is None:
        return
    if (term.use is None) == (term.alignment_loss is None):
        yield "expected either use = NAME, a component of kind term, or alignment_loss = NAME"
    elif term.use is None and term.options:
        yield f"'{next(iter(term.options))}' is no option of an alignment; expected weight, target, attention_map"
    elif term.use and (of_alignment := [key for key in ("attention_map", "target") if getattr(term, key)]):
        yield f"'{of_alignment[0]}' is of an alignment, and {term.use} is none; leave it out"
    elif term.alignment_loss and not (term.attention_map or preset.attention_map):
        yield "an alignment needs an attention_map, here or in the preset"


def _explain(item: Any, merged: Layer) -> str:
    name = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return "is needed"
    if item["type"] == "model_type":
        or_none = " or none" if item["loc"] in _OPTIONAL else ""
        return f"expected {name}.KEY=VALUE{or_none} (got {item['input']!r})"
    if item["type"] != "extra_forbidden":
        return wrong_value(name, item)
    wrong = tuple(name.split("."))
    options = {key for key in merged if key[-1] != "use" and key[: len(wrong)] != wrong and key != wrong}
    known = {*_keys(Preset), *map(".".join, (key for key in options if _is_option(key)))}
    if "." not in name:
        known |= {key.partition(".")[0] for key in known}
    if wrong[:2] == ("training", "groups"):  # of a part, whose name is the preset's own
        name, known = f"groups.{wrong[-1]}", {f"groups.{own}" for own in GroupSettings.model_fields}
    if name in _ELSEWHERE:
        return f"no such key; {_ELSEWHERE[name]}"
    near = did_you_mean(name, sorted(known))
    return f"no such key{near or '; gazekit presets show NAME lists all'}"


_ELSEWHERE = {
    "positive": "the positive class is chosen when the data are prepared: gazekit data prepare … --set positive=CLASS",
    "seed": "the seed is an option of its command: gazekit train … --seed N",
}
"""Keys that look like a preset's, and are not."""


def _is_option(key: Key) -> bool:
    """Whether a key of a layer is an option of a component, whose names the tables do not have."""
    return any(component_kind(key[:length]) for length in range(1, len(key)))


def _keys(table: type[pydantic.BaseModel], above: str = "") -> Iterator[str]:
    """List the dotted names of all values of a table and its subtables."""
    for name, field in table.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if _is_table(each)]
        if inner:
            yield from _keys(inner[0], f"{above}{name}.")
        else:
            yield above + name


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, PresetTable)


def _where(merged: Layer, key: Key) -> str:
    origins = [
        leaf.origin for path, leaf in merged.items() if path[: len(key)] == key or path == key[: len(path)]
    ]
    return f"{origins[-1]}: {key_in_words(key)}" if origins else key_in_words(key)


def _write_table(table: Any, values: Mapping[str, Any], key: Key, sources: Layer) -> None:
    """Write values first, then tables, as TOML requires."""
    for part, value in values.items():
        if not isinstance(value, dict) and (value is not None or (*key, part) in _OPTIONAL):
            item = tomlkit.item("none" if value is None else value)
            item.comment(_remark(sources.get(dotted((*key, part)))))
            table.add(part, item)
    for part, value in values.items():
        if isinstance(value, dict) and value:
            inner = tomlkit.table()
            _write_table(inner, value, (*key, part), sources)
            table.add(part, inner)


_OPTIONAL = {
    ("gaze",),
    ("gaze", "sigma"),
    ("gaze", "window_ms"),
    ("model", "vector_features"),
    ("training", "checkpoint_every"),
    ("training", "patience"),
    ("training", "ema"),
    *COMPONENT_KEYS,
}


def _remark(source: Value | None) -> str:
    if source is None:
        return "default"
    return f"{source.origin}: {source.comment}" if source.comment else source.origin
