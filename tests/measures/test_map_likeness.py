"""How alike two maps are, against loops in float64, SciPy, torchmetrics and, where it is installed, Quantus."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torchmetrics.functional.image import structural_similarity_index_measure

from gazekit.errors import DataError
from gazekit.measures.attention.map_likeness import map_likeness, rank_correlation, structural_similarity


def maps(seed: int, shape: tuple[int, int] = (8, 6)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first = random.normal(size=shape)
    return first, first + random.normal(size=shape)


def slow_rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Ranks by counting, Pearson's correlation by sums."""

    def ranks(values: list[float]) -> list[float]:
        return [
            sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
            for value in values
        ]

    a, b = ranks(first.ravel().tolist()), ranks(second.ravel().tolist())
    mean = (len(a) + 1) / 2
    covariance = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    return covariance / math.sqrt(sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b))


def slow_structural_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Window by window, 11 × 11."""
    a, b = ((values - values.min()) / np.ptp(values) for values in (first, second))
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for y in range(5, a.shape[0] - 5):
        for x in range(5, a.shape[1] - 5):
            own, other = (values[y - 5 : y + 6, x - 5 : x + 6] for values in (a, b))
            mean, mean_other = (window * own).sum(), (window * other).sum()
            spread, spread_other = (
                (window * (own - mean) ** 2).sum(),
                (window * (other - mean_other) ** 2).sum(),
            )
            both = (window * (own - mean) * (other - mean_other)).sum()
            found.append(
                (2 * mean * mean_other + 0.01**2)
                * (2 * both + 0.03**2)
                / ((mean**2 + mean_other**2 + 0.01**2) * (spread + spread_other + 0.03**2))
            )
    return float(np.mean(found))


@pytest.mark.parametrize("seed", range(3))
def test_the_rank_correlation_is_that_of_a_loop_and_of_scipy(seed: int) -> None:
    first, second = maps(seed)
    first = first.round(1)  # with ties
    found = rank_correlation(first, second)
    assert found == pytest.approx(slow_rank_correlation(first, second), abs=1e-12)
    assert found == pytest.approx(stats.spearmanr(first.ravel(), second.ravel()).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_structural_similarity_is_that_of_a_loop_and_of_torchmetrics(seed: int) -> None:
    first, second = maps(seed, (17, 14))
    found = structural_similarity(first, second)
    assert found == pytest.approx(slow_structural_similarity(first, second), abs=1e-10)
    scaled = [torch.as_tensor((v - v.min()) / np.ptp(v))[None, None] for v in (first, second)]
    _, theirs = structural_similarity_index_measure(*scaled, data_range=1.0, return_full_image=True)
    assert found == pytest.approx(
        float(theirs[0, 0, 5:-5, 5:-5].mean()), abs=1e-6
    )  # it pads, and counts the edge


def test_the_rank_correlation_is_that_of_quantus() -> None:
    similarity = pytest.importorskip("quantus.functions.similarity_func")
    first, second = maps(5)
    assert rank_correlation(first, second) == pytest.approx(
        similarity.correlation_spearman(first.ravel(), second.ravel()), abs=1e-12
    )


def test_a_map_is_like_itself_whatever_its_scale_and_unlike_its_negative() -> None:
    first, _ = maps(0)
    same, negative = map_likeness(first, 3 * first - 2, (32, 24)), map_likeness(first, -first, (32, 24))
    assert list(same.values()) == pytest.approx([1, 1, 1])
    assert negative["spearman"] == pytest.approx(-1) and negative["absolute_spearman"] == pytest.approx(1)
    assert negative["ssim"] < 0


def test_a_constant_map_is_like_no_other() -> None:
    first, _ = maps(0)
    assert rank_correlation(first, np.ones_like(first)) == 0
    assert abs(structural_similarity(first, np.ones_like(first))) < 0.5


def test_maps_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(DataError, match="expected two maps of one model"):
        rank_correlation(np.ones((2, 3)), np.ones((3, 2)))
