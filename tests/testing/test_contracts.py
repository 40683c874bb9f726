"""Every registered component keeps the contract of its kind, and each promise can be broken."""

import random
import unittest
from collections.abc import Sequence
from typing import Any

import gazekit_baselines
import gazekit_components
import pytest
import torch
from gazekit_components.backbones.timm_backbone import TimmBackbone
from torch import Tensor, nn

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import DURATION
from gazekit.contracts.interfaces import (
    AlignmentLoss,
    Backbone,
    ImageFusion,
    MapFusion,
    Pooling,
    Term,
    VectorFusion,
)
from gazekit.contracts.types import Batch, Extras, Output, Views
from gazekit.errors import ConfigurationError
from gazekit.registry.component import Component, Provenance, check_contract
from gazekit.registry.registry import Registry
from gazekit.testing import check_component, contract
from gazekit.testing.promises import promise

SMALL: dict[str, list[dict[str, Any]]] = {
    "timm": [
        {"model": "test_resnet", "pretrained": False},
        {"model": "test_vit", "pretrained": False, "show_attention": True},
    ],
    "small_resnet": [{"widths": (4, 6, 8, 10)}],
    "gem": [{}, {"power": 1.0, "learn_power": False}],
    "gated": [{"features": 5}],
    "concat": [{}, {"hidden": (5, 4), "activation": "relu", "dropout": 0.5}],
    "bfl": [{"hidden": (5,)}, {"hidden": (), "anchor": "view", "dropout": 0.5}],
    "cross_attention": [
        {"heads": 2, "head_dim": 4, "norm": norm, "dropout": 0.3} for norm in ("map", "layer", "instance")
    ],
    "token_attention": [{"tokens": 3, "layers": 2, "heads": 2, "head_dim": 4, "dropout": 0.3}],
    "phresnet": [{"width": 4}, {"width": 4, "n": 1}],
    "gaze_overlay": [{"strength": 0.5}],
    "gaze_mask": [{"patch": 4}],
    "grad_cam": [{}, {"detach_weights": False}, {"relu": True}],
    "grad_cam_pp": [{}, {"detach_weights": False}, {"relu": True}],
    "hires_cam": [{}, {"detach_weights": False}, {"relu": True}],
    "layer_cam": [{}, {"stage": 1, "detach_weights": False}, {"relu": True}],
    "class_attention": [{}, {"heads": (1,)}],
    "pyramid": [{"levels": 3}, {"levels": 3, "order": "standardize_first"}],
    "kl": [{}, {"temperature": 0.5}, {"normalise": "positive"}],
    "dice": [{}, {"overlap": "minimum"}],
    "nss": [{}, {"weights": "equal"}],
}
"""Component → options to try, small where the defaults are large; a component that is not here has its defaults."""
TABLES = {
    "backbone": gazekit_components.gazekit_backbones() | gazekit_baselines.gazekit_backbones(),
    "pooling": gazekit_components.gazekit_poolings(),
    "fusion": gazekit_components.gazekit_fusions() | gazekit_baselines.gazekit_fusions(),
    "attention_map": gazekit_components.gazekit_attention_maps(),
    "alignment_loss": gazekit_components.gazekit_alignment_losses(),
}
CASES = [
    pytest.param(kind, cls, options, id=f"{name}-{index}")
    for kind, table in TABLES.items()
    for name, cls in table.items()
    for index, options in enumerate(SMALL.get(name, [{}]))
]


