"""The normalised scanpath saliency against slow loops; padding, points beside the map, constant maps."""

from typing import Literal

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.nss import NormalisedScanpathSaliency
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_maps import Array, bilinear_at, random_maps

Weights = Literal["duration", "equal"]
BOTH: tuple[Weights, Weights] = ("duration", "equal")
NAN = float("nan")


def _fixations(exams: int, count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Points all over the map, 50 to 500 ms each."""
    numbers = torch.rand(exams, count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return numbers * torch.tensor([width, height, 450.0]) + torch.tensor([0.0, 0.0, 50.0])


def _slow(attention: Array, fixations: Array, weights: Weights) -> float:
    total = weight = 0.0
    for x, y, duration in fixations:
        w = duration if weights == "duration" else 1.0
        total += w * (bilinear_at(attention, x, y) - attention.mean()) / attention.std()
        weight += w
    return -total / weight


@pytest.mark.parametrize("weights", BOTH)
@pytest.mark.parametrize("grid", [(7, 5), (1, 4), (3, 1)])
def test_equals_slow_loops(grid: tuple[int, int], weights: Weights) -> None:
    attention, fixations = random_maps(3, *grid), _fixations(3, 6, *grid)
    losses = NormalisedScanpathSaliency(weights=weights)(attention, fixations)
    for exam in range(3):
        expected = _slow(attention[exam].numpy(), fixations[exam].numpy(), weights)
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-12)


def test_at_pixel_centres_it_is_the_published_measure() -> None:
    """The mean of the standardised map at the fixated pixels."""
    attention = random_maps(1, 6, 5)
    standard = (attention - attention.mean()) / attention.std(correction=0)
    fixations = torch.tensor([[[0.5, 0.5, 100.0], [4.5, 5.5, 300.0], [2.5, 3.5, 200.0]]])
    loss = NormalisedScanpathSaliency(weights="equal")(attention, fixations)
    torch.testing.assert_close(-loss[0], (standard[0, 0, 0] + standard[0, 5, 4] + standard[0, 3, 2]) / 3)


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-5, 5),
    unit=st.floats(1e-3, 1e3),
    weights=st.sampled_from(BOTH),
)
def test_scale_and_shift_of_attention_unit_of_time_and_order_do_not_matter(
    scale: float, shift: float, unit: float, weights: Weights
) -> None:
    attention, fixations = random_maps(2, 7, 5), _fixations(2, 6, 7, 5)
    loss = NormalisedScanpathSaliency(weights=weights)
    expected = loss(attention, fixations)
    torch.testing.assert_close(loss(scale * (attention + shift), fixations), expected)
    torch.testing.assert_close(loss(-attention, fixations), -expected)
    torch.testing.assert_close(loss(attention, fixations.flip(1) * torch.tensor([1, 1, unit])), expected)


@pytest.mark.parametrize("weights", BOTH)
def test_padding_and_points_beside_the_map_do_not_count(weights: Weights) -> None:
    attention, fixations = random_maps(2, 7, 5), _fixations(2, 4, 7, 5)
    others = [[NAN] * 3, [-0.1, 2, 200], [5.1, 2, 200], [2, -0.1, 200], [2, 7.1, 200], [2, NAN, 200]]
    padded = torch.cat([torch.tensor([others, others]).double(), fixations], dim=1)
    loss = NormalisedScanpathSaliency(weights=weights)
    torch.testing.assert_close(loss(attention, padded), loss(attention, fixations))


def test_equal_durations_are_equal_weights() -> None:
    attention, fixations = random_maps(2, 7, 5), _fixations(2, 6, 7, 5)
    fixations[..., 2] = 210.0
    by_duration, equal = (NormalisedScanpathSaliency(weights=weights) for weights in BOTH)
    torch.testing.assert_close(by_duration(attention, fixations), equal(attention, fixations))


@pytest.mark.parametrize("weights", BOTH)
def test_exams_without_fixations_and_constant_maps_give_zero_and_no_gradient(weights: Weights) -> None:
    attention = random_maps(4, 7, 5).float()
    attention[2] = 0.3
    attention[3] = 0.0
    attention.requires_grad_()
    fixations = _fixations(4, 6, 7, 5).float()
    fixations[0] = NAN
    losses = NormalisedScanpathSaliency(weights=weights)(attention, fixations)
    losses.sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()
    assert [bool(each) for each in losses] == [False, True, False, False]
    assert [bool(each.any()) for each in attention.grad] == [False, True, False, False]
    none = NormalisedScanpathSaliency(weights=weights)(attention, fixations[:, :0])
    assert not none.any()


def test_a_fixation_of_no_duration_adds_nothing() -> None:
    attention, fixations = random_maps(1, 7, 5), _fixations(1, 6, 7, 5)
    fixations[0, 2:, 2] = 0.0
    loss = NormalisedScanpathSaliency()
    torch.testing.assert_close(loss(attention, fixations), loss(attention, fixations[:, :2]))
    fixations[..., 2] = 0.0
    assert loss(attention, fixations).item() == 0


@pytest.mark.parametrize("weights", BOTH)
def test_the_gradient_is_that_of_the_function(weights: Weights) -> None:
    fixations = _fixations(2, 6, 3, 4)
    fixations[1, 3:] = NAN
    loss = NormalisedScanpathSaliency(weights=weights)
    assert torch.autograd.gradcheck(lambda h: loss(h, fixations), random_maps(2, 3, 4).requires_grad_())


def test_descending_moves_attention_onto_the_fixations() -> None:
    attention = random_maps(1, 7, 7).requires_grad_()
    fixations = torch.tensor([[[1.5, 2.5, 300.0], [NAN, NAN, NAN]]])
    loss = NormalisedScanpathSaliency()
    optimiser = torch.optim.SGD([attention], lr=1.0)
    for _ in range(50):
        optimiser.zero_grad()
        loss(attention, fixations).sum().backward()
        optimiser.step()
    assert attention[0].argmax().item() == 2 * 7 + 1
