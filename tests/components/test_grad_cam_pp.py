"""Grad-CAM++ against the paper's weights in slow loops; it stays finite."""

import numpy as np
import pytest
import torch
from explained import VIEWS, gradient_of_one, nonlinear_head, output_of
from gazekit_components.attention_maps.grad_cam_pp import GradCAMPlusPlus
from slow_maps import Array, random_maps
from torch import nn

from gazekit.contracts.types import Output


def _slow(gradient: Array, features: Array) -> Array:
    """The weights as published, with the score in the place of its exponential."""
    channels, height, width = features.shape
    explained = np.zeros((height, width))
    for c in range(channels):
        total = np.maximum(features[c], 0).sum()
        weight = 0.0
        for y in range(height):
            for x in range(width):
                g = gradient[c, y, x]
                if g > 0:
                    weight += g**2 / (2 * g**2 + total * g**3) * g
        explained += weight * features[c]
    return explained


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize(("outputs", "target"), [(1, [0, 1, 1]), (4, [3, 0, 2])])
def test_equals_the_weights_of_the_paper(outputs: int, target: list[int], positive: bool) -> None:
    output = output_of(
        nonlinear_head(outputs), positive=positive, pooling=lambda maps: maps.square().mean(dim=(2, 3)).sqrt()
    )
    maps = GradCAMPlusPlus()(output, torch.tensor(target))
    for view in VIEWS:
        for exam, label in enumerate(target):
            gradient = gradient_of_one(output, exam, label, output.features[view]).numpy()
            expected = _slow(gradient, output.features[view][exam].detach().numpy())
            np.testing.assert_allclose(maps[view][exam].detach(), expected, rtol=1e-10, atol=1e-15)


def test_channels_that_lower_the_score_have_no_weight() -> None:
    head = nn.Linear(8, 1).double()
    with torch.no_grad():
        head.weight.copy_(-head.weight.abs())
    output = output_of(head)
    positive, negative = (GradCAMPlusPlus()(output, torch.full((3,), label)) for label in (1, 0))
    assert not positive["cc"].any()
    assert negative["cc"].any()


def test_a_small_gradient_gives_half_of_grad_cam_of_the_rising_channels_and_no_underflow() -> None:
    """``α → 1 / 2`` for ``g → 0``, where the paper's squares and cubes vanish in single precision."""
    features = {"cc": random_maps(3, 4, 5, 3).float().abs().requires_grad_()}
    pooled = {"cc": features["cc"].mean(dim=(2, 3))}
    logits = 1e-20 * 15 * pooled["cc"].sum(dim=1, keepdim=True)
    output = Output(logits, features, pooled, pooled, pooled["cc"])
    maps = GradCAMPlusPlus()(output, torch.ones(3, dtype=torch.int64))
    expected = 15 * 0.5e-20 * features["cc"].sum(dim=1)
    torch.testing.assert_close(maps["cc"], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("value", [0.0, 2.0, -2.0])
def test_constant_features_give_finite_maps_and_gradients(value: float) -> None:
    output = output_of(nonlinear_head(1))
    for maps in output.features.values():
        maps.data.fill_(value)
    maps = GradCAMPlusPlus(detach_weights=False)(output, torch.tensor([1, 0, 1]))
    total = sum(each.square().sum() for each in maps.values())
    gradients = torch.autograd.grad(total, list(output.features.values()))
    assert all(each.isfinite().all() for each in (*maps.values(), *gradients))


def test_a_view_that_does_not_matter_gets_zeros() -> None:
    output = output_of(nonlinear_head(1, features=4), unused="mlo")
    maps = GradCAMPlusPlus()(output, torch.tensor([1, 1, 0]))
    assert not maps["mlo"].any()
    assert maps["cc"].any()


@pytest.mark.parametrize("detach", [True, False])
def test_whether_a_loss_reaches_the_head(detach: bool) -> None:
    head = nonlinear_head(1)
    output = output_of(head)
    maps = GradCAMPlusPlus(detach_weights=detach)(output, torch.tensor([1, 0, 1]))
    total = sum(each.square().sum() for each in maps.values())
    variables = [*output.features.values(), head[0].weight, head[2].weight]
    *features, first, last = torch.autograd.grad(total, variables, allow_unused=True, retain_graph=True)
    assert all(gradient.any() for gradient in features)
    assert all((gradient is None) == detach for gradient in (first, last))
    output.logits.sum().backward()


def test_relu_keeps_the_positive_part() -> None:
    output, target = output_of(nonlinear_head(1)), torch.tensor([1, 0, 1])
    plain, positive = GradCAMPlusPlus()(output, target), GradCAMPlusPlus(relu=True)(output, target)
    assert plain["cc"].min() < 0
    assert torch.equal(positive["cc"], plain["cc"].clamp(min=0))
