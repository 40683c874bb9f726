"""Comparisons of a study: each system with the reference, p-values corrected among their own kind."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_study import made_pooled

from gazekit.measures.comparing.systems import compare
from gazekit.study.results.collect import _comparisons, _over_data_sets
from gazekit.study.results.pooling import RunRecord


def records(*areas: float, data: str = "") -> list[RunRecord]:
    return [
        RunRecord("fold-1", {"auc": area}, {}, Path(f"{data}fold-1-seed-{k}")) for k, area in enumerate(areas)
    ]


def holm_of(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's correction, by its definition."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    return {
        name: min(
            1.0, max((len(ordered) - k) * p_values[each] for k, each in enumerate(ordered[: place + 1]))
        )
        for place, name in enumerate(ordered)
    }


def test_p_values_of_each_test_are_corrected_for_the_systems_compared() -> None:
    pooled = {name: made_pooled(seed) for name, seed in (("a", 0), ("b", 1), ("c", 2), ("ours", 3))}
    runs = {
        "a": records(0.5, 0.6, 0.7),
        "b": records(0.1, 0.2, 0.3),
        "c": records(0.61, 0.62, 0.63),
        "ours": records(0.65, 0.75, 0.85),
    }
    found = _comparisons(pooled, runs, "ours")
    assert list(found) == ["a", "b", "c"]
    for test, holm in (("delong_p", "delong_holm"), ("mcnemar_p", "mcnemar_holm"), ("runs_p", "runs_holm")):
        values = {name: getattr(each, test) for name, each in found.items()}
        corrected = holm_of(values)
        assert len(set(values.values())) > 1 and corrected != values
        assert {name: getattr(each, holm) for name, each in found.items()} == pytest.approx(corrected)
    for name, each in found.items():
        alone = compare(pooled[name], pooled["ours"])
        assert alone is not None and each.auc_difference == alone.auc_difference
        mean = sum(run.metrics["auc"] for run in runs[name]) / 3
        assert each.runs_difference == pytest.approx(mean - 0.75)
    assert _comparisons(pooled, runs, "one that failed") == {}


def test_over_data_sets_the_reference_is_compared_with_nothing() -> None:
    """Differences of one sign have the smallest p of n data sets, 2 / 2ⁿ."""
    sets = ("one-", "two-", "three-")
    runs = {
        "ours": [each for data in sets for each in records(0.5, 0.6, data=data)],
        "better": [each for data in sets for each in records(0.7, 0.9, data=data)],
        "mixed": [*records(0.4, 0.4, data="one-"), *records(0.9, 0.9, data="two-")],
    }
    found = _over_data_sets(runs, "ours")
    reference, better, mixed = (found[name] for name in runs)
    assert reference is not None and better is not None and mixed is not None
    assert (reference.difference, reference.p, reference.holm, reference.compared) == (None, None, None, 0)
    assert better.difference is not None and better.difference.value == pytest.approx(0.25)
    assert mixed.difference is not None and mixed.difference.value == pytest.approx((-0.15 + 0.35) / 2)
    assert (better.p, mixed.p, mixed.compared) == (0.25, 1.0, 2)
    assert (better.holm, mixed.holm) == (0.5, 1.0)
    alone = _over_data_sets({name: runs[name] for name in ("ours", "better")}, "ours")["better"]
    assert repr(alone) == repr(replace(better, holm=0.25))  # NaN equals nothing, not even itself
