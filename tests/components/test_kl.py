"""The divergence of attention from gaze against slow loops, closed forms and invariances."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.kl import KullbackLeibler
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maps import Array, bilinear, random_maps

Normalise = Literal["softmax", "positive"]
BOTH: tuple[Normalise, Normalise] = ("softmax", "positive")


def _slow(attention: Array, gaze: Array, normalise: Normalise, temperature: float) -> float:
    resized = bilinear(attention, *gaze.shape)
    if normalise == "softmax":
        looked = np.exp(resized / temperature)
        looked /= looked.sum()
    else:
        positive = np.maximum(resized, 0)
        looked = 0.9999 * positive / positive.sum() + 0.0001 / resized.size
    read = gaze / gaze.sum()
    total = 0.0
    for p, q in zip(read.ravel(), looked.ravel(), strict=True):
        total += p * math.log(p / q) if p > 0 else 0.0
    return total


@pytest.mark.parametrize("normalise", BOTH)
@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_slow_loops(grid: tuple[int, int], normalise: Normalise) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).relu()
    losses = KullbackLeibler(normalise=normalise, temperature=0.7)(attention, gaze)
    for exam in range(2):
        expected = _slow(attention[exam].numpy(), gaze[exam].numpy(), normalise, 0.7)
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12)


def test_is_torchs_own_divergence() -> None:
    attention, gaze = random_maps(3, 8, 8), random_maps(3, 8, 8, seed=1).sigmoid()
    read = gaze / gaze.sum(dim=(1, 2), keepdim=True)
    looked = attention.flatten(1).log_softmax(dim=1)
    expected = torch.nn.functional.kl_div(looked, read.flatten(1), reduction="none").sum(dim=1)
    torch.testing.assert_close(KullbackLeibler()(attention, gaze), expected)


@pytest.mark.parametrize("normalise", BOTH)
@pytest.mark.parametrize("value", [0.0, 0.3, 1e4])
def test_constant_attention_is_the_uniform_distribution(normalise: Normalise, value: float) -> None:
    """``log n`` less the entropy of the gaze."""
    attention = torch.full((2, 4, 4), value, requires_grad=True)
    gaze = random_maps(2, 9, 7).float().sigmoid()
    read = gaze / gaze.sum(dim=(1, 2), keepdim=True)
    losses = KullbackLeibler(normalise=normalise)(attention, gaze)
    torch.testing.assert_close(losses, math.log(63) + (read * read.log()).sum(dim=(1, 2)))
    losses.sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), temperature=st.floats(0.1, 10))
def test_is_zero_where_the_distributions_agree_and_positive_elsewhere(seed: int, temperature: float) -> None:
    gaze = random_maps(2, 6, 5, seed=seed).sigmoid()
    softmax = KullbackLeibler(temperature=temperature)
    torch.testing.assert_close(
        softmax(temperature * gaze.log(), gaze), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0
    )
    assert (KullbackLeibler(normalise="positive")(3 * gaze, gaze) < 1e-4).all()
    for loss in (softmax, KullbackLeibler(normalise="positive")):
        assert (loss(random_maps(2, 6, 5, seed=seed + 100), gaze) > 1e-3).all()


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-5, 5), brightness=st.floats(0.01, 1))
def test_what_it_does_not_depend_on(scale: float, shift: float, brightness: float) -> None:
    attention, gaze = random_maps(2, 4, 5), random_maps(2, 12, 10, seed=1).sigmoid()
    softmax, positive = (KullbackLeibler(normalise=each) for each in BOTH)
    torch.testing.assert_close(softmax(attention + shift, brightness * gaze), softmax(attention, gaze))
    torch.testing.assert_close(positive(scale * attention, brightness * gaze), positive(attention, gaze))


@pytest.mark.parametrize("normalise", BOTH)
def test_the_gradient_is_that_of_the_function(normalise: Normalise) -> None:
    gaze = random_maps(2, 9, 8, seed=1).relu()
    attention = random_maps(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: KullbackLeibler(normalise=normalise)(h, gaze), attention)


@pytest.mark.parametrize("normalise", BOTH)
def test_a_heat_map_of_zeros_gives_zero(normalise: Normalise) -> None:
    attention = random_maps(2, 3, 4).requires_grad_()
    losses = KullbackLeibler(normalise=normalise)(attention, torch.zeros(2, 9, 8))
    losses.sum().backward()
    assert attention.grad is not None
    assert not losses.any() and not attention.grad.any()


def test_gaze_where_there_is_no_attention_costs_no_more_than_the_uniform_share_allows() -> None:
    gaze, attention = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    gaze[0, 0, 0], attention[0, 7, 7] = 1.0, 1.0
    loss = KullbackLeibler(normalise="positive")(attention, gaze).item()
    assert loss == pytest.approx(math.log(64 / 1e-4), rel=1e-5)
