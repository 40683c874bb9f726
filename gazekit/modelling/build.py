"""From a preset to the modules that it names."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gazekit.contracts.interfaces import (
    AttentionMap,
    Backbone,
    Head,
    ImageFusion,
    MapFusion,
    Pooling,
    Term,
    VectorFusion,
)
from gazekit.errors import ConfigurationError
from gazekit.machine import free_memory
from gazekit.modelling.alignment import Alignment, Explained
from gazekit.modelling.head import Covariates, PlainHead
from gazekit.modelling.model import MultiViewClassifier, gaze_use
from gazekit.modelling.objective import GAZE, Objective
from gazekit.presets.layers import COMPONENT_KEYS, Key
from gazekit.presets.preset import Preset
from gazekit.presets.tables import LABEL
from gazekit.registry.registry import Registry

_DRAWS = (Tensor.normal_, Tensor.uniform_)
_NO_PART_OF_MODEL = {"training", "loss", "tune", "reported"}
"""Tables of a preset that its model does not depend on."""
_BYTES: dict[tuple[str, str, tuple[Any, ...]], int] = {}
"""(preset, data, components) → bytes of the weights: a study trains the same model many times."""


def check_size(preset: Preset, registry: Registry, *, most: int | None = None, **known: Any) -> None:
    """Raise ConfigurationError if the model of a preset needs more memory than there is, before any of it is taken.

    Args:
        preset, registry, known: as in ``build_model``.
        most: bytes that its weights may have at most, where that is known; 0 or None: what is free.
    """
    try:
        needed = _bytes_of_weights(preset, registry, known)
    except (RuntimeError, TypeError, ValueError, ConfigurationError) as error:
        if "overflow" not in str(error):
            return  # a component that looks at its numbers while it is made; a real fault is said when it is made
        raise ConfigurationError(
            f"preset '{preset.name}': no machine has the memory for its model; look at the sizes in its tables "
            "backbone and fusion"
        ) from None
    free = free_memory()
    limit = min(most or free, free)
    if needed > limit:
        raise ConfigurationError(
            f"preset '{preset.name}': its model has weights of {needed / 1e9:.3g} GB, more than the {limit / 1e9:.3g} "
            f"GB {'of those stored with it' if most and most < free else 'of free memory'}; look at the sizes in its "
            "tables backbone and fusion"
        )


def _bytes_of_weights(preset: Preset, registry: Registry, known: Mapping[str, Any]) -> int:
    """Make the model of a preset without memory, once in a process for the same tables, components and data."""
    parts = ("backbone", "pooling", "fusion", "head")
    chosen = [(kind, preset.component(key)) for key, kind in COMPONENT_KEYS.items() if key[0] in parts]
    classes = tuple(registry.component(kind, each.use).value for kind, each in chosen if each)
    key = (preset.model_dump_json(exclude=_NO_PART_OF_MODEL), repr(known), classes)
    if key not in _BYTES:
        with torch.device("meta"), _WithoutDraws():
            modules = build_model(preset, registry, **known)
        _BYTES[key] = sum(tensor.nbytes for tensor in modules.state_dict().values())
    return _BYTES[key]


def weights_files(preset: Preset, registry: Registry, **known: Any) -> set[Path]:
    """List the files that the backbones of a preset start from, unread; ``known`` is as in ``build_model``."""
    try:
        with torch.device("meta"), _WithoutDraws():
            backbones = build_model(preset, registry, **known).backbones
    except (RuntimeError, TypeError, ValueError, ConfigurationError):
        return set()  # said when the model is made
    return {each.weights_path for each in backbones if isinstance(each, Backbone) and each.weights_path}


class _WithoutDraws(TorchFunctionMode):
    """Leave weights as they are instead of drawing them: on ``meta`` that would import torch's compiler, in seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the tensor to be drawn; call other functions."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build_model(
    preset: Preset,
    registry: Registry,
    *,
    classes: int,
    in_channels: int = 1,
    targets: Mapping[str, Sequence[str]] | None = None,
    size: tuple[int, int] | None = None,
) -> MultiViewClassifier:
    """Make the model of a preset with fresh weights.

    Args:
        preset: from ``registry.preset``.
        registry: where the components come from.
        classes: number of classes of the data; two give one logit.
        in_channels: channels of an image.
        targets: further targets of the data, each with its classes; those that the preset names are predicted.
        size: (height, width) of an image, px; None = the square of ``data.size``.

    Raises:
        ConfigurationError: the components do not fit each other.
    """

    def create(key: Key, *context: object) -> Any:
        choice = preset.component(key)
        return choice and registry.create(COMPONENT_KEYS[key], choice.use, *context, **choice.options)

    size = size or (preset.data.size, preset.data.size)
    views: Sequence[str] = preset.views
    image_fusion: ImageFusion | None = create(("fusion", "images"), views, in_channels)
    if image_fusion is not None:
        views, in_channels = image_fusion.views, image_fusion.in_channels
    _check_views(views, preset)
    if image_fusion is not None and gaze_use(type(image_fusion)) == "never":
        _check_supervised(preset)
    branches = 1 if preset.model.share_backbone else len(views)
    backbones: list[Backbone] = [create(("backbone",), in_channels, size) for _ in range(branches)]
    channels = backbones[0].channels
    after = preset.model.map_fusion_after
    poolings: list[Pooling] = [create(("pooling",), channels[-1]) for _ in range(branches)]
    map_fusion: MapFusion | None = None
    if preset.fusion.maps is not None:
        if after > len(channels):
            raise ConfigurationError(
                f"model.map_fusion_after = {after}, but backbone '{preset.backbone.use}' has {len(channels)} stages"
            )
        map_fusion = create(("fusion", "maps"), views, channels[after - 1])
    features = preset.model.vector_features or channels[-1]
    projections = None
    if preset.model.vector_features:
        projections = nn.ModuleDict({view: nn.Linear(channels[-1], features) for view in views})
    vector_fusion: VectorFusion | None = create(("fusion", "vectors"), views, features)
    if odd := [name for name in preset.targets if hasattr(nn.ModuleDict, name)]:
        raise ConfigurationError(
            f"targets: '{odd[0]}' cannot name a target; rename its column, to {odd[0]}_class"
        )
    fused = vector_fusion.out_features if vector_fusion else features
    covariates = Covariates(len(preset.covariates)) if preset.covariates else None
    outputs = {LABEL: _logits(classes)}
    outputs |= {name: _logits(len((targets or {})[name])) for name in preset.targets}
    given = (fused + (covariates.features if covariates else 0), outputs, tuple(views), features)
    head: Head = create(("head",), *given) or PlainHead(*given)
    model = MultiViewClassifier(
        views,
        backbones,
        poolings,
        head=head,
        outputs=outputs[LABEL],
        further_outputs={name: outputs[name] for name in preset.targets},
        covariates=covariates,
        image_fusion=image_fusion,
        map_fusion=map_fusion,
        map_fusion_after=after,
        projections=projections,
        vector_fusion=vector_fusion,
    )
    model.shows_stages = any(_reads_stages(preset, registry))
    return model


