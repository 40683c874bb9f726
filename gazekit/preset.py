"""A preset: which components, with which options, trained how. TOML → validated values."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import pydantic
import tomlkit
from pydantic import Field

from gazekit.errors import ConfigurationError
from gazekit.layers import (
    COMPONENT_KEYS,
    Key,
    Layer,
    Value,
    environment_layer,
    merge,
    nest,
    override_layer,
    preset_layers,
    read_layer,
)

__all__ = [
    "Preset",
    "environment_layer",
    "override_layer",
    "preset_layers",
    "read_layer",
    "resolve",
]

CheckComponent = Callable[[str, str, Mapping[str, Any]], tuple[dict[str, Any], list[tuple[str, str]]]]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ComponentChoice(pydantic.BaseModel):
    """A component by name; every other key is one of its options."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    use: str

    @property
    def options(self) -> dict[str, Any]:
        """The options as written, or with defaults once the preset is resolved."""
        return dict(self.model_extra or {})


def _absent(value: Any) -> Any:
    return None if value == "none" else value


Slot = Annotated[ComponentChoice | None, pydantic.BeforeValidator(_absent)]


class DataSettings(_Table):
    """What the model sees."""

    dataset: Slot = None
    """Data source that is generated and used when no data are given."""
    exams: Count = 300
    """Exams to generate."""
    size: Count = 224
    """Height and width of a prepared image, px."""
    mean: float = 0.449
    """Subtracted from pixels in [0, 1]."""
    std: Positive = 0.226
    """Pixels are divided by it."""
    test: Share = 0.3
    """Share of the patients in the test part when the data bring no split."""
    validation: Share = 0.2
    """Share of the other patients in the validation part."""
    split_seed: int = 0


class ModelSettings(_Table):
    """How the model shell joins the components."""

    share_backbone: bool = False
    """One backbone for all views instead of one each."""
    vector_features: Annotated[Count | None, pydantic.BeforeValidator(_absent)] = None
    """Width of p_v = Linear(pooled); absent: p_v = pooled."""
    map_fusion_after: Count = 3
    """The stage after which the feature maps meet, counted from 1."""


class FusionSettings(_Table):
    """Where views meet: at the images, the feature maps, the vectors."""

    images: Slot = None
    maps: Slot = None
    vectors: Slot = None


class GazeSettings(_Table):
    """How gaze supervises the attention of the model."""

    alignment_loss: ComponentChoice
    target: Literal["label", "positive"] = "label"
    """Class whose attention is aligned: the true one, or always the positive (last) one."""


class LossSettings(_Table):
    """Weights of the terms."""

    gaze_weight: NonNegative = 0.5
    """λ of Eq. 8."""
    auxiliary_weight: NonNegative = 0.2
    """μ of Eq. 8."""
    class_weights: Literal["balanced", "none"] = "balanced"
    """``balanced``: inverse to the frequency in the training split (binary: pos_weight = n_neg / n_pos)."""


class AugmentationSettings(_Table):
    """One random affine map per exam and view, the same for image and heat map."""

    rotation: NonNegative = 15.0
    """Largest rotation, degrees."""
    translation: Share = 0.1
    """Largest shift, as a share of the image side."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of size."""
    flip_horizontal: Share = 0.5
    """Probability."""
    flip_vertical: Share = 0.5
    """Probability."""
    same_for_views: bool = False
    """Draw one map per exam instead of one per view."""


class TrainingSettings(_Table):
    """How the model is trained."""

    epochs: Count = 300
    batch_size: Count = 8
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4
    weight_decay: NonNegative = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    schedule: Literal["constant", "one_cycle"] = "constant"
    augmentation: AugmentationSettings = AugmentationSettings()


