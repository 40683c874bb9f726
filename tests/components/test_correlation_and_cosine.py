"""One minus Pearson's correlation, and one minus the cosine, against scipy; invariances and constant maps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.correlation import CorrelationLoss
from gazekit_components.alignment_losses.cosine import CosineLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import spatial, stats
from slow_maps import Array, bilinear, random_maps

from gazekit.contracts.interfaces import AlignmentLoss


def _pearson(attention: Array, gaze: Array) -> float:
    return float(1 - stats.pearsonr(attention.ravel(), gaze.ravel()).statistic)


def _cosine(attention: Array, gaze: Array) -> float:
    return float(spatial.distance.cosine(attention.ravel(), gaze.ravel()))


BOTH = [
    pytest.param(CorrelationLoss(), _pearson, id="correlation"),
    pytest.param(CosineLoss(), _cosine, id="cosine"),
]


@pytest.mark.parametrize(("loss", "slow"), BOTH)
@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_scipy(
    grid: tuple[int, int], loss: AlignmentLoss, slow: Callable[[Array, Array], float]
) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).sigmoid()
    losses = loss(attention, gaze)
    for exam in range(2):
        expected = slow(bilinear(attention[exam].numpy(), 12, 10), gaze[exam].numpy())
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-5, 5))
def test_what_they_do_not_depend_on(scale: float, shift: float) -> None:
    attention, gaze = random_maps(2, 4, 5), random_maps(2, 12, 10, seed=1).sigmoid()
    correlation, cosine = CorrelationLoss(), CosineLoss()
    torch.testing.assert_close(correlation(scale * (attention + shift), gaze), correlation(attention, gaze))
    torch.testing.assert_close(cosine(scale * attention, gaze), cosine(attention, gaze))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_heat_map_gives_zero_and_its_negative_two(seed: int) -> None:
    gaze = random_maps(3, 6, 6, seed=seed).sigmoid()
    zeros = torch.zeros(3, dtype=torch.float64)
    for loss in (CorrelationLoss(), CosineLoss()):
        torch.testing.assert_close(loss(2 * gaze, gaze), zeros, atol=1e-12, rtol=0)
        torch.testing.assert_close(loss(-2 * gaze, gaze), zeros + 2, atol=1e-12, rtol=0)
    torch.testing.assert_close(CorrelationLoss()(2 * gaze - 1, gaze), zeros, atol=1e-12, rtol=0)


def test_for_maps_of_mean_zero_they_are_one() -> None:
    attention, gaze = (random_maps(2, 6, 6, seed=seed) for seed in (0, 1))
    centred = [maps - maps.mean(dim=(1, 2), keepdim=True) for maps in (attention, gaze)]
    torch.testing.assert_close(CosineLoss()(*centred), CorrelationLoss()(attention, gaze))


@pytest.mark.parametrize("loss", [CorrelationLoss(), CosineLoss()])
@pytest.mark.parametrize("value", [0.0, 0.3, -1e4])
def test_a_constant_map_has_a_finite_gradient_and_no_correlation(loss: AlignmentLoss, value: float) -> None:
    attention = torch.full((2, 7, 5), value, requires_grad=True)
    losses = loss(attention, random_maps(2, 33, 29).float().sigmoid())
    losses.sum().backward()
    assert attention.grad is not None
    assert losses.isfinite().all() and attention.grad.isfinite().all()
    if isinstance(loss, CorrelationLoss) or value == 0:
        assert losses.tolist() == [1, 1]


@pytest.mark.parametrize("loss", [CorrelationLoss(), CosineLoss()])
def test_the_gradient_is_that_of_the_function(loss: AlignmentLoss) -> None:
    gaze = random_maps(2, 9, 8, seed=1).sigmoid()
    assert torch.autograd.gradcheck(lambda h: loss(h, gaze), random_maps(2, 3, 4).requires_grad_())
