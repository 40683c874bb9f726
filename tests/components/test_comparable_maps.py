"""One grid, one scale: against scipy and loops, with constant maps and extreme scales."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from gazekit_components.alignment_losses.comparable_maps import (
    resize,
    unit_norm,
    unit_peak,
    unit_range,
    unit_sum,
    unit_variance,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from slow_maps import Array, bilinear, random_maps

SCALINGS: dict[Callable[[torch.Tensor], torch.Tensor], Callable[[Array], Array]] = {
    unit_range: lambda h: (h - h.min()) / (h.max() - h.min()),
    unit_peak: lambda h: np.maximum(h, 0) / h.max(),
    unit_sum: lambda h: np.maximum(h, 0) / np.maximum(h, 0).sum(),
    unit_norm: lambda h: h / np.sqrt((h**2).sum()),
    unit_variance: lambda h: (h - h.mean()) / h.std(),
}
each_scaling = pytest.mark.parametrize("scaling", SCALINGS, ids=lambda each: each.__name__)


@pytest.mark.parametrize("grid", [(3, 4), (12, 10), (20, 3), (1, 1)])
def test_resizing_is_bilinear_between_pixel_centres(grid: tuple[int, int]) -> None:
    maps = random_maps(2, *grid)
    resized = resize(maps, torch.Size((12, 10)))
    rows, columns = np.meshgrid(
        (np.arange(12) + 0.5) * grid[0] / 12 - 0.5, (np.arange(10) + 0.5) * grid[1] / 10 - 0.5, indexing="ij"
    )
    for exam in range(2):
        expected = ndimage.map_coordinates(maps[exam].numpy(), [rows, columns], order=1, mode="nearest")
        np.testing.assert_allclose(resized[exam], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(bilinear(maps[exam].numpy(), 12, 10), expected, rtol=1e-12, atol=1e-14)


@each_scaling
def test_each_map_is_scaled_by_itself(scaling: Callable[[torch.Tensor], torch.Tensor]) -> None:
    maps = random_maps(3, 5, 4)
    scaled = scaling(maps)
    for exam in range(3):
        np.testing.assert_allclose(
            scaled[exam], SCALINGS[scaling](maps[exam].numpy()), rtol=1e-12, atol=1e-15
        )


@each_scaling
@settings(max_examples=20, deadline=None)
@given(exponent=st.integers(-30, 30))
def test_the_scale_of_a_map_does_not_matter_in_single_precision(
    scaling: Callable[[torch.Tensor], torch.Tensor], exponent: int
) -> None:
    maps = random_maps(2, 5, 4).float()
    torch.testing.assert_close(scaling(10.0**exponent * maps), scaling(maps), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scaling", [unit_range, unit_variance])
def test_a_faint_pattern_on_a_bright_map_is_no_rounding(
    scaling: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    maps = random_maps(2, 5, 4)
    torch.testing.assert_close(scaling(1 + 1e-4 * maps.float()).double(), scaling(maps), rtol=0, atol=0.02)


@pytest.mark.parametrize("scaling", [unit_peak, unit_sum, unit_norm])
def test_values_at_the_end_of_single_precision_do_not_overflow(
    scaling: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    maps = random_maps(2, 5, 4).float()
    maps /= maps.abs().amax()
    torch.testing.assert_close(scaling(3e38 * maps), scaling(maps))


@each_scaling
def test_the_gradient_is_that_of_the_function(scaling: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert torch.autograd.gradcheck(scaling, random_maps(2, 3, 4).requires_grad_())


@each_scaling
@pytest.mark.parametrize("value", [0.0, -0.3, 0.3, 1e4, 1e-40])
def test_a_constant_map_has_finite_values_and_gradients(
    scaling: Callable[[torch.Tensor], torch.Tensor], value: float
) -> None:
    maps = torch.full((2, 7, 5), value, requires_grad=True)
    scaled = scaling(maps)
    (scaled * torch.rand(2, 7, 5)).sum().backward()
    assert maps.grad is not None
    assert scaled.isfinite().all() and maps.grad.isfinite().all()
    if scaling in (unit_range, unit_variance) or abs(value) < 1e-38:
        assert not scaled.any() and not maps.grad.any()


@pytest.mark.parametrize("scaling", [unit_peak, unit_sum])
def test_a_map_without_a_positive_part_becomes_zeros(
    scaling: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    maps = -torch.rand(2, 4, 4)
    assert not scaling(maps).any()


def test_half_precision_is_computed_in_single() -> None:
    maps = random_maps(1, 4, 4).bfloat16()
    assert resize(maps, torch.Size((8, 8))).dtype == torch.float32
    assert {scaling(maps).dtype for scaling in SCALINGS} == {torch.float32}