class Preset(_Table):
    """A system, complete enough to be trained; see ``registry.preset``."""

    description: str = ""
    stand_in: str = ""
    """What this system stands in for and why, when it is not the published one."""
    quick: str = ""
    """A preset that shows the same in minutes on a CPU."""
    views: Annotated[tuple[str, ...], Field(min_length=1)]
    data: DataSettings = DataSettings()
    backbone: ComponentChoice
    model: ModelSettings = ModelSettings()
    fusion: FusionSettings = FusionSettings()
    attention_map: Slot = None
    """How the model's attention is computed: for its supervision and for every picture of it."""
    gaze: Annotated[GazeSettings | None, pydantic.BeforeValidator(_absent)] = None
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    _name: str = pydantic.PrivateAttr(default="")
    _sources: Layer = pydantic.PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The name it was asked for by."""
        return self._name

    @property
    def sources(self) -> Layer:
        """Origin and comment of every value that a layer set; the others are defaults."""
        return self._sources

    def component(self, key: Key) -> ComponentChoice | None:
        """The choice at a key of ``COMPONENT_KEYS``."""
        value: Any = self
        for part in key:
            value = getattr(value, part) if value is not None else None
        return value  # type: ignore[no-any-return]

    def to_toml(self) -> str:
        """The resolved preset as TOML, each value with its origin; it can be read back."""
        document = tomlkit.document()
        _write_table(document, self.model_dump(mode="json"), (), self._sources)
        return tomlkit.dumps(document)


def resolve(name: str, layers: Iterable[Layer], check: CheckComponent) -> Preset:
    """Merge the layers, validate the result and check every component's options.

    Raises:
        ConfigurationError: every problem at once, each with its file and key.
    """
    merged = merge(layers)
    tables = nest(merged)
    problems = _check_components(tables, check)
    try:
        preset = Preset.model_validate(tables)
    except pydantic.ValidationError as error:
        problems += [
            (tuple(map(str, item["loc"])), _explain(item)) for item in error.errors(include_url=False)
        ]
    else:
        problems += _check_views(preset)
    if problems:
        lines = "\n".join(f"  {_where(merged, key)}: {message}" for key, message in problems)
        raise ConfigurationError(f"preset '{name}' has {len(problems)} problem(s):\n{lines}")
    preset._name, preset._sources = name, merged
    return preset


def _check_components(tables: dict[str, Any], check: CheckComponent) -> list[tuple[Key, str]]:
    """Check each component's options and write their defaults into ``tables``."""
    problems: list[tuple[Key, str]] = []
    for key, kind in COMPONENT_KEYS.items():
        table: Any = tables
        for part in key:
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(table.get("use"), str):
            options = {name: value for name, value in table.items() if name != "use"}
            checked, found = check(kind, table["use"], options)
            table.update(checked)
            problems += [((*key, *path.split(".")), message) for path, message in found]
    return problems


def _check_views(preset: Preset) -> list[tuple[Key, str]]:
    problems: list[tuple[Key, str]] = []
    if len(set(preset.views)) < len(preset.views):
        problems.append((("views",), f"a view is named twice: {', '.join(preset.views)}"))
    if len(preset.views) > 1 and not (preset.fusion.vectors or preset.fusion.images):
        problems.append(
            (("fusion", "vectors"), f"{len(preset.views)} views need a fusion of vectors or of images")
        )
    if preset.gaze and not preset.attention_map:
        problems.append((("attention_map",), "is needed for gaze supervision"))
    return problems


def _explain(item: Any) -> str:
    if item["type"] == "missing":
        return "is needed"
    if item["type"] == "extra_forbidden":
        return "no such key"
    return f"{item['msg']} (got {item['input']!r})"


def _where(merged: Layer, key: Key) -> str:
    origins = [leaf.origin for path, leaf in merged.items() if path[: len(key)] == key]
    return f"{origins[-1]}: {'.'.join(key)}" if origins else ".".join(key)


def _write_table(table: Any, values: Mapping[str, Any], key: Key, sources: Layer) -> None:
    """Values first, then tables, as TOML wants it."""
    for part, value in values.items():
        if not isinstance(value, dict) and (value is not None or (*key, part) in _OPTIONAL):
            item = tomlkit.item("none" if value is None else value)
            item.comment(_remark(sources.get((*key, part))))
            table.add(part, item)
    for part, value in values.items():
        if isinstance(value, dict):
            inner = tomlkit.table()
            _write_table(inner, value, (*key, part), sources)
            table.add(part, inner)


_OPTIONAL = {("gaze",), ("model", "vector_features"), *COMPONENT_KEYS}


def _remark(source: Value | None) -> str:
    if source is None:
        return "default"
    return f"{source.origin}: {source.comment}" if source.comment else source.origin
