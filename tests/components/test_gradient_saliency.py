"""The gradient at a stage against its definition, and a loss on it: in half precision, through any attention."""

import gazekit_components.fusions.cross_attention
import numpy as np
import pytest
import torch
from gazekit_components.attention_maps.gradient_saliency import GradientSaliency
from tiny import tiny, without_batch_norm

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_attention_map, build_model, build_objective
from gazekit.modelling.model import MultiViewClassifier
from gazekit.presets.preset import Preset
from gazekit.registry.registry import Registry
from gazekit.testing.promises import random_tensor


def test_saliency_is_the_mean_gradient_at_a_stage_and_its_loss_reaches_the_backbone(
    registry: Registry,
) -> None:
    preset = tiny(registry, "attention_map=gradient_saliency", "fusion.maps=none", "pooling=gated")
    model = build_model(preset, registry, classes=2)
    without_batch_norm(model)
    images = {view: random_tensor(2, 1, 16, 16, seed=seed).double() for seed, view in enumerate(preset.views)}
    output = model(images)
    target = torch.tensor([0, 1])
    maps = GradientSaliency(stage=2)(output, target)
    for view in preset.views:
        stage = output.stages[view][1]
        for exam in range(2):
            score = output.logits[exam, 0] * (1 if target[exam] else -1)
            gradient = torch.autograd.grad(score, stage, retain_graph=True)[0][exam].numpy()
            expected = sum(gradient[c] for c in range(len(gradient))) / len(gradient)
            np.testing.assert_allclose(maps[view][exam].detach(), expected, rtol=1e-9, atol=1e-15)
    maps["cc"].square().sum().backward()
    later = [each.grad for each in model.backbones[0].stages[3].parameters() if each.ndim == 4]
    assert later and all(each is not None and each.any() for each in later)


def test_a_stage_that_is_not_there_is_refused(registry: Registry) -> None:
    model = build_model(tiny(registry, "attention_map=gradient_saliency"), registry, classes=2)
    output = model({view: torch.zeros(1, 1, 16, 16) for view in ("cc", "mlo")})
    with pytest.raises(ConfigurationError, match="expected a stage of 1 … 4, got 5"):
        GradientSaliency(stage=5)(output, torch.tensor([1]))


def reached(model: MultiViewClassifier, attention_map: object, side: int) -> list[str]:
    """The convolutions and products of the backbones that a loss on the maps reaches."""
    images = {view: random_tensor(2, 1, side, side, seed=seed) for seed, view in enumerate(model.views)}
    maps = attention_map(model(images), torch.tensor([0, 1]))
    sum((each - 0.1).square().sum() for each in maps.values()).backward()
    weights = [(name, each.grad) for name, each in model.backbones.named_parameters() if each.ndim > 1]
    assert weights
    return [name for name, gradient in weights if gradient is not None and gradient.any()]


@pytest.mark.parametrize(
    "chosen",
    [
        ("gradient_saliency", "attention_map.stage=1"),
        ("gradient_saliency", "attention_map.stage=4"),
        ("layer_cam", "attention_map.stage=2"),
        ("layer_cam", "attention_map.stage=4"),
    ],
)
def test_in_half_precision_the_map_is_the_same_but_for_rounding_and_learns_as_much(
    registry: Registry, chosen: tuple[str, str]
) -> None:
    use, stage = chosen
    preset = tiny(registry, f"attention_map={use}", stage, "fusion.maps=none")
    found = {}
    for amp in (None, torch.bfloat16):
        torch.manual_seed(0)
        model = build_model(preset, registry, classes=2).train()
        model.amp = amp
        attention_map = build_attention_map(preset, registry)
        images = {view: random_tensor(2, 1, 16, 16, seed=seed) for seed, view in enumerate(model.views)}
        maps = attention_map(model(images), torch.tensor([0, 1]))
        found[amp] = (
            torch.cat([each.detach().flatten() for each in maps.values()]),
            reached(model, attention_map, 16),
        )
    (exact, learning), (rounded, learning_too) = found.values()
    assert exact.any()
    assert (rounded - exact).norm() < 0.2 * exact.norm()
    assert learning_too == learning


def of_transformer(registry: Registry, *changes: str) -> Preset:
    backbone = ("backbone.model=test_vit", "backbone.pretrained=false", "data.size=32")
    return registry.preset("harmonized", overrides=[*backbone, *changes])


def learning(registry: Registry, preset: Preset, *, again: bool = False) -> MultiViewClassifier:
    """A model that its objective has been told of; with ``again`` it keeps no activations."""
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    build_objective(preset, registry, model)
    model.checkpoint_activations = again
    return model


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    "chosen",
    [
        ("attention_map.stage=1",),
        ("attention_map=layer_cam", "attention_map.stage=2", "attention_map.detach_weights=false"),
    ],
)
def test_fused_attention_of_a_transformer_is_differentiated_twice(
    registry: Registry, chosen: tuple[str, ...], again: bool
) -> None:
    preset = of_transformer(registry, *chosen)
    model = learning(registry, preset, again=again)
    assert reached(model, build_attention_map(preset, registry), 32)


@pytest.mark.parametrize(
    "chosen",
    [("gaze=none",), ("attention_map=layer_cam", "attention_map.stage=2"), ("attention_map=grad_cam",)],
)
def test_attention_stays_fused_where_no_loss_differentiates_a_gradient(
    registry: Registry, chosen: tuple[str, ...]
) -> None:
    assert not learning(registry, of_transformer(registry, *chosen)).composes_attention


def test_stages_that_are_computed_again_give_the_same_gradients(registry: Registry) -> None:
    preset = tiny(registry, "attention_map=gradient_saliency", "fusion.maps=none")
    found = {}
    for again in (False, True):
        model = learning(registry, preset, again=again)
        reached(model, build_attention_map(preset, registry), 16)
        found[again] = [each.grad for each in model.backbones.parameters()]
    torch.testing.assert_close(found[True], found[False], rtol=0, atol=0)


def test_fused_attention_between_views_is_differentiated_twice(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gazekit_components.fusions.cross_attention, "_FEW", 0)
    preset = tiny(registry, "attention_map=gradient_saliency", "fusion.maps=cross_attention")
    model = learning(registry, preset)
    assert reached(model, build_attention_map(preset, registry), 16)


def test_a_score_that_does_not_depend_on_the_stage_is_refused(registry: Registry) -> None:
    preset = of_transformer(registry, "pooling=class_token")
    model = build_model(preset, registry, classes=2).train()
    output = model({view: random_tensor(2, 1, 32, 32) for view in model.views})
    last = len(output.stages["cc"])
    with pytest.raises(ConfigurationError, match="the score does not depend on the feature maps"):
        GradientSaliency(stage=last)(output, torch.tensor([0, 1]))
