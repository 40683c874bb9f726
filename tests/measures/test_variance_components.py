"""The variance of a study's runs, divided: against sums in loops, and on studies with known components."""

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.measures.statistics.variance_components import COMPONENTS, variance_components

KNOWN = {"data set": 0.04**2, "split": 0.03**2, "seed": 0.02**2, "residual": 0.01**2}


def drawn(rng, sets, splits, seeds):
    """A study with the known components, ``[D, S, K]``."""
    sd = {name: value**0.5 for name, value in KNOWN.items()}
    return (
        0.75
        + sd["data set"] * rng.normal(size=(sets, 1, 1))
        + sd["split"] * rng.normal(size=(sets, splits, 1))
        + sd["seed"] * rng.normal(size=(1, 1, seeds))
        + sd["residual"] * rng.normal(size=(sets, splits, seeds))
    )


def by_loops(y):
    """The same from sums of squares, run by run."""
    sets, splits, seeds = y.shape
    cells = [(d, s, k) for d in range(sets) for s in range(splits) for k in range(seeds)]
    mean = sum(y[cell] for cell in cells) / len(cells)
    ss = dict.fromkeys(COMPONENTS, 0.0)
    for d, s, k in cells:
        of_set = sum(y[d, i, j] for i in range(splits) for j in range(seeds)) / (splits * seeds)
        of_split = sum(y[d, s, j] for j in range(seeds)) / seeds
        of_seed = sum(y[i, j, k] for i in range(sets) for j in range(splits)) / (sets * splits)
        ss["data set"] += (of_set - mean) ** 2
        ss["split"] += (of_split - of_set) ** 2
        ss["seed"] += (of_seed - mean) ** 2
        ss["residual"] += (y[d, s, k] - of_split - of_seed + mean) ** 2
    freedom = (sets - 1, sets * (splits - 1), seeds - 1, (sets * splits - 1) * (seeds - 1))
    of_set, of_split, of_seed, residual = (
        sum_ / max(df, 1) for sum_, df in zip(ss.values(), freedom, strict=True)
    )
    return {
        "data set": (of_set - (of_split if splits > 1 else residual)) / (splits * seeds),
        "split": (of_split - residual) / seeds,
        "seed": (of_seed - residual) / (sets * splits),
        "residual": residual,
    }


@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 2, 2), (5, 1, 3), (1, 4, 3)])
def test_the_components_are_those_of_sums_in_loops(shape):
    y = drawn(np.random.default_rng(0), *shape)
    found, expected = variance_components(y), by_loops(y)
    there = set(COMPONENTS) - {name for name, n in zip(("data set", "split"), shape, strict=False) if n == 1}
    assert set(found) == there
    assert found == pytest.approx({name: expected[name] for name in found})


def test_known_components_are_found_on_average():
    """2000 studies of 6 data sets, 2 splits and 5 seeds: unbiased within three standard errors."""
    rng = np.random.default_rng(1)
    found = [variance_components(drawn(rng, 6, 2, 5)) for _ in range(2000)]
    for name, value in KNOWN.items():
        each = np.array([components[name] for components in found])
        assert abs(each.mean() - value) < 3 * each.std() / len(each) ** 0.5, name
    assert min(components["split"] for components in found) < KNOWN["split"] / 2


def test_with_one_split_per_data_set_its_component_includes_the_split():
    rng = np.random.default_rng(2)
    found = [variance_components(drawn(rng, 12, 1, 3))["data set"] for _ in range(2000)]
    assert np.mean(found) == pytest.approx(KNOWN["data set"] + KNOWN["split"], rel=0.03)


def test_a_component_too_small_to_be_seen_is_negative():
    y = np.array([[[0.7, 0.8]], [[0.8, 0.7]]])  # the seeds swap places
    assert variance_components(y)["data set"] < 0


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros((3, 2, 1)), "one seed"),
        (np.zeros((1, 1, 4)), "one split of one data set"),
        (np.array([[[0.7, np.nan]], [[0.7, 0.7]]]), "1 missing"),
        (np.zeros((3, 2)), "one run for every data set, split and seed"),
    ],
)
def test_a_study_that_cannot_be_divided_is_told_why(y, said):
    with pytest.raises(DataError, match=said):
        variance_components(y)
