"""Every preset of ours with every kind of backbone trains two steps, explains, and is exported."""

import pytest
import torch
from tiny import small_changes

from gazekit.contracts.types import Batch
from gazekit.exporting.deployed_model import DeployedModel
from gazekit.exporting.program_files import torch_program
from gazekit.modelling.build import build_attention_map, build_model, build_objective
from gazekit.presets.preset import Preset
from gazekit.registry.component import OWN
from gazekit.registry.discovery import ALL_FOREIGN, load_registry
from gazekit.registry.registry import Registry
from gazekit.testing.promises import random_gaze, random_tensor

SIZE = 64
FAST = ("test_vit", "test_convnext", "test_efficientnet")
"""Models of timm of some thousand parameters."""
SLOW = (
    *("resnet10t", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224"),
    "swin_tiny_patch4_window7_224",
)
QUICK = ("mammonet", "ga_net", "van_tulder_tokens", "double_model", "eg_vit", "harmonized")
"""Presets tried with more than one backbone in a default run."""
PRESETS = [
    each.name
    for each in load_registry(disable=[ALL_FOREIGN]).components("preset")
    if each.provenance.distribution == OWN
]


def with_backbone(registry: Registry, name: str, model: str) -> Preset:
    """The preset with few channels beside the backbone."""
    kept = [each for each in small_changes(name) if not each.startswith("backbone.")]
    overrides = [
        "backbone.use=timm",
        f"backbone.model={model}",
        "backbone.pretrained=false",
        f"data.size={SIZE}",
    ]
    if name == "eg_vit" and "vit" not in model:  # others have no class token
        overrides += ["backbone.show_attention=false", "pooling=mean", "attention_map=grad_cam"]
    return registry.preset(name, overrides=[*overrides, *kept])


def two_steps(registry: Registry, preset: Preset) -> None:
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2).train()
    objective = build_objective(preset, registry, model)
    views = preset.views
    batch = Batch(
        images={view: random_tensor(4, 1, SIZE, SIZE, seed=seed) for seed, view in enumerate(views)},
        labels=torch.tensor([0, 1, 0, 1]),
        gaze=random_gaze(views, SIZE, lacking=() if model.needs_gaze else (2,)),
        masks={
            view: (random_tensor(4, SIZE, SIZE, seed=seed) > 1).float() for seed, view in enumerate(views)
        },
    )
    parameters = [*model.parameters(), *objective.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=1e-3)
    before = [each.detach().clone() for each in model.backbones[0].parameters()]
    for _ in range(2):
        optimiser.zero_grad()
        loss = objective(model(batch.images, batch.gaze), batch).total
        loss.backward()
        optimiser.step()
    assert loss.isfinite()
    assert all(each.isfinite().all() for each in parameters)
    assert any(
        not torch.equal(was, now) for was, now in zip(before, model.backbones[0].parameters(), strict=True)
    )
    attention_map = build_attention_map(preset, registry)
    if attention_map is not None:
        gaze = batch.gaze if model.needs_gaze else None
        output, maps = model.eval().explain(batch.images, attention_map, gaze=gaze)
        assert output.logits.isfinite().all()
        assert all(each.ndim == 3 and each.isfinite().all() for each in maps.values())


CASES = [
    pytest.param(name, model, marks=[] if model == FAST[0] or name in QUICK else pytest.mark.slow)
    for name in PRESETS
    for model in FAST
]


@pytest.mark.parametrize(("name", "model"), CASES)
def test_every_preset_trains_on_every_backbone(registry: Registry, name: str, model: str) -> None:
    two_steps(registry, with_backbone(registry, name, model))


@pytest.mark.slow
@pytest.mark.parametrize("model", SLOW)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_on_backbones_that_people_use(registry: Registry, name: str, model: str) -> None:
    two_steps(registry, with_backbone(registry, name, model))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [(name, model) for name in PRESETS for model in FAST])
def test_every_preset_is_exported_with_every_backbone(registry: Registry, name: str, model: str) -> None:
    """As a graph that computes the same for another number of exams; maps of inner stages are left out."""
    preset = with_backbone(registry, name, model)
    torch.manual_seed(0)
    built = build_model(preset, registry, classes=2).eval()
    if built.needs_gaze:
        pytest.skip("it reads gaze at inference, which an exported model does not have")
    attention_map = None if built.shows_stages else build_attention_map(preset, registry)
    deployed = DeployedModel(built, attention_map, preset, (SIZE, SIZE)).eval()
    program = torch_program(deployed, (SIZE, SIZE), registry).module()
    given = deployed.examples((SIZE, SIZE), exams=3, seed=3)
    images, _ = deployed.named(given)
    if attention_map is None:
        expected = [built(images).logits.detach()]
    else:
        output, maps = built.explain(images, attention_map)
        expected = [output.logits.detach(), *(maps[view] for view in preset.views if view in maps)]
    for came, wanted in zip(program(*given), expected, strict=True):
        torch.testing.assert_close(came.detach(), wanted, rtol=1e-3, atol=1e-4)
