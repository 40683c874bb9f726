"""GA-Net's gaze loss against slow loops and its invariances."""

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.mse import MeanSquaredError
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maps import bilinear, random_maps


@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3)])
def test_equals_slow_loops(grid: tuple[int, int]) -> None:
    attention, gaze = random_maps(2, *grid), random_maps(2, 12, 10, seed=1).sigmoid()
    losses = MeanSquaredError()(attention, gaze)
    for exam in range(2):
        resized = bilinear(attention[exam].numpy(), 12, 10)
        unit = (resized - resized.min()) / (resized.max() - resized.min())
        expected = ((unit - gaze[exam].numpy()) ** 2).mean()
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-4, 1e4), shift=st.floats(-10, 10))
def test_does_not_depend_on_the_scale_of_attention(scale: float, shift: float) -> None:
    attention, gaze = random_maps(3, 4, 4), random_maps(3, 16, 16, seed=1).sigmoid()
    loss = MeanSquaredError()
    torch.testing.assert_close(
        loss(scale * attention + shift, gaze), loss(attention, gaze), rtol=1e-8, atol=0
    )


@pytest.mark.parametrize("value", [0.0, 0.3, -1e4])
def test_a_constant_map_counts_as_zeros_with_a_finite_gradient(value: float) -> None:
    attention = torch.full((2, 7, 5), value, requires_grad=True)
    gaze = random_maps(2, 33, 29).float().sigmoid()
    losses = MeanSquaredError()(attention, gaze)
    torch.testing.assert_close(losses, gaze.square().mean(dim=(1, 2)))
    losses.sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


def test_the_heat_map_itself_gives_zero() -> None:
    gaze = torch.zeros(1, 8, 8)
    gaze[0, 3, 4] = 1.0
    assert MeanSquaredError()(5 * gaze - 2, gaze).item() == pytest.approx(0, abs=1e-12)


def test_the_gradient_is_that_of_the_function() -> None:
    gaze = random_maps(2, 9, 8, seed=1).sigmoid()
    attention = random_maps(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: MeanSquaredError()(maps, gaze), attention)


def test_the_learnt_weight_balances_itself() -> None:
    """``L/(2σ²) + log σ`` starts at L/2 and is least at σ² = L, where it is (1 + log L)/2."""
    attention, gaze = torch.rand(1, 8, 8), torch.rand(1, 8, 8)
    plain = MeanSquaredError()(attention, gaze)
    learnt = MeanSquaredError(uncertainty=True)
    torch.testing.assert_close(learnt(attention, gaze), plain / 2)
    assert learnt.log_variance is not None
    with torch.no_grad():
        learnt.log_variance.copy_(plain.log()[0])
    learnt(attention, gaze).sum().backward()
    torch.testing.assert_close(learnt(attention, gaze), (1 + plain.log()) / 2)
    assert learnt.log_variance.grad is not None
    assert learnt.log_variance.grad.abs() < 1e-6