def _logits(classes: int) -> int:
    return 1 if classes == 2 else classes


def _reads_stages(preset: Preset, registry: Registry) -> Iterator[bool]:
    """Of each attention map of a preset, whether it reads the maps of all stages."""
    keys: list[Key] = [
        ("attention_map",),
        *(("terms", name, "attention_map") for name in preset.active_terms),
    ]
    for key in keys:
        if (choice := preset.component(key)) is not None:
            yield getattr(registry.component("attention_map", choice.use).value, "reads_stages", False)


def _check_views(views: Sequence[str], preset: Preset) -> None:
    """Raise ConfigurationError if the views that reach the branches cannot be named, supervised or joined."""
    reserved = [view for view in views if hasattr(nn.ModuleDict, view) or not view or "." in view]
    if reserved:
        raise ConfigurationError(
            f"views: '{reserved[0]}' cannot name a view; choose another name, without a dot"
        )
    if preset.gaze and not set(views) & set(preset.views):
        raise ConfigurationError(
            f"fusion.images leaves none of the views {', '.join(preset.views)}, so their gaze can supervise "
            'nothing; train with gaze = "none"'
        )
    if preset.fusion.vectors is None and len(views) > 1:
        raise ConfigurationError(
            f"fusion.vectors is needed: the {len(views)} views {', '.join(views)} never meet"
        )


