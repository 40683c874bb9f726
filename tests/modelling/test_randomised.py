"""Layers get random weights, from the logits down, and get the trained ones back to the bit."""

import pytest
import torch
from tiny import random_batch, small_changes, tiny

from gazekit.modelling.build import build_model
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.randomised import layers_of, randomised
from gazekit.registry.registry import Registry


def built(registry: Registry, preset: str, seed: int) -> MultiViewClassifier:
    torch.manual_seed(seed)
    chosen = registry.preset(preset, overrides=small_changes(preset))
    return build_model(chosen, registry, classes=2, size=(32, 32)).eval()


@pytest.mark.parametrize("preset", ["mammonet_small", "late_concat", "ga_net", "two_channel", "phresnet"])
def test_every_parameter_belongs_to_one_layer(registry: Registry, preset: str) -> None:
    model = built(registry, preset, 0)
    owned = [id(p) for modules in layers_of(model).values() for m in modules for p in m.parameters()]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


def test_layers_go_from_the_logits_down(registry: Registry) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(registry), registry, classes=2)
    assert list(layers_of(model)) == [
        *("head", "vector fusion", "projections", "stage 4", "map fusion", "stage 3", "stage 2", "stage 1")
    ]
    learnt = torch.nn.Conv2d(1, 1, 1)
    assert next(iter(layers_of(model, learnt).items())) == ("attention map", [learnt])  # type: ignore[arg-type]


def test_a_model_with_all_layers_random_is_another_model_and_then_itself(registry: Registry) -> None:
    model, other = built(registry, "mammonet_small", 0), built(registry, "mammonet_small", 1)
    with torch.no_grad():
        for buffer in model.buffers():
            buffer.add_(1)  # statistics of a training
    images = random_batch(("cc", "mlo")).images
    before = {name: each.clone() for name, each in model.state_dict().items()}
    own, theirs = model(images).logits, other(images).logits
    layers, fresh = layers_of(model), layers_of(other)
    with randomised(layers, fresh, layers):
        assert torch.equal(model(images).logits, theirs)
    assert torch.equal(model(images).logits, own)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())


def test_a_layer_alone_changes_only_itself(registry: Registry) -> None:
    model, other = built(registry, "mammonet_small", 0), built(registry, "mammonet_small", 1)
    layers, fresh = layers_of(model), layers_of(other)
    before = {name: each.clone() for name, each in model.named_parameters()}
    with randomised(layers, fresh, ["stage 2"]):
        changed = {name for name, each in model.named_parameters() if not torch.equal(each, before[name])}
    assert changed and all(".stages.1." in name for name in changed)


def test_the_trained_weights_come_back_after_an_error(registry: Registry) -> None:
    model, other = built(registry, "mammonet_small", 0), built(registry, "mammonet_small", 1)
    before = {name: each.clone() for name, each in model.named_parameters()}
    with pytest.raises(KeyboardInterrupt), randomised(layers_of(model), layers_of(other), ["head"]):
        raise KeyboardInterrupt
    assert all(torch.equal(before[name], each) for name, each in model.named_parameters())
