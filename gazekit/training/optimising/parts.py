"""The parts of a model by name, as parameter groups of the optimiser."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gazekit.errors import ConfigurationError
from gazekit.presets.tables import GroupSettings, TrainingSettings

_BACKBONES = "backbones"
_FUSION = "_fusion"


def parts_of(modules: nn.ModuleDict) -> dict[str, list[nn.Module]]:
    """Name the parts of model and objective that have something to learn, in the order of the model.

    The fusions of images, maps and vectors are one part; attention map and terms are ``objective``.
    """
    parts: dict[str, list[nn.Module]] = {}
    for name, module in [*modules["model"].named_children(), ("objective", modules["objective"])]:
        if any(parameter.requires_grad for parameter in module.parameters()):
            parts.setdefault("fusion" if name.endswith(_FUSION) else name, []).append(module)
    return parts


def check_groups(modules: nn.ModuleDict, settings: TrainingSettings) -> None:
    """Raise ConfigurationError if a group names no part of the model, or decays layers that it does not have."""
    parts = parts_of(modules)
    for name, group in settings.groups.items():
        if name not in parts:
            raise ConfigurationError(
                f"training.groups.{name}: no part of this model with something to learn has that name; there are "
                f"{', '.join(parts)}"
            )
        if group.layer_decay < 1 and name != _BACKBONES:
            raise ConfigurationError(
                f"training.groups.{name}.layer_decay: only {_BACKBONES} have stages; set learning_rate instead"
            )
    if all(name in settings.groups and settings.groups[name].freeze_epochs for name in parts):
        raise ConfigurationError(
            "training.groups: every part rests at first (freeze_epochs); let one of them learn"
        )


class RestingParts:
    """The parts that rest in the first epochs: no gradient reaches them and batch norm keeps its statistics.

    Args:
        modules: model and objective, as they are made.
        settings: the preset's ``training`` table.
    """

    def __init__(self, modules: nn.ModuleDict, settings: TrainingSettings) -> None:
        self.parts = [
            (
                name,
                settings.groups[name].freeze_epochs,
                module,
                [p for p in module.parameters() if p.requires_grad],
            )
            for name, found in parts_of(modules).items()
            for module in found
            if name in settings.groups and settings.groups[name].freeze_epochs
        ]

    def begin(self, epoch: int) -> tuple[str, ...]:
        """Let the parts rest or learn in an epoch, counted from 0, and name those that rest."""
        resting = set()
        for name, epochs, module, parameters in self.parts:
            for parameter in parameters:
                parameter.requires_grad_(epoch >= epochs)
            if epoch < epochs:
                resting.add(name)
            for layer in module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.train(epoch >= epochs)
        return tuple(sorted(resting))


def parameter_groups(modules: nn.ModuleDict, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Sort what learns into groups of one learning rate and one weight decay; as many as the settings tell apart.

    Every parameter stays in the order of the modules, so that a training without groups has a single one.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    owners = {
        id(parameter): (name, scale)
        for name, parts in parts_of(modules).items()
        for part in parts
        for parameter, scale in _scaled(name, part, settings.groups.get(name))
    }
    for parameter in modules.parameters():
        if parameter.requires_grad:
            name, scale = owners.get(id(parameter), ("", 1.0))
            group = settings.groups.get(name, GroupSettings())
            rate = (group.learning_rate or settings.learning_rate) * scale
            decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
            if parameter.ndim < 2 and not settings.decay_norms_and_biases:
                decay = 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _scaled(name: str, part: nn.Module, group: GroupSettings | None) -> Iterator[tuple[nn.Parameter, float]]:
    """Yield each parameter of a part, with the factor that layer decay gives its stage; 1 elsewhere.

    ``decay ^ (last stage - stage)``; before the stages as in the first.

    Source: Clark et al. 2020, arXiv:2003.10555, over stages in place of layers.
    """
    decay = group.layer_decay if group else 1.0
    if decay == 1 or name != _BACKBONES:
        yield from ((parameter, 1.0) for parameter in part.parameters())
        return
    for backbone in part.children():
        last = len(backbone.stages) - 1  # type: ignore[arg-type]
        for path, parameter in backbone.named_parameters():
            words = path.split(".")
            stage = int(words[1]) if words[0] == "stages" else 0
            yield parameter, decay ** (last - stage)