@pytest.mark.parametrize(("kind", "cls", "options"), CASES)
def test_every_component_keeps_its_contract(kind: str, cls: type[Any], options: dict[str, Any]) -> None:
    """And each of our own is tried on another device."""
    tests = contract(kind, cls, **options)
    for name in tests.promises(all_of_them=False):
        try:
            getattr(tests(), name)()
        except unittest.SkipTest as reason:
            if name == "test_devices":
                pytest.fail(f"{cls.__name__}: {reason}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile itself
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")  # of a pure function
@pytest.mark.parametrize(("kind", "cls", "options"), CASES)
def test_every_module_can_be_compiled(kind: str, cls: type[Any], options: dict[str, Any]) -> None:
    tests = contract(kind, cls, **options)
    costly = [name for name in tests.promises() if name not in tests.promises(all_of_them=False)]
    for name in costly:
        getattr(tests(), name)()


def test_every_region_keeps_its_contract(registry: Registry) -> None:
    components = registry.components("region")
    assert components
    for component in components:
        check_component("region", component.value)


@pytest.mark.parametrize("kind", ["dataset", "gaze_reader"])
def test_every_source_and_reader_documents_its_options(kind: str, registry: Registry) -> None:
    for component in registry.components(kind):
        contract(kind, component.value)().test_signature()


class _Backbone(Backbone):
    """A sound backbone of two stages."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.channels = (2, 3)
        self.stages = nn.ModuleList([nn.Conv2d(in_channels, 2, 3, stride=2), nn.Conv2d(2, 3, 3)])


class _Pooling(Pooling):
    """Sound: the largest of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        return maps.amax(dim=(2, 3))


class NoMean(_Pooling):
    is_mean = True


class KeepsTheGrid(_Pooling):
    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        return maps.flatten(1)


class ReadsNothing(_Pooling):
    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        return 0 * super().forward(maps, extras)


class AddsEveryExtra(_Pooling):
    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        return super().forward(maps, extras) + sum(each.flatten(1)[:, :1] for each in extras.values())


class _OfOneSize(Backbone):
    """Learns where a place is, so that it needs to know how many there are."""

    def __init__(self, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.channels = (in_channels,)
        self.stages = nn.ModuleList([_Places(in_channels, size)])


class _Places(nn.Module):
    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.places


class KeepsAMap(_Backbone):
    """Its second stage reads what the first one saw last."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.stages = nn.ModuleList([_First(in_channels), _Second(2, 3, 1)])
        self.stages[1].first = [self.stages[0]]


class _First(nn.Conv2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        self.seen = super().forward(maps)
        return self.seen.tanh()


class _Second(nn.Conv2d):
    first: list[_First]

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps + self.first[0].seen)


class UndeclaredStage(_Backbone):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.channels = (2,)


class WrongChannels(_Backbone):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.channels = (2, 4)


class GrowingGrid(_Backbone):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.stages[1] = nn.ConvTranspose2d(2, 3, 3)


class UnusedParameter(_Backbone):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.forgotten = nn.Linear(1, 1)


class _Fusion(VectorFusion):
    """A sound fusion: the mean of a linear layer of each view."""

    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.out_features = 4
        self.linear = nn.Linear(channels, 4)

    def forward(self, vectors: Views) -> Tensor:
        fused: Tensor = sum(map(self.linear, vectors.values())) / len(vectors)
        return fused


class Undocumented(_Fusion):
    """It has an option and does not say so."""

    def __init__(self, views: tuple[str, ...], channels: int, *, temperature: float = 1.0) -> None:
        super().__init__(views, channels)


class PositionalOption(_Fusion):
    def __init__(self, views: tuple[str, ...], channels: int, width: int = 4) -> None:
        super().__init__(views, channels)


class WholeNumbers(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors).long()


class SinglePrecisionOnly(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward({view: vector.float() for view, vector in vectors.items()}).float()

    def double(self) -> "SinglePrecisionOnly":
        return self


class NoHalfPrecision(_Fusion):
    """65504 is the largest float16; bfloat16 overflows only beyond 3e38, which the square of 1e20 is."""

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        return fused if fused.dtype != torch.bfloat16 else fused / 0


class WrongGradient(_Fusion):
    """A gradient of something else than what it computes."""

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        return fused * 2 - fused.detach()


class OnTheProcessor(_Fusion):
    """Makes a tensor without saying on which device."""

    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) + torch.arange(4.0)


class Remembers(_Fusion):
    """Adds what it saw last."""

    last = 0.0

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors) + self.last
        self.last = float(fused.detach().mean()) if not fused.is_meta else 0.0
        return fused


class OtherRandomNumbers(_Fusion):
    """Draws its noise in training from Python's generator."""

    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) + (random.random() if self.training else 0)


class KnowsItsViews(_Fusion):
    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.sign = -1 if "front" in views else 1

    def forward(self, vectors: Views) -> Tensor:
        return self.sign * super().forward(vectors)


class SortsItsViews(_Fusion):
    """The views have the order of the alphabet, whatever the preset says."""

    def forward(self, vectors: Views) -> Tensor:
        ordered = [vectors[view] for view in sorted(vectors)]
        return super().forward(vectors) + self.linear(ordered[0])


class TakesItsInputsAway(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        vectors.clear()
        return fused


class UsesParametersSometimes(_Fusion):
    """From the second training step on a parameter takes no part."""

    steps = 0

    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.rare = nn.Parameter(torch.zeros(4))

    def forward(self, vectors: Views) -> Tensor:
        self.steps += self.training
        fused = super().forward(vectors)
        return fused + self.rare if self.steps < 2 else fused


class WrongWidth(_Fusion):
    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.out_features = 5


class MixesExams(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) - super().forward(vectors).mean(dim=0)


class DependsOnOrder(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors).cumsum(dim=0)


class RandomInEval(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return nn.functional.dropout(super().forward(vectors), 0.5, training=True)


class ChangesItsInput(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward({view: vector.mul_(2) for view, vector in vectors.items()})


class StateOutsideTheStateDict(_Fusion):
    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.shift = float(torch.randn(()))

    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) + self.shift


class RemembersTraining(_Fusion):
    """Switching to training and back changes what it computes."""

    spells = 0

    def train(self, mode: bool = True) -> "RemembersTraining":
        self.spells += mode
        super().train(mode)
        return self

    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) * (1 + self.spells)


class InfiniteGradient(_Fusion):
    """sqrt has an infinite slope at 0."""

    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) + (self.linear.bias * 0).abs().sqrt()


class NotFinite(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        return super().forward(vectors) / 0


class VectorLoss(_Fusion):
    def auxiliary_losses(self, vectors: Views, fused: Tensor) -> dict[str, Tensor]:
        return {"unreduced": fused.mean(dim=1)}


class SeedsTorch(_Fusion):
    """All that is built after it is the same in every run."""

    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        torch.manual_seed(7)
        super().__init__(views, channels)


class SeedsTorchInTraining(_Fusion):
    def forward(self, vectors: Views) -> Tensor:
        if self.training:
            torch.manual_seed(7)
        return super().forward(vectors)


class SetsTheDefault(_Fusion):
    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        torch.set_default_dtype(torch.float64)


class CentreOutsideTheStateDict(_Fusion):
    """Learns a centre in training, which no run keeps."""

    centre: Tensor | float = 0.0

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * fused.detach().mean(dim=0)
            return fused
        return fused - self.centre


class NoiseOfItsOwn(_Fusion):
    """A generator that goes on from step to step: a training that is resumed begins it again."""

    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        if not self.training:
            return fused
        return fused + torch.randn(fused.shape, generator=self.generator).to(fused)


class LosesAView(MapFusion):
    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__()

    def forward(self, maps: Views) -> Views:
        return dict(list(maps.items())[:1])


class ShrinksMaps(LosesAView):
    def forward(self, maps: Views) -> Views:
        return {view: each[..., ::2] for view, each in maps.items()}


class UndeclaredView(ImageFusion):
    def __init__(self, views: tuple[str, ...], in_channels: int) -> None:
        super().__init__()
        self.views, self.in_channels = ("stack",), in_channels

    def forward(self, images: Views, gaze: Views | None) -> Views:
        return dict(images)


class HalvesGaze(ImageFusion):
    needs_gaze = "training"

    def __init__(self, views: tuple[str, ...], in_channels: int) -> None:
        super().__init__()
        self.views, self.in_channels = views, in_channels

    def forward(self, images: Views, gaze: Gaze | None) -> Views:
        if gaze is not None:
            return {view: image + gaze[view].detach().div_(2)[:, None] for view, image in images.items()}
        return dict(images)


class NormedGaze(ImageFusion):
    """Keeps its contract; its batch norm cannot train on one exam."""

    needs_gaze = "always"

    def __init__(self, views: tuple[str, ...], in_channels: int) -> None:
        super().__init__()
        self.views, self.in_channels = views, in_channels
        self.norm = nn.BatchNorm1d(in_channels)

    def forward(self, images: Views, gaze: Gaze | None) -> Views:
        assert gaze is not None
        looked_at = {view: (image * gaze[view][:, None]).mean((2, 3)) for view, image in images.items()}
        return {view: image * self.norm(looked_at[view])[..., None, None] for view, image in images.items()}


class _Map:
    """A sound attention map: the mean over channels."""

    def __call__(self, output: Output, target: Tensor) -> Views:
        return {view: maps.mean(dim=1) for view, maps in output.features.items()}


class DetachedMap(_Map):
    def __call__(self, output: Output, target: Tensor) -> Views:
        return {view: each.detach() for view, each in super().__call__(output, target).items()}


class SortedMaps(_Map):
    def __call__(self, output: Output, target: Tensor) -> Views:
        maps = super().__call__(output, target)
        first = min(maps)
        return {view: each * (2 if view == first else 1) for view, each in maps.items()}


class FreesTheGraph(_Map):
    def __call__(self, output: Output, target: Tensor) -> Views:
        torch.autograd.grad(output.logits.square().sum(), list(output.pooled.values()))
        return super().__call__(output, target)


class DoublesLogits(_Map):
    def __call__(self, output: Output, target: Tensor) -> Views:
        output.logits.detach().mul_(2)
        return super().__call__(output, target)


class LearnsACentre(nn.Module):
    """Forgets with what it learnt when it is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.centre = nn.Parameter(torch.ones(())), 0.0

    def __call__(self, output: Output, target: Tensor) -> Views:
        maps = {view: self.scale * each.mean(dim=1) for view, each in output.features.items()}
        if self.training:
            self.centre = float(next(iter(maps.values())).detach().mean())
        return {view: each - self.centre for view, each in maps.items()}


class ResizesMap(_Map):
    def __call__(self, output: Output, target: Tensor) -> Views:
        return {view: each[:, ::2] for view, each in super().__call__(output, target).items()}


class _Loss(AlignmentLoss):
    """A sound loss on a gaze heat map brought to the grid of the attention."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        resized = nn.functional.interpolate(gaze[:, None], attention.shape[1:], mode="bilinear")[:, 0]
        return (attention - resized).square().mean(dim=(1, 2))


class Reduces(_Loss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return super().forward(attention, gaze).mean()


class LikesDistance(_Loss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return -super().forward(attention, gaze)


class UpsetByConstants(_Loss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        spread = (attention - attention.mean(dim=(1, 2), keepdim=True)).norm(dim=(1, 2), keepdim=True)
        return super().forward(attention / spread, gaze)


class UpsetByMissingGaze(_Loss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return super().forward(attention, gaze / gaze.amax(dim=(1, 2), keepdim=True))


class IgnoresAttention(_Loss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return super().forward(attention * 0, gaze)


class _FixationLoss(AlignmentLoss):
    """A sound loss on fixations: minus the share of attention, a softmax, in the cells that were looked at."""

    reads = "fixations"

    def __init__(self) -> None:
        super().__init__()

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        share = attention.flatten(1).float().softmax(dim=1).to(attention.dtype)
        used = ~gaze.isnan().any(dim=2)  # [B, F]
        column, row = (torch.where(used, gaze[..., axis], 0).long() for axis in (0, 1))
        cell = (row * attention.shape[2] + column).clamp(0, share.shape[1] - 1)
        values = torch.where(used, share.gather(1, cell), 0.0)
        return -values.sum(dim=1) / used.sum(dim=1).clamp(min=1)


class CountsUnusedRows(_FixationLoss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return super().forward(attention, gaze) / gaze.shape[1]


class UpsetByUnusedRows(_FixationLoss):
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return (
            super().forward(attention, gaze) * gaze.isnan().logical_not().all(dim=2).sum(dim=1).reciprocal()
        )


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        *(
            ("backbone", _Backbone),
            ("pooling", _Pooling),
            ("backbone", _OfOneSize),
            ("fusion", _Fusion),
            ("attention_map", _Map),
            ("alignment_loss", _Loss),
        ),
        ("alignment_loss", _FixationLoss),
        ("fusion", NormedGaze),
    ],
)
def test_a_sound_component_passes(kind: str, cls: type[Any]) -> None:
    check_component(kind, cls)


@pytest.mark.parametrize(
    ("kind", "cls", "promised"),
    [
        ("backbone", UndeclaredStage, "one entry of channels per stage"),
        ("backbone", WrongChannels, r"maps \[1, 4, …\] from stage 2; came: \[1, 3"),
        ("backbone", KeepsAMap, "stages that keep nothing of an image for a later one"),
        ("backbone", GrowingGrid, "stage 2 no larger than before"),
        ("backbone", UnusedParameter, "a gradient for forgotten.weight; came: none"),
        ("pooling", NoMean, "the mean over space, because is_mean = True"),
        ("pooling", KeepsTheGrid, r"pooled of shape \[1, 6\]; came: \[1, 120\]"),
        ("pooling", ReadsNothing, "a gradient for maps; came: zeros"),
        ("pooling", AddsEveryExtra, "the same results whatever else a stage shows"),
        ("fusion", Undocumented, r"docstring per option; came: \['temperature'\]"),
        ("fusion", WholeNumbers, "fused of floating dtype; came: torch.int64"),
        ("fusion", SinglePrecisionOnly, "float64 results from float64"),
        ("fusion", NoHalfPrecision, "under autocast finite fused"),
        ("fusion", WrongGradient, "the gradients of what it computes"),
        ("fusion", OnTheProcessor, "to work on device 'meta'"),
        ("fusion", Remembers, "called twice"),
        ("fusion", OtherRandomNumbers, "the same results from the same seed"),
        ("fusion", KnowsItsViews, "whatever the views are called"),
        ("fusion", SortsItsViews, r"whatever the views are called, e.g. \['side', 'front'\]"),
        ("fusion", UsesParametersSometimes, "every parameter to take part in every step"),
        ("fusion", TakesItsInputsAway, r"leave its inputs as they are; came: \[\]"),
        ("fusion", WrongWidth, r"fused of shape \[1, 5\]; came: \[1, 4\]"),
        ("fusion", MixesExams, "for an exam alone"),
        ("fusion", DependsOnOrder, "the order of the exams"),
        ("fusion", RandomInEval, "called twice"),
        ("fusion", ChangesItsInput, "leave its inputs"),
        ("fusion", StateOutsideTheStateDict, "state dict"),
        ("fusion", RemembersTraining, r"before and after train\(\)"),
        ("fusion", InfiniteGradient, "a finite gradient for linear.bias"),
        ("fusion", SeedsTorch, "leave torch's seed as it is; came: 7"),
        ("fusion", SeedsTorchInTraining, "leave torch's seed as it is; came: 7"),
        ("fusion", SetsTheDefault, "leave torch's default dtype as it is; came: torch.float64"),
        ("fusion", CentreOutsideTheStateDict, "a state dict that holds everything"),
        ("fusion", NoiseOfItsOwn, "the same seed and state dict, whatever came before"),
        ("fusion", HalvesGaze, "to leave heat maps.*; came: heat map of only changed in place"),
        ("fusion", NotFinite, "finite fused"),
        ("fusion", VectorLoss, r"unreduced of shape \[\]"),
        ("fusion", LosesAView, r"results for \['front', 'side'\]; came: \['front'\]"),
        ("fusion", ShrinksMaps, r"only of shape \[1, 6, 8, 6\]"),
        ("fusion", UndeclaredView, r"results for \['stack'\]"),
        ("attention_map", DetachedMap, "differentiable"),
        ("attention_map", SortedMaps, r"whatever the views are called, e.g. \['side', 'front'\]"),
        ("attention_map", FreesTheGraph, "a graph of the logits"),
        ("attention_map", DoublesLogits, "to leave the output.*; came: logits changed in place"),
        ("attention_map", LearnsACentre, "a state dict that holds everything its maps depend on"),
        ("attention_map", ResizesMap, r"only of shape \[1, 5, 4\]"),
        ("alignment_loss", Reduces, r"loss of shape \[1\]"),
        ("alignment_loss", LikesDistance, "a smaller loss"),
        ("alignment_loss", UpsetByConstants, "finite loss; came: NaN or infinity"),
        ("alignment_loss", UpsetByMissingGaze, "finite loss; came: NaN"),
        ("alignment_loss", IgnoresAttention, "a gradient for attention; came: zeros"),
        ("alignment_loss", CountsUnusedRows, "the same loss however many rows are unused"),
        ("alignment_loss", UpsetByUnusedRows, "finite loss; came: NaN"),
    ],
)
def test_each_promise_can_be_broken(kind: str, cls: type[Any], promised: str) -> None:
    with pytest.raises(AssertionError, match=rf"{cls.__name__} promises .*{promised}"):
        check_component(kind, cls)


class LooksAtItsNumbers(_Pooling):
    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        return super().forward(maps, extras) if maps.sum() > 0 else maps.amin(dim=(2, 3))


class ForThreeExams(_Backbone):
    """Knows how many exams there are."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.stages.insert(0, _Repeated(in_channels))
        self.channels = (in_channels, *self.channels)


class _Repeated(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.stack([maps[exam] * self.scale for exam in range(len(maps))])


@pytest.mark.parametrize(("kind", "cls"), [("pooling", LooksAtItsNumbers), ("backbone", ForThreeExams)])
def test_what_cannot_be_exported_is_found(kind: str, cls: type[Any]) -> None:
    with pytest.raises(AssertionError, match=f"{cls.__name__} promises a program of torch.export"):
        contract(kind, cls)().test_exported()


def test_what_can_be_exported_passes() -> None:
    contract(
        "backbone", TimmBackbone, model="test_vit", pretrained=False, show_attention=True
    )().test_exported()
    contract("pooling", _Pooling)().test_exported()


class CallsAutocast(_Loss):
    """Asks for autocast by the device's name, which ``meta`` does not know."""

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        with torch.autocast(attention.device.type, enabled=False):
            return super().forward(attention.to(torch.promote_types(attention.dtype, torch.float32)), gaze)


@pytest.mark.parametrize(
    ("kind", "cls", "unchecked"),
    [
        ("alignment_loss", CallsAutocast, {"test_devices": "'meta' has no autocast"}),
        ("alignment_loss", _Loss, {}),
        ("attention_map", _Map, {}),
        ("fusion", _Fusion, {}),
        ("backbone", _Backbone, {}),
    ],
)
def test_what_cannot_be_checked_is_not_said_to_be_kept(
    kind: str, cls: type[Any], unchecked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tests = contract(kind, cls)
    expected = dict(unchecked)
    if kind == "alignment_loss":
        expected |= dict.fromkeys(
            ("test_gradient_of_parameters", "test_several_processes"), "it has no parameters"
        )
    found = {}
    for name in tests.promises(all_of_them=False):
        try:
            getattr(tests(), name)()
        except unittest.SkipTest as reason:
            found[name] = str(reason)
    assert found.keys() == expected.keys()
    assert all(expected[name] in reason for name, reason in found.items())


class WrongGradientOfTwoViews(_Fusion):
    """No parameters with one view, as a cross-attention has none; with more a gradient that is not finite."""

    def __init__(self, views: tuple[str, ...], channels: int) -> None:
        super().__init__(views, channels)
        self.out_features = channels
        self.linear = nn.Linear(channels, channels) if len(views) > 1 else nn.Identity()

    def forward(self, vectors: Views) -> Tensor:
        fused = super().forward(vectors)
        return fused + (self.linear.bias * 0).abs().sqrt() if len(vectors) > 1 else fused


def test_a_case_without_parameters_hides_no_other() -> None:
    with pytest.raises(AssertionError, match=r"a finite gradient for linear\.bias"):
        contract("fusion", WrongGradientOfTwoViews)().test_gradient_of_parameters()


def test_a_gradient_that_is_cut_is_not_checked() -> None:
    tests = contract("fusion", WrongGradient)
    tests.stops_gradients = True
    with pytest.raises(unittest.SkipTest, match="cut on purpose"):
        tests().test_gradients()
    tests().test_double_precision()


def test_an_option_without_a_default_is_no_schema() -> None:
    class NoDefault(_Fusion):
        def __init__(self, views: tuple[str, ...], channels: int, *, width: int) -> None:
            super().__init__(views, channels)

    with pytest.raises(ConfigurationError, match="width"):
        check_component("fusion", NoDefault, width=3)


def test_a_kind_without_a_contract_is_named() -> None:
    with pytest.raises(AssertionError, match="no contract for kind 'optimiser'; there are backbone"):
        check_component("optimiser", _Loss)


def test_random_numbers_of_the_caller_are_untouched() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_component("fusion", _Fusion)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("passes_over_nan", [False, True])
def test_a_term_that_reads_what_it_does_not_declare_is_found(passes_over_nan: bool) -> None:
    class Secret(Term):
        """Reads gaze if there is some, and does not say so.

        Args:
        """

        def __init__(self, views: Sequence[str], channels: int) -> None:
            super().__init__()
            self.views = tuple(views)

        def forward(self, output: Output, batch: Batch) -> Tensor:
            value = output.logits[:, 0].square()
            for view in self.views if batch.gaze is not None else ():
                durations = batch.gaze.fixations[view][..., DURATION]
                value = value + (durations.nan_to_num(0) if passes_over_nan else durations).sum(dim=1)
            return value

    with pytest.raises(AssertionError, match="does not name"):
        contract("term", Secret)().test_needs()


@pytest.mark.parametrize("read", ["fixations", "heat map"])
def test_a_fusion_of_images_that_passes_over_nan_and_reads_gaze_undeclared_is_found(read: str) -> None:
    class Dims(ImageFusion):
        """Dims an image by its gaze if it gets some, and does not say so."""

        def __init__(self, views: tuple[str, ...], in_channels: int) -> None:
            super().__init__()
            self.views, self.in_channels = views, in_channels

        def forward(self, images: Views, gaze: Gaze | None) -> Views:
            return {view: image * self._factor(gaze, view) for view, image in images.items()}

        def _factor(self, gaze: Gaze | None, view: str) -> Tensor:
            if gaze is None:
                return torch.ones(1, 1, 1, 1)
            if read == "heat map":
                return 1 - gaze[view].nan_to_num(0)[:, None] / 2
            durations = gaze.fixations[view][..., DURATION].nan_to_num(0).sum(dim=1)
            return 1 / (1 + durations[:, None, None, None])

    with pytest.raises(AssertionError, match="whatever gaze holds"):
        contract("fusion", Dims)().test_needs_gaze()


class _Reads(Term):
    """Sound: how far the mean of the maps is from the mean of the heat maps."""

    needs = frozenset({"gaze"})

    def __init__(self, views: Sequence[str], channels: int) -> None:
        super().__init__()
        self.views = tuple(views)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        assert batch.gaze is not None
        found = [
            torch.where(
                batch.gaze.present(view),
                (output.features[view].mean(dim=(1, 2, 3)) - self.heat(batch.gaze[view])).square(),
                torch.nan,
            )
            for view in self.views
        ]
        return torch.stack(found, dim=1)

    def heat(self, heat_map: Tensor) -> Tensor:
        return heat_map.mean(dim=(1, 2))


class ScalesGaze(_Reads):
    def heat(self, heat_map: Tensor) -> Tensor:
        heat_map /= heat_map.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        return super().heat(heat_map)


class ChangesLabels(_Reads):
    def forward(self, output: Output, batch: Batch) -> Tensor:
        batch.labels.clamp_(max=0)
        return super().forward(output, batch)


@pytest.mark.parametrize(("cls", "changed"), [(ScalesGaze, "heat map of only"), (ChangesLabels, "labels")])
def test_a_term_that_changes_what_others_read_is_found(cls: type[Any], changed: str) -> None:
    check_component("term", _Reads)
    with pytest.raises(AssertionError, match=f"which other terms read, as they are; came: {changed} changed"):
        check_component("term", cls)


def test_a_term_may_not_take_an_option_of_its_table() -> None:
    class Weighted(Term):
        """Has an option that a preset's table means itself.

        Args:
            weight: hidden by the weight of the term.
        """

        def __init__(self, views: Sequence[str], channels: int, *, weight: float = 1.0) -> None:
            super().__init__()

        def forward(self, output: Output, batch: Batch) -> Tensor:
            return output.logits[:, 0]

    with pytest.raises(ConfigurationError, match="an option 'weight'"):
        check_contract(Component("term", "weighted", Weighted, Provenance("p", "d", "1")))


@pytest.mark.parametrize(
    ("kind", "base", "attribute", "said"),
    [
        (
            "fusion",
            HalvesGaze,
            {"needs_gaze": "trainig"},
            "needs_gaze is 'trainig'; expected 'never' or 'training'",
        ),
        (
            "alignment_loss",
            _Loss,
            {"reads": "fixation"},
            "reads is 'fixation'; expected 'heat_map' or 'fixations'",
        ),
        ("term", _Reads, {"needs": frozenset({"gase"})}, "expected a frozenset of 'gaze' and 'masks'"),
        ("term", _Reads, {"needs": frozenset({"fixations"})}, "'fixations' beside 'gaze'"),
        ("term", _Reads, {"needs": {"gaze"}}, r"needs is \{'gaze'\}; expected a frozenset"),
    ],
)
def test_a_declaration_that_would_hand_a_component_nothing_is_refused(
    kind: str, base: type[Any], attribute: dict[str, Any], said: str
) -> None:
    wrong = type("Wrong", (base,), attribute)
    for check in (
        lambda: check_contract(Component(kind, "wrong", wrong, Provenance("p", "d", "1"))),
        lambda: contract(kind, wrong)().test_signature(),
    ):
        with pytest.raises(ConfigurationError, match=said):
            check()


def test_a_message_about_a_promise_quotes_no_whole_file() -> None:
    error = UnicodeDecodeError("utf-8", bytes(range(256)) * 20, 128, 129, "invalid start byte")
    with pytest.raises(
        AssertionError, match=r"^int promises fits to raise nothing; came: UnicodeDecode"
    ) as found:
        promise(int, "fits to raise nothing", False, f"{error!r} for bytes.dat")
    said = str(found.value)
    assert len(said) < 500 and said.endswith("'invalid start byte') for bytes.dat") and " … " in said
