"""The distance of centroids against scipy's, and by its closed forms."""

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.centre_of_mass import CentreOfMassLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from slow_maps import Array, bilinear, random_maps


def _slow(attention: Array, gaze: Array) -> float:
    height = gaze.shape[0]
    ours = ndimage.center_of_mass(np.maximum(bilinear(attention, *gaze.shape), 0))
    theirs = ndimage.center_of_mass(gaze)
    return float(sum(((a - b) / height) ** 2 for a, b in zip(ours, theirs, strict=True)))


@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_scipy(grid: tuple[int, int]) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).sigmoid()
    losses = CentreOfMassLoss()(attention, gaze)
    for exam in range(2):
        expected = _slow(attention[exam].numpy(), gaze[exam].numpy())
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-10)


def _point(x: int, y: int, height: int = 10, width: int = 20) -> torch.Tensor:
    maps = torch.zeros(1, height, width, dtype=torch.float64)
    maps[0, y, x] = 1.0
    return maps


@settings(max_examples=25, deadline=None)
@given(
    points=st.tuples(st.integers(0, 19), st.integers(0, 9), st.integers(0, 19), st.integers(0, 9)),
    scale=st.floats(1e-6, 1e6),
)
def test_of_two_points_it_is_their_squared_distance_in_image_heights(
    points: tuple[int, int, int, int], scale: float
) -> None:
    x, y, u, v = points
    loss = CentreOfMassLoss()(scale * _point(x, y), _point(u, v)).item()
    assert loss == pytest.approx(((x - u) ** 2 + (y - v) ** 2) / 100, abs=1e-12)


def test_shifting_and_turning_both_maps_changes_nothing_and_spread_does_not_count() -> None:
    attention, gaze = torch.zeros(1, 12, 12), torch.zeros(1, 12, 12)
    attention[0, 1:4, 2:5] = torch.rand(3, 3)
    gaze[0, 5:8, 1:4] = torch.rand(3, 3)
    loss = CentreOfMassLoss()
    expected = loss(attention, gaze)
    for change in (lambda maps: maps.roll((3, 2), (1, 2)), lambda maps: maps.flip(2), lambda maps: maps.mT):
        torch.testing.assert_close(loss(change(attention), change(gaze)), expected)
    wide, narrow = torch.zeros(1, 12, 12), torch.zeros(1, 12, 12)
    wide[0, 2:9, 2:9], narrow[0, 5, 5] = 1.0, 1.0
    torch.testing.assert_close(loss(wide, narrow), torch.zeros(1))


@pytest.mark.parametrize("value", [0.0, -0.3, 0.3])
def test_a_constant_map_lies_in_the_middle_with_a_finite_gradient(value: float) -> None:
    attention = torch.full((2, 7, 5), value, requires_grad=True)
    gaze = torch.zeros(2, 14, 10)
    gaze[0, 0, 0] = 1.0  # the second exam has none
    losses = CentreOfMassLoss()(attention, gaze)
    losses.sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()
    assert attention.grad.any() == (value > 0)
    torch.testing.assert_close(losses, torch.tensor([(6.5**2 + 4.5**2) / 14**2, 0.0]), atol=1e-6, rtol=1e-5)


def test_the_gradient_is_that_of_the_function() -> None:
    gaze = random_maps(2, 9, 8, seed=1).sigmoid()
    assert torch.autograd.gradcheck(
        lambda h: CentreOfMassLoss()(h, gaze), random_maps(2, 3, 4).requires_grad_()
    )
