"""Pixels are removed in the order of a map, and filled as ROAD says: against loops and, if installed, Quantus."""

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.measures.attention.removal import (
    area_under,
    impute_blurred,
    impute_linearly,
    removal_order,
    removed_pixels,
    with_cells_shuffled,
)


def image_and_hole(seed: int, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(2, 9, 7)), random.random((9, 7)) < share


def relaxed(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Replace every removed pixel by the mean of its neighbours, over and over, until nothing changes."""
    values = image.copy()
    values[:, removed] = 0
    for _ in range(5000):
        before = values.copy()
        for y, x in np.argwhere(removed):
            total, weight = np.zeros(len(values)), 0.0
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    row, column = y + down, x + right
                    if (down or right) and 0 <= row < values.shape[1] and 0 <= column < values.shape[2]:
                        share = 1 / 12 if down and right else 1 / 6
                        total, weight = total + share * values[:, row, column], weight + share
            values[:, y, x] = total / weight
        if np.abs(values - before).max() < 1e-13:
            break
    return values


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_imputed_pixel_is_the_mean_of_its_neighbours(share: float) -> None:
    image, removed = image_and_hole(0, share)
    found = impute_linearly(image, removed, np.random.default_rng(0), noise=0)
    assert np.allclose(found, relaxed(image, removed), atol=1e-9)
    assert np.array_equal(found[:, ~removed], image[:, ~removed])


def test_the_noise_of_imputed_pixels_has_the_given_spread() -> None:
    image, removed = np.zeros((1, 64, 64)), np.ones((64, 64), dtype=bool)
    removed[0] = False
    found = impute_linearly(image, removed, np.random.default_rng(0), noise=0.3)
    assert found[:, removed].std() == pytest.approx(0.3, rel=0.05) and not found[:, ~removed].any()


def test_an_image_without_any_pixel_left_is_its_mean() -> None:
    image, _ = image_and_hole(0)
    found = impute_linearly(image, np.ones((9, 7), dtype=bool), np.random.default_rng(0), noise=0)
    assert np.allclose(found, image.mean(axis=(1, 2), keepdims=True))


def test_the_imputation_is_that_of_quantus(monkeypatch: pytest.MonkeyPatch) -> None:
    perturb = pytest.importorskip("quantus.functions.perturb_func")
    image, removed = image_and_hole(3)
    theirs = perturb.noisy_linear_imputation(image, np.flatnonzero(removed), noise=0.0)
    assert np.allclose(impute_linearly(image, removed, np.random.default_rng(0), noise=0), theirs, atol=1e-9)


def test_blurring_an_even_image_changes_nothing_up_to_its_edges():
    image = np.full((1, 12, 20), 0.4)
    np.testing.assert_allclose(impute_blurred(image, np.ones((12, 20), dtype=bool)), image)


def test_a_blurred_fill_keeps_the_other_pixels() -> None:
    image, removed = image_and_hole(1)
    found = impute_blurred(image, removed)
    assert np.array_equal(found[:, ~removed], image[:, ~removed])
    assert found[:, removed].std() < 0.7 * image[:, removed].std()


def test_the_most_attended_pixels_go_first_and_the_least_attended_last() -> None:
    attention = np.array([[0.0, 3.0], [1.0, 2.0]])
    order = removal_order(attention, (2, 2), np.random.default_rng(0))
    assert order.tolist() == [1, 3, 2, 0]
    assert removed_pixels(order, 0.5, (2, 2)).tolist() == [[False, True], [False, True]]
    assert removed_pixels(order, 0.25, (2, 2), last=True).tolist() == [[True, False], [False, False]]
    assert not removed_pixels(order, 0, (2, 2), last=True).any() and removed_pixels(order, 1, (2, 2)).all()


def test_pixels_attended_alike_go_in_random_order() -> None:
    orders = [removal_order(np.ones((2, 2)), (8, 8), np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert orders[0].tolist() == orders[1].tolist() != orders[2].tolist()
    assert sorted(orders[2]) == list(range(64)) != orders[2].tolist()


def test_shuffled_cells_have_the_same_values() -> None:
    attention = np.arange(12.0).reshape(3, 4)
    found = with_cells_shuffled(attention, np.random.default_rng(0))
    assert found.shape == (3, 4) and sorted(found.ravel()) == list(range(12)) != found.ravel().tolist()


def test_the_area_is_by_trapezoids() -> None:
    assert area_under([1.0, 0.5, 0.0]) == pytest.approx(0.5)
    assert area_under([1.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert area_under([0.7] * 11) == pytest.approx(0.7)
    with pytest.raises(DataError, match="expected those of two shares"):
        area_under([1.0])
