"""Divide the variance of each system's AUC over its runs."""

from collections.abc import Mapping, Sequence

import numpy as np

from gazekit.errors import DataError
from gazekit.measures.statistics.variance_components import variance_components
from gazekit.records.arrays import Floats
from gazekit.study.results.pooling import RunRecord, by_data_set
from gazekit.study.results.result import Variance


def divide_variance(records: Mapping[str, Sequence[RunRecord]], planned: Mapping[str, int]) -> Variance:
    """Divide the variance of the AUC into data set, split, seed and residual, for each system with all its runs.

    Args:
        records: system → its finished runs.
        planned: system → number of runs, in the order of the table.
    """
    systems: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    for name, number in planned.items():
        found = by_data_set(records.get(name, ()))
        there = sum(map(len, found.values()))
        if there < number:
            missing[name] = f"{number - there} of {number} runs have no AUC yet; expected one in every cell"
            continue
        try:
            systems[name] = variance_components(_cells(found))
        except DataError as error:
            missing[name] = str(error)
    pooled = {
        component: float(np.mean([each[component] for each in systems.values()]))
        for component in next(iter(systems.values()), {})
    }
    return Variance(systems, pooled, missing)


def _cells(found: Mapping[str, Mapping[tuple[str, int], float]]) -> Floats:
    """Arrange the AUCs of a system with all its runs, ``[D, S, K]``."""
    seeds = sorted({seed for runs in found.values() for _, seed in runs})
    return np.array(
        [
            [[runs[split, seed] for seed in seeds] for split in dict.fromkeys(split for split, _ in runs)]
            for runs in found.values()
        ]
    )
