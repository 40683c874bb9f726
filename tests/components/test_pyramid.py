"""The pyramid loss against Eq. 2 in slow loops, its invariances, and its odd corners."""

from typing import Literal

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.pyramid import Pyramid
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Order = Literal["pyramid_first", "standardize_first"]
ORDERS: tuple[Order, Order] = ("pyramid_first", "standardize_first")
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def _mirror(index: int, size: int) -> int:
    """Walk back and forth between the outermost pixels."""
    while not 0 <= index < size:
        if size == 1:
            return 0
        index = -index if index < 0 else 2 * (size - 1) - index
    return index


def _next_level(image: Array) -> Array:
    height, width = image.shape
    smaller = np.zeros(((height + 1) // 2, (width + 1) // 2))
    for y in range(smaller.shape[0]):
        for x in range(smaller.shape[1]):
            for i, a in enumerate(BINOMIAL):
                for j, b in enumerate(BINOMIAL):
                    smaller[y, x] += (
                        a * b * image[_mirror(2 * y + i - 2, height), _mirror(2 * x + j - 2, width)]
                    )
    return smaller


def _levels(image: Array, levels: int) -> list[Array]:
    pyramid = [image]
    while len(pyramid) < levels:
        pyramid.append(_next_level(pyramid[-1]))
    return pyramid


def _slow(attention: Array, gaze: Array, levels: int, order: Order) -> float:
    """Eq. 2 for maps that already share a grid."""

    def z_plus(image: Array, spread: float) -> Array:
        return np.asarray(np.maximum((image - image.mean()) / np.sqrt(image.var() + 1e-5 * spread), 0))

    total = 0.0
    if order == "pyramid_first":
        for ours, theirs in zip(_levels(attention, levels), _levels(gaze, levels), strict=True):
            total += ((z_plus(ours, attention.var()) - z_plus(theirs, gaze.var())) ** 2).mean()
    else:
        looked, read = z_plus(attention, attention.var()), z_plus(gaze, gaze.var())
        for ours, theirs in zip(_levels(looked, levels), _levels(read, levels), strict=True):
            total += ((ours - theirs) ** 2).mean()
    return total


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("grid", [(16, 16), (13, 10), (6, 2), (1, 9)])
def test_equals_equation_2(grid: tuple[int, int], order: Order) -> None:
    attention, gaze = _random(2, *grid), _random(2, *grid, seed=1).sigmoid()
    losses = Pyramid(levels=3, order=order)(attention, gaze)
    for exam in range(2):
        expected = _slow(attention[exam].numpy(), gaze[exam].numpy(), 3, order)
        np.testing.assert_allclose(losses[exam].item(), expected, rtol=1e-10)


def test_the_two_orders_differ() -> None:
    attention, gaze = _random(1, 16, 16), _random(1, 16, 16, seed=1).sigmoid()
    first, second = (Pyramid(levels=3, order=order)(attention, gaze).item() for order in ORDERS)
    assert abs(first - second) > 1e-3


def test_attention_is_resized_bilinearly_to_the_heat_map() -> None:
    attention, gaze = _random(1, 7, 7), _random(1, 32, 24, seed=1).sigmoid()
    # scipy's zoom with the same pixel centres and a repeated border is an independent bilinear resize
    rows, columns = np.meshgrid(
        (np.arange(32) + 0.5) * 7 / 32 - 0.5, (np.arange(24) + 0.5) * 7 / 24 - 0.5, indexing="ij"
    )
    resized = ndimage.map_coordinates(attention[0].numpy(), [rows, columns], order=1, mode="nearest")
    expected = _slow(resized, gaze[0].numpy(), 4, "pyramid_first")
    np.testing.assert_allclose(Pyramid(levels=4)(attention, gaze).item(), expected, rtol=1e-10)


def test_a_level_is_scipys_mirrored_binomial_filter_at_every_second_pixel() -> None:
    image = _random(9, 14).numpy()
    blurred = image
    for axis in (0, 1):
        blurred = ndimage.convolve1d(blurred, BINOMIAL, axis=axis, mode="mirror")
    np.testing.assert_allclose(_next_level(image), blurred[::2, ::2], rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-5, 5),
    levels=st.integers(1, 6),
    order=st.sampled_from(ORDERS),
)
def test_does_not_depend_on_the_scale_of_attention(
    scale: float, shift: float, levels: int, order: Order
) -> None:
    attention, gaze = _random(2, 4, 5), _random(2, 24, 20, seed=1).sigmoid()
    loss = Pyramid(levels=levels, order=order)
    came, expected = loss(scale * (attention + shift), gaze), loss(attention, gaze)
    torch.testing.assert_close(came, expected, rtol=1e-7, atol=0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), levels=st.integers(1, 4))
def test_is_zero_for_the_heat_map_itself_and_grows_with_each_level_otherwise(seed: int, levels: int) -> None:
    gaze, attention = _random(1, 20, 20, seed=seed).sigmoid(), _random(1, 20, 20, seed=seed + 100)
    assert Pyramid(levels=levels)(3 * gaze + 1, gaze).item() == pytest.approx(0, abs=1e-20)
    assert Pyramid(levels=levels + 1)(attention, gaze) > Pyramid(levels=levels)(attention, gaze)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("value", [0.0, 0.3, -1e4])
def test_a_constant_map_has_no_positive_part_and_no_gradient(value: float, order: Order) -> None:
    attention = torch.full((1, 7, 5), value, requires_grad=True)
    gaze = _random(1, 30, 26).float().sigmoid()
    loss = Pyramid(levels=3, order=order)
    came = loss(attention, gaze)
    torch.testing.assert_close(came, loss(torch.zeros(1, 30, 26), gaze))
    came.sum().backward()
    assert attention.grad is not None
    assert not attention.grad.any()


def test_a_constant_heat_map_gives_a_finite_gradient() -> None:
    attention = _random(1, 4, 4).requires_grad_()
    Pyramid()(attention, torch.zeros(1, 32, 32, dtype=torch.float64)).sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


@pytest.mark.parametrize("order", ORDERS)
def test_the_gradient_is_that_of_the_function_and_none_reaches_the_heat_map(order: Order) -> None:
    gaze = _random(2, 11, 8, seed=1).sigmoid().requires_grad_()
    attention = _random(2, 3, 4).requires_grad_()
    loss = Pyramid(levels=3, order=order)
    assert torch.autograd.gradcheck(lambda maps: loss(maps, gaze.detach()), attention)
    loss(attention, gaze).sum().backward()
    assert gaze.grad is None


def test_levels_behind_a_single_pixel_add_nothing() -> None:
    attention, gaze = _random(1, 4, 3), _random(1, 4, 3, seed=1).sigmoid()
    assert torch.equal(Pyramid(levels=3)(attention, gaze), Pyramid(levels=50)(attention, gaze))


def test_has_no_state_and_serves_training_after_inference() -> None:
    loss = Pyramid(levels=3)
    attention, gaze = _random(1, 5, 5).float(), _random(1, 37, 41).float().sigmoid()
    with torch.inference_mode():
        expected = loss(attention, gaze).item()
    attention.requires_grad_()
    came = loss(attention, gaze)
    came.sum().backward()
    assert came.item() == expected
    assert not loss.state_dict()


def test_half_precision_attention_is_compared_in_float32() -> None:
    attention, gaze = _random(2, 6, 6).float(), _random(2, 48, 48, seed=1).float().sigmoid()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        came = Pyramid()(attention.bfloat16(), gaze)
    assert came.dtype == torch.float32
    torch.testing.assert_close(came, Pyramid()(attention.bfloat16().float(), gaze))
