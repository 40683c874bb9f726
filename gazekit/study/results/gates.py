"""Evaluate the gates of a study on the means over its data sets."""

from collections.abc import Mapping, Sequence

from gazekit.measures.comparing.over_data_sets import differences, over_data_sets, t_interval
from gazekit.study.results.pooling import RunRecord, by_data_set
from gazekit.study.results.result import GateResult
from gazekit.study.settings import Gate


def evaluate_gates(
    gates: Sequence[Gate], records: Mapping[str, Sequence[RunRecord]], planned: int
) -> tuple[GateResult, ...]:
    """Evaluate every gate; one that waits for runs is not passed.

    Args:
        gates: of the settings.
        records: system → its finished runs.
        planned: runs per system.
    """
    return tuple(_evaluated(gate, records, planned) for gate in gates)


def _evaluated(gate: Gate, records: Mapping[str, Sequence[RunRecord]], planned: int) -> GateResult:
    ours = by_data_set(records.get(gate.system, ()))
    if gate.minus is None:
        found = over_data_sets(ours)
        value, number = (found.value, found.data_sets) if found else (None, 0)
    else:
        each = differences(ours, by_data_set(records.get(gate.minus, ())))
        value, number = (t_interval(each) if each else None), len(each)
    missing = ", ".join(
        f"{planned - len(records.get(name, ()))} of {planned} runs of {name}"
        for name in (gate.system, gate.minus)
        if name is not None and len(records.get(name, ())) < planned
    )
    return GateResult(
        subject=gate.subject,
        bounds=gate.bounds,
        data_sets=number,
        value=value,
        passed=value is not None and not missing and gate.holds(value.value),
        missing=missing,
    )
