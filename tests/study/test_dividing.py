"""The variance of a study's runs is that of their table: data set, split within it, seed."""

from pathlib import Path

import numpy as np
import pytest

from gazekit.measures.statistics.variance_components import variance_components
from gazekit.study.results.dividing import divide_variance
from gazekit.study.results.pooling import RunRecord


def test_runs_in_any_order_are_arranged_by_data_set_split_and_seed() -> None:
    rng = np.random.default_rng(0)
    tables = {name: rng.random((2, 3, 4)) for name in ("a", "b")}
    records = {
        name: [
            RunRecord("", {"auc": area}, {}, Path(f"{'xy'[d]}-split-{s}-seed-{k}"))
            for (d, s, k), area in np.ndenumerate(table)
        ]
        for name, table in tables.items()
    }
    for runs in records.values():
        rng.shuffle(runs)  # type: ignore[arg-type]
    records["c"] = records["a"][1:]
    found = divide_variance(records, {"a": 24, "b": 24, "c": 24})
    expected = {name: variance_components(table) for name, table in tables.items()}
    for name, components in expected.items():
        assert found.systems[name] == pytest.approx(components)
    mean = {part: (expected["a"][part] + expected["b"][part]) / 2 for part in expected["a"]}
    assert found.pooled == pytest.approx(mean) and list(found.systems) == ["a", "b"]
    assert found.missing == {"c": "1 of 24 runs have no AUC yet; expected one in every cell"}
