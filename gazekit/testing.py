"""Contracts that a plugin runs on its own components, in one line of pytest each.

Example::

    def test_contract():
        gazekit.testing.check_component("fusion", MyFusion, heads=2)

Each check raises AssertionError with what a component of that kind promises and what came instead.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.interfaces import AlignmentLoss, AttentionMap, Backbone, Fusion, ImageFusion, VectorFusion
from gazekit.promises import EXAMS, Run, check_function, check_gradient, check_module, check_shapes, promise
from gazekit.signature import check_signature
from gazekit.types import Output, Views

__all__ = [
    "check_alignment_loss",
    "check_attention_map",
    "check_backbone",
    "check_component",
    "check_fusion",
]

CHANNELS = 6
VIEWS = (("only",), ("cc", "mlo"), ("l_cc", "l_mlo", "r_cc", "r_mlo"))


def check_component(kind: str, cls: type[Any], /, **options: Any) -> None:
    """Check a component of any kind that has a contract here, its signature included.

    Args:
        kind: ``"backbone"``, ``"fusion"``, ``"attention_map"`` or ``"alignment_loss"``.
        cls: the component.
        options: its options; choose small ones, several instances are made.

    Raises:
        AssertionError: a promise is broken.
        ConfigurationError: the signature cannot serve as the schema of the options.
    """
    assert kind in _CHECKS, f"no contract for kind '{kind}'; there are {', '.join(_CHECKS)}"
    check_signature(cls)
    _CHECKS[kind](cls, **options)


def check_backbone(cls: type[Backbone], /, **options: Any) -> None:
    """Stages in a chain, each with the channels that it declares, on a grid that does not grow."""

    def run(backbone: Backbone, images: Views) -> Views:
        maps, stages, channels = images["image"], backbone.stages, backbone.channels
        promise(cls, "one entry of channels per stage", len(stages) == len(channels), channels)
        found = {}
        for number, (stage, width) in enumerate(zip(stages, channels, strict=True), start=1):
            grid = maps.shape[2:]
            maps = stage(maps)
            expected = f"maps [{len(maps)}, {width}, …] from stage {number}"
            promise(cls, expected, maps.ndim == 4 and maps.shape[1] == width, list(maps.shape))
            smaller = all(new <= old for new, old in zip(maps.shape[2:], grid, strict=True))
            promise(cls, f"a grid from stage {number} no larger than before", smaller, list(maps.shape))
            found[f"stage {number}"] = maps
        return found

    for in_channels in (1, 2):

        def build(in_channels: int = in_channels) -> Backbone:
            return cls(in_channels, **options)

        check_module(cls, build, run, {"image": _random(in_channels, 64, 64)})


def check_fusion(cls: type[Fusion], /, **options: Any) -> None:
    """One, two and four views at the level of the class: images, maps or vectors."""
    grid = () if issubclass(cls, VectorFusion) else (8, 6)
    fuse: Run = _fuse_maps
    if issubclass(cls, ImageFusion):
        fuse = _fuse_images
    elif issubclass(cls, VectorFusion):
        fuse = _fuse_vectors
    for views in VIEWS:

        def build(views: tuple[str, ...] = views) -> Fusion:
            return cls(views, CHANNELS, **options)

        check_module(
            cls, build, fuse, {view: _random(CHANNELS, *grid, seed=seed) for seed, view in enumerate(views)}
        )


def check_attention_map(cls: type[AttentionMap], /, **options: Any) -> None:
    """A map per view on the grid of its features, differentiable, for binary and multi-class heads."""
    for views in VIEWS:
        for outputs in (1, 3):
            head = nn.Linear(CHANNELS * len(views), outputs)

            def run(attention_map: AttentionMap, features: Views, head: nn.Linear = head) -> Views:
                output = _linear_output(features, head)
                target = (output.fused[:, 0] > 0).long()
                maps = attention_map(output, target)
                grids = {view: (*each.shape[:1], *each.shape[2:]) for view, each in features.items()}
                check_shapes(cls, maps, grids)
                try:
                    torch.autograd.grad(output.logits.sum(), head.weight, retain_graph=True)
                except RuntimeError as error:
                    promise(cls, "a graph of the logits that the other losses can still use", False, error)
                return maps

            features = {view: _random(CHANNELS, 5, 4, seed=seed) for seed, view in enumerate(views)}
            check_function(cls, cls(**options), run, features)
            check_gradient(cls, cls(**options), run, features)


def check_alignment_loss(cls: type[AlignmentLoss], /, **options: Any) -> None:
    """A loss per map, smaller where attention is on the gaze, that no constant map upsets."""

    def run(loss: AlignmentLoss, maps: Views) -> Views:
        losses = loss(maps["attention"], maps["gaze"])
        check_shapes(cls, {"loss": losses}, {"loss": (len(maps["gaze"]),)})
        return {"loss": losses}

    gaze = _random(24, 20).sigmoid()
    check_module(cls, lambda: cls(**options), run, {"attention": _random(6, 5, seed=1), "gaze": gaze})

    def against_gaze(loss: AlignmentLoss, maps: Views) -> Views:
        return run(loss, {**maps, "gaze": gaze})

    check_gradient(cls, cls(**options), against_gaze, {"attention": _random(6, 5, seed=1)})
    flat = {"attention": torch.full((EXAMS, 6, 5), 0.3)}
    check_gradient(cls, cls(**options), against_gaze, flat, may_vanish=True)
    blob = torch.zeros(1, 24, 20)
    blob[:, 4:10, 4:10] = 1.0
    on, off = cls(**options)(torch.cat([blob, blob.flip(1, 2)]), torch.cat([blob, blob])).tolist()
    promise(cls, "a smaller loss for attention on the gaze than beside it", on < off, f"{on} and {off}")


_CHECKS: Mapping[str, Callable[..., None]] = {
    "backbone": check_backbone,
    "fusion": check_fusion,
    "attention_map": check_attention_map,
    "alignment_loss": check_alignment_loss,
}


def _fuse_images(fusion: Any, images: Views) -> Views:
    gaze = {view: image[:, 0].sigmoid() for view, image in images.items()} if fusion.needs_gaze else None
    fused: Views = fusion(images, gaze)
    exams, _, *grid = next(iter(images.values())).shape
    check_shapes(type(fusion), fused, dict.fromkeys(fusion.views, (exams, fusion.in_channels, *grid)))
    return fused


def _fuse_maps(fusion: Any, maps: Views) -> Views:
    fused: Views = fusion(maps)
    check_shapes(type(fusion), fused, {view: tuple(each.shape) for view, each in maps.items()})
    return fused


def _fuse_vectors(fusion: Any, vectors: Views) -> Views:
    fused = fusion(vectors)
    exams = len(next(iter(vectors.values())))
    check_shapes(type(fusion), {"fused": fused}, {"fused": (exams, fusion.out_features)})
    losses = fusion.auxiliary_losses(vectors, fused)
    check_shapes(type(fusion), losses, dict.fromkeys(losses, ()))
    return {"fused": fused, **losses}


def _linear_output(features: Views, head: nn.Linear) -> Output:
    """What a model with a linear head on the pooled features gives."""
    pooled = {view: maps.mean(dim=(2, 3)) for view, maps in features.items()}  # [B, C]
    fused = torch.cat(list(pooled.values()), dim=1)
    return Output(head(fused), features, pooled, pooled, fused)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(EXAMS, *shape, generator=torch.Generator().manual_seed(seed))
