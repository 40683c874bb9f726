"""The share of attention where nobody looked, against slow loops and by its corners."""

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.outside import OutsideLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maps import Array, bilinear, random_maps


def _slow(attention: Array, gaze: Array, threshold: float) -> float:
    outside = total = 0.0
    for looked, read in zip(bilinear(attention, *gaze.shape).ravel(), gaze.ravel(), strict=True):
        if looked > 0:
            total += looked
            outside += looked if read < threshold else 0
    return outside / total


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_slow_loops(grid: tuple[int, int], threshold: float) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).sigmoid()
    losses = OutsideLoss(threshold=threshold)(attention, gaze)
    for exam in range(2):
        expected = _slow(attention[exam].numpy(), gaze[exam].numpy(), threshold)
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12, atol=1e-15)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_neither_scale_nor_place_inside_the_gaze_matters(scale: float, seed: int) -> None:
    attention, gaze = random_maps(1, 8, 8, seed=seed), random_maps(1, 8, 8, seed=seed + 1).sigmoid()
    loss = OutsideLoss(threshold=0.4)
    torch.testing.assert_close(loss(scale * attention, gaze), loss(attention, gaze))
    inside = gaze[0] >= 0.4
    shuffled = attention.clone()
    shuffled[0, inside] = attention[0, inside].flip(0)
    torch.testing.assert_close(loss(shuffled, gaze), loss(attention, gaze))


def test_all_inside_is_zero_and_all_outside_is_one() -> None:
    gaze = torch.zeros(2, 8, 8)
    gaze[:, :, :4] = 1.0
    attention = torch.stack([gaze[0], 1 - gaze[1]])
    assert OutsideLoss()(attention, gaze).tolist() == [0, 1]


def test_a_place_at_the_threshold_was_looked_at() -> None:
    attention, gaze = torch.ones(1, 1, 4), torch.tensor([[[0.0, 0.05, 0.1, 0.25]]])
    assert OutsideLoss()(attention, gaze).tolist() == [0.5]
    assert OutsideLoss(threshold=0.25)(attention, gaze).tolist() == [0.75]


def test_the_gradient_takes_attention_from_outside_and_brings_it_inside() -> None:
    gaze = torch.zeros(1, 8, 8)
    gaze[:, :, :4] = 1.0
    attention = torch.ones(1, 8, 8, requires_grad=True)
    OutsideLoss()(attention, gaze).sum().backward()
    assert attention.grad is not None
    assert (attention.grad[:, :, :4] < 0).all() and (attention.grad[:, :, 4:] > 0).all()


@pytest.mark.parametrize("value", [0.0, -0.3])
def test_a_map_without_a_positive_part_gives_zero_and_no_gradient(value: float) -> None:
    attention = torch.full((2, 7, 5), value, requires_grad=True)
    losses = OutsideLoss()(attention, torch.rand(2, 14, 10))
    losses.sum().backward()
    assert attention.grad is not None
    assert not losses.any() and not attention.grad.any()


def test_the_gradient_is_that_of_the_function() -> None:
    gaze = random_maps(2, 9, 8, seed=1).sigmoid()
    loss = OutsideLoss(threshold=0.5)
    assert torch.autograd.gradcheck(lambda h: loss(h, gaze), random_maps(2, 3, 4).requires_grad_())
