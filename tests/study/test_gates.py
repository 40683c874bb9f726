"""Gates of a study: means over data sets within bounds, once every run is there."""

from pathlib import Path

import pytest

from gazekit.study.results.gates import evaluate_gates
from gazekit.study.results.pooling import RunRecord
from gazekit.study.settings import Gate

RUNS = [(data, seed) for data in ("one", "two") for seed in (0, 1)]


def finished(*areas: float) -> list[RunRecord]:
    return [
        RunRecord("fold-1", {"auc": area}, {}, Path(f"{data}-fold-1-seed-{seed}"))
        for area, (data, seed) in zip(areas, RUNS, strict=False)
    ]


def test_a_value_is_the_mean_over_data_sets_and_a_difference_that_of_shared_runs() -> None:
    ours, theirs = finished(0.9, 0.7, 0.6), finished(0.5, 0.6)
    gates = [Gate(system="a", above=0), Gate(system="a", minus="b", above=0), Gate(system="b", minus="a")]
    own, gain, loss = evaluate_gates(gates, {"a": ours, "b": theirs}, 4)
    assert own.value is not None and own.value.value == pytest.approx((0.8 + 0.6) / 2)
    assert gain.value is not None and gain.value.value == pytest.approx((0.4 + 0.1) / 2)
    assert loss.value is not None and loss.value.value == pytest.approx(-0.25)
    assert (own.data_sets, gain.data_sets) == (2, 1)
    assert own.missing == "1 of 4 runs of a" and not own.passed
    assert gain.missing == "1 of 4 runs of a, 2 of 4 runs of b" and not gain.passed


@pytest.mark.parametrize(
    ("bounds", "passed"),
    [
        ({"at_least": 0.75}, True),
        ({"at_least": 0.76}, False),
        ({"at_most": 0.75}, True),
        ({"at_most": 0.74}, False),
        ({"above": 0.75}, False),
        ({"above": 0.74}, True),
        ({"below": 0.75}, False),
        ({"below": 0.76}, True),
        ({"at_least": 0.7, "below": 0.75}, False),
    ],
)
def test_a_gate_is_passed_within_every_bound(bounds: dict[str, float], passed: bool) -> None:
    (found,) = evaluate_gates([Gate(system="a", **bounds)], {"a": finished(0.5, 1.0, 0.75, 0.75)}, 4)
    assert found.passed == passed and found.missing == ""


def test_without_a_run_there_is_no_value_and_nothing_is_passed() -> None:
    gates = [Gate(system="a", below=1), Gate(system="a", minus="b", below=1)]
    for found in evaluate_gates(gates, {"b": finished(0.5)}, 1):
        assert (found.value, found.data_sets, found.passed) == (None, 0, False)
        assert found.missing == "1 of 1 runs of a"