def _check_supervised(preset: Preset) -> None:
    """Raise ConfigurationError if the table ``gaze`` of a preset serves nothing."""
    if preset.gaze and not preset.supervised:
        raise ConfigurationError(
            f"preset '{preset.name}': nothing reads the table gaze; set gaze.alignment_loss, add a term that reads "
            'gaze to the table terms, or train with gaze = "none"'
        )


def build_objective(
    preset: Preset,
    registry: Registry,
    model: MultiViewClassifier | None = None,
    *,
    class_weights: Tensor | None = None,
    target_weights: Mapping[str, Tensor] | None = None,
) -> Objective:
    """Make the objective of a preset.

    Args:
        preset, registry: as in ``build_model``.
        model: of the preset; its fusion of vectors may bring losses, and it is told if a loss differentiates gradients
            (``composes_attention``). Without it (until 0.1) ``objective(model, output,
            batch)`` takes them from the model, with a warning.
        class_weights: ``[classes]``; None = all alike.
        target_weights: the same of further targets.

    Raises:
        ConfigurationError: a term does not fit the preset.
    """
    terms: dict[str, Term | Alignment] = {}
    weights: dict[str, float] = {}
    gaze = preset.gaze
    if gaze is not None and gaze.alignment_loss is not None:
        terms[GAZE] = _alignment(("gaze",), preset, registry, gaze.target)
        weights[GAZE] = preset.loss.gaze_weight
    for name, settings in preset.active_terms.items():
        if hasattr(nn.ModuleDict(), name):
            raise ConfigurationError(f"terms.{name}: '{name}' cannot name a term; choose another name")
        key: Key = ("terms", name)
        if settings.use is None:
            terms[name] = _alignment(
                key, preset, registry, settings.target or (gaze.target if gaze else "label")
            )
        else:
            if model is None:
                raise ConfigurationError(f"build_objective: terms.{name} needs the model; hand it over")
            channels = model.backbones[0].channels[-1]  # type: ignore[index]
            terms[name] = registry.create("term", settings.use, model.views, channels, **settings.options)
            if gaze is None and "gaze" in terms[name].needs:
                del terms[name]  # gaze = "none" is a training without gaze, whatever a preset adds to it
                continue
            if terms[name].needs and not set(model.views) & set(preset.views):
                raise ConfigurationError(
                    f"terms.{name}: fusion.images leaves none of the views {', '.join(preset.views)}, on which "
                    f"{settings.use} compares; leave the term out with --set terms.{name}=none"
                )
        weights[name] = settings.weight
    objective = Objective(
        attention_map=build_attention_map(preset, registry),
        terms=terms,
        weights=weights,
        auxiliary_weight=preset.loss.auxiliary_weight,
        auxiliary_losses=model.vector_fusion.auxiliary_losses if model and model.vector_fusion else None,
        class_weights=class_weights,
        targets={name: (weight, (target_weights or {}).get(name)) for name, weight in preset.targets.items()},
        balanced=preset.loss.balance == "gradient",
    )
    if model is not None:
        model.composes_attention = objective.differentiates_gradients
    objective.label_smoothing = preset.loss.label_smoothing
    objective.focal_gamma = preset.loss.focal_gamma
    return objective


def _alignment(key: Key, preset: Preset, registry: Registry, target: Explained) -> Alignment:
    choice = preset.component((*key, "alignment_loss"))
    own = preset.component((*key, "attention_map"))
    assert choice is not None and preset.gaze is not None
    return Alignment(
        registry.create("alignment_loss", choice.use, **choice.options),
        target=target,
        each_reader=preset.gaze.readers == "each",
        attention_map=registry.create("attention_map", own.use, **own.options) if own else None,
    )


def build_attention_map(preset: Preset, registry: Registry) -> AttentionMap | None:
    """The attention map of a preset; None if it has none."""
    choice = preset.attention_map
    if choice is None:
        return None
    return registry.create("attention_map", choice.use, **choice.options)
