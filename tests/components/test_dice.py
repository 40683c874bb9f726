"""Soft Dice, and one minus SIM, against slow loops; on masks the Dice of sets."""

from typing import Literal

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.dice import DiceLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maps import Array, bilinear, random_maps

Overlap = Literal["product", "minimum"]
BOTH: tuple[Overlap, Overlap] = ("product", "minimum")


def _slow(attention: Array, gaze: Array, overlap: Overlap) -> float:
    positive = np.maximum(bilinear(attention, *gaze.shape), 0)
    if overlap == "minimum":
        pairs = zip((positive / positive.sum()).ravel(), (gaze / gaze.sum()).ravel(), strict=True)
        return 1 - sum(min(pair) for pair in pairs)
    both = either = 0.0
    for looked, read in zip((positive / positive.max()).ravel(), gaze.ravel(), strict=True):
        both += 2 * looked * read
        either += looked**2 + read**2
    return 1 - both / either


@pytest.mark.parametrize("overlap", BOTH)
@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_slow_loops(grid: tuple[int, int], overlap: Overlap) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).sigmoid()
    losses = DiceLoss(overlap=overlap)(attention, gaze)
    for exam in range(2):
        expected = _slow(attention[exam].numpy(), gaze[exam].numpy(), overlap)
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_of_two_masks_it_is_the_dice_of_sets(seed: int) -> None:
    first, second = (random_maps(1, 6, 6, seed=seed + n) > 0 for n in (0, 1000))
    expected = 1 - 2 * (first & second).sum() / (first.sum() + second.sum())
    torch.testing.assert_close(DiceLoss()(first.double(), second.double())[0], expected.double())


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_scale_does_not_matter_and_the_heat_map_gives_zero(scale: float, seed: int) -> None:
    attention, gaze = random_maps(2, 4, 5, seed=seed), random_maps(2, 12, 10, seed=seed + 1).sigmoid()
    peaked = gaze / gaze.amax(dim=(1, 2), keepdim=True)
    for overlap in BOTH:
        loss = DiceLoss(overlap=overlap)
        torch.testing.assert_close(loss(scale * attention, gaze), loss(attention, gaze))
        torch.testing.assert_close(
            loss(scale * peaked, peaked), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0
        )
        assert ((loss(attention, gaze) > 0) & (loss(attention, gaze) <= 1)).all()


@pytest.mark.parametrize("overlap", BOTH)
def test_maps_that_do_not_meet_give_one(overlap: Overlap) -> None:
    gaze = torch.zeros(1, 8, 8)
    gaze[:, :, :4] = 0.5
    assert DiceLoss(overlap=overlap)(0.5 - gaze, gaze).item() == 1


@pytest.mark.parametrize("overlap", BOTH)
@pytest.mark.parametrize("value", [0.0, -0.3, 0.3])
def test_constant_maps_and_no_gaze_have_finite_losses_and_gradients(overlap: Overlap, value: float) -> None:
    attention = torch.full((2, 7, 5), value, requires_grad=True)
    gaze = torch.rand(2, 14, 10)
    gaze[1] = 0
    losses = DiceLoss(overlap=overlap)(attention, gaze)
    losses.sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()
    assert losses[1] == 1
    if value <= 0:
        assert losses[0] == 1 and not attention.grad.any()


@pytest.mark.parametrize("overlap", BOTH)
def test_the_gradient_is_that_of_the_function(overlap: Overlap) -> None:
    gaze = random_maps(2, 9, 8, seed=1).sigmoid()
    loss = DiceLoss(overlap=overlap)
    assert torch.autograd.gradcheck(lambda h: loss(h, gaze), random_maps(2, 3, 4).requires_grad_())
