"""Each pooling against its formula in slow loops; in a model, with the attention maps that differentiate it."""

import numpy as np
import pytest
import torch
from explained import VIEWS, gradient_of_one, nonlinear_head, output_of
from gazekit_components.attention_maps.grad_cam import GradCAM
from gazekit_components.poolings.class_token import ClassToken
from gazekit_components.poolings.gated_attention import GatedAttention
from gazekit_components.poolings.gem import GeneralisedMean
from gazekit_components.poolings.max import MaxPooling
from gazekit_components.poolings.mean import MeanPooling
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny import random_batch, tiny

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Output
from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_attention_map, build_model, build_objective
from gazekit.modelling.model import explained_class
from gazekit.registry.registry import Registry

Array = NDArray[np.float64]


def maps_of(exams: int = 3, channels: int = 4, grid: tuple[int, int] = (5, 3), seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(exams, channels, *grid, generator=generator, dtype=torch.float64)


def slow(maps: Array, rule: str, pooling: Pooling) -> Array:
    """Of one exam, ``[C, h, w]``."""
    channels, height, width = maps.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    found = np.zeros(channels)
    if rule == "gated":
        assert isinstance(pooling, GatedAttention)
        v, u, w = (each.weight.detach().numpy() for each in (pooling.tangent, pooling.gate, pooling.weight))
        scores = []
        for y, x in places:
            column, score = maps[:, y, x], 0.0
            for feature in range(len(v)):
                tangent = sum(v[feature, c] * column[c] for c in range(channels))
                gate = sum(u[feature, c] * column[c] for c in range(channels))
                score += w[0, feature] * np.tanh(tangent) / (1 + np.exp(-gate))
            scores.append(score)
        total = sum(np.exp(score) for score in scores)
        for score, (y, x) in zip(scores, places, strict=True):
            found += np.exp(score) / total * maps[:, y, x]
        return found
    for c in range(channels):
        values = [maps[c, y, x] for y, x in places]
        if rule == "mean":
            found[c] = sum(values) / len(values)
        elif rule == "max":
            found[c] = max(values)
        else:
            found[c] = (sum(max(value, 1e-6) ** 3.5 for value in values) / len(values)) ** (1 / 3.5)
    return found


@pytest.mark.parametrize(
    ("rule", "pooling"),
    [
        ("mean", MeanPooling(4)),
        ("max", MaxPooling(4)),
        ("gem", GeneralisedMean(4, power=3.5)),
        ("gated", GatedAttention(4, features=5)),
    ],
)
@pytest.mark.parametrize("grid", [(5, 3), (1, 1)])
def test_equals_its_formula(rule: str, pooling: Pooling, grid: tuple[int, int]) -> None:
    maps = maps_of(grid=grid)
    pooled = pooling.double()(maps, {}).detach()
    for exam in range(3):
        np.testing.assert_allclose(pooled[exam], slow(maps[exam].numpy(), rule, pooling), rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(power=st.floats(1, 50), seed=st.integers(0, 99))
def test_the_generalised_mean_lies_between_mean_and_maximum_and_grows_with_its_power(
    power: float, seed: int
) -> None:
    maps = maps_of(seed=seed).abs() + 1e-3
    pooled, more = (GeneralisedMean(4, power=each).double()(maps, {}) for each in (power, power + 1))
    assert (maps.mean(dim=(2, 3)) <= pooled * (1 + 1e-9)).all()
    assert (pooled <= more * (1 + 1e-9)).all() and (more <= maps.amax(dim=(2, 3)) * (1 + 1e-9)).all()


def test_the_generalised_mean_has_finite_gradients_at_any_power_and_size() -> None:
    for power in (1.0, 3.0, 100.0):
        pooling = GeneralisedMean(4, power=power)
        maps = torch.stack([torch.zeros(4, 5, 3), 1e8 * torch.ones(4, 5, 3), -torch.ones(4, 5, 3)])
        maps.requires_grad_()
        pooled = pooling(maps, {})
        pooled.sum().backward()
        assert pooled.isfinite().all() and maps.grad is not None and maps.grad.isfinite().all()
        assert pooling.power.grad is not None and pooling.power.grad.isfinite()


def test_gated_attention_to_equal_places_is_their_mean() -> None:
    maps = maps_of(grid=(1, 1)).expand(-1, -1, 4, 3)
    torch.testing.assert_close(GatedAttention(4).double()(maps, {}), maps.mean(dim=(2, 3)))


def test_the_class_token_is_handed_on_and_one_that_is_missing_or_does_not_fit_is_refused() -> None:
    pooling, token = ClassToken(4), torch.randn(3, 4)
    assert torch.equal(pooling(maps_of(), {"class_token": token}), token)
    with pytest.raises(
        ConfigurationError, match="pooling class_token: expected a backbone that shows its class"
    ):
        pooling(maps_of(), {})
    with pytest.raises(ConfigurationError, match=r"a class token of 4 channels.*got \[5\]"):
        pooling(maps_of(), {"class_token": torch.randn(3, 5)})


def of_another_pooling(pooling: Pooling) -> Output:
    output = output_of(nonlinear_head(1), pooling=lambda maps: pooling(maps, {}))
    return Output(
        output.logits, output.features, output.pooled, output.vectors, output.fused, mean_pooled=False
    )


@pytest.mark.parametrize("pooling", [MaxPooling(4), GeneralisedMean(4), GatedAttention(4)])
def test_grad_cam_differentiates_another_pooling_at_the_maps(pooling: Pooling) -> None:
    output = of_another_pooling(pooling.double())
    maps = GradCAM()(output, torch.tensor([0, 1, 1]))
    for view in VIEWS:
        for exam, label in enumerate((0, 1, 1)):
            gradient = gradient_of_one(output, exam, label, output.features[view]).numpy()  # [C, h, w]
            features = output.features[view][exam].detach().numpy()
            expected = np.zeros(features.shape[1:])
            for c in range(len(features)):
                expected += gradient[c].mean() * features[c]
            np.testing.assert_allclose(maps[view][exam].detach(), expected, rtol=1e-10, atol=1e-14)


def test_through_a_mean_both_ways_of_grad_cam_agree() -> None:
    closed = GradCAM()(output_of(nonlinear_head(1)), torch.ones(3, dtype=torch.int64))
    differentiated = GradCAM()(of_another_pooling(MeanPooling(4)), torch.ones(3, dtype=torch.int64))
    for view in VIEWS:
        torch.testing.assert_close(closed[view], differentiated[view])


def test_cam_refuses_a_pooling_that_is_no_mean(registry: Registry) -> None:
    preset = tiny(registry, "pooling=max", "attention_map=cam", "fusion.vectors=concat")
    model, attention = build_model(preset, registry, classes=2), build_attention_map(preset, registry)
    assert attention is not None
    with pytest.raises(ConfigurationError, match='attention_map cam: expected pooling = "mean"'):
        model.explain(random_batch(preset.views).images, attention)


@pytest.mark.parametrize("pooling", ["mean", "max", "gem", "gated"])
def test_a_step_of_training_reaches_pooling_and_backbone(registry: Registry, pooling: str) -> None:
    preset = tiny(registry, f"pooling={pooling}", "attention_map.detach_weights=false")
    model = build_model(preset, registry, classes=2).train()
    batch = random_batch(preset.views)
    losses = build_objective(preset, registry, model)(model(batch.images), batch)
    losses.total.backward()
    assert losses.terms["gaze"] > 0
    silent = [name for name, each in model.named_parameters() if each.grad is None]
    assert [name for name in silent if name.startswith(("backbones", "poolings"))] == []


def test_there_is_a_pooling_per_branch(registry: Registry) -> None:
    apart = build_model(tiny(registry, "pooling=gated"), registry, classes=2)
    assert len(apart.poolings) == 2
    with torch.no_grad():
        for weight in apart.poolings[1].parameters():
            weight.zero_()  # the mean
    maps = {view: torch.rand(2, 10, 3, 2) for view in ("cc", "mlo")}
    pooled = apart.classify(maps).pooled
    torch.testing.assert_close(pooled["mlo"], maps["mlo"].mean(dim=(2, 3)))
    assert not torch.allclose(pooled["cc"], maps["cc"].mean(dim=(2, 3)), rtol=1e-5)
    shared = build_model(tiny(registry, "pooling=gated", "model.share_backbone=true"), registry, classes=2)
    assert len(shared.poolings) == 1


def test_explaining_through_another_pooling_gives_the_maps_of_the_full_graph(registry: Registry) -> None:
    preset = tiny(registry, "pooling=gated")
    model, attention = build_model(preset, registry, classes=2).eval(), build_attention_map(preset, registry)
    assert attention is not None
    batch = random_batch(preset.views)
    _, maps = model.explain(batch.images, attention)
    full = model(batch.images)
    expected = attention(full, explained_class(full.logits))
    for view in preset.views:
        torch.testing.assert_close(maps[view], expected[view].detach())


def test_a_preset_without_a_pooling_takes_the_mean_and_saves_what_it_saved_before(registry: Registry) -> None:
    preset = tiny(registry)
    assert preset.pooling.use == "mean"
    assert not [name for name in build_model(preset, registry, classes=2).state_dict() if "pooling" in name]


def test_a_power_that_leaves_the_range_comes_back() -> None:
    """Descent that wants the mean settles at 1, and goes on from there as soon as it wants more."""
    torch.manual_seed(0)
    pooling, maps = GeneralisedMean(2), torch.rand(3, 2, 4, 4)
    optimizer = torch.optim.SGD(pooling.parameters(), lr=0.1)
    for sign, steps in ((1, 400), (-1, 100)):
        for _ in range(steps):
            optimizer.zero_grad()
            (sign * pooling(maps, {}).sum()).backward()
            optimizer.step()
        if sign > 0:
            torch.testing.assert_close(pooling(maps, {}), maps.mean(dim=(2, 3)), atol=0.02, rtol=0)
            assert abs(pooling.power.item() - 1) < 0.1
    assert abs(pooling.power.item() - 1) > 1
