"""A preset small enough for tests, and batches of random exams for it."""

import torch
from torch import nn

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.types import Batch
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry

SMALL = ("backbone.use=small_resnet", "backbone.widths=[4,6,8,10]")
_ATTENTION = ["fusion.maps.heads=2", "fusion.maps.head_dim=3"]


def tiny(registry: Registry, *overrides: str, preset: str = "mammonet_small") -> Preset:
    """A preset of ours with very few channels; 16-px images give 2 × 2 maps."""
    few = ["fusion.maps.heads=2", "fusion.maps.head_dim=3"] if preset == "mammonet_small" else []
    levels = ["gaze.alignment_loss.levels=2"] if preset == "mammonet_small" else []
    small = () if any(each.startswith("backbone.use=") for each in overrides) else SMALL
    return registry.preset(preset, overrides=[*small, *few, *levels, "model.vector_features=7", *overrides])


def small_changes(preset: str) -> list[str]:
    """What makes any preset of ours small enough for tests."""
    if preset == "phresnet":
        return ["backbone.width=4"]
    if preset == "eg_vit":
        return ["backbone.model=test_vit", "backbone.pretrained=false"]
    attention = "cross_view" in preset or preset in (
        *("mammonet", "mammonet_vit", "van_tulder_pixels", "van_tulder_tokens"),
    )
    tokens = ["fusion.maps.tokens=4"] if preset == "van_tulder_tokens" else []
    return [*SMALL, *(_ATTENTION if attention else []), *tokens]


def random_batch(
    views: tuple[str, ...], exams: int = 4, size: int = 32, classes: int = 2, seed: int = 0
) -> Batch:
    """Noise images and heat maps; every exam has gaze."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        images={view: torch.randn(exams, 1, size, size, generator=generator) for view in views},
        labels=torch.arange(exams) % classes,
        gaze=Gaze.of_heat_maps({view: torch.rand(exams, size, size, generator=generator) for view in views}),
    )


def without_batch_norm(model: nn.Module) -> None:
    """In float64, and with each exam normalised by itself."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(1, child.num_features))
    model.double()
