"""The result of a study as plain values: made by ``collect``, written by ``report``, kept in ``results.json``."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic

from gazekit.disk.own_files import MIB, FileKind, read_model, validated
from gazekit.errors import DataError
from gazekit.measures.former_names import by_current_name, with_former_names
from gazekit.measures.pooled import Comparison, Estimate, Pooled

SCHEMA = "gazekit.study/1"
_KIND = FileKind("the results of a study", 16 * MIB, "make them again with gazekit benchmark --out STUDY")


Named = Annotated[dict[str, Estimate], pydantic.BeforeValidator(by_current_name)]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that could not be finished, ``fold-1-seed-0``, and why in one line."""

    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reported:
    """Figures that a publication states for a system; None where it states none. On its own data and protocol."""

    auc: float | None
    acc: float | None
    source: str


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system.

    Args:
        name: in this study.
        preset: that it was made from.
        changes: ``key=value`` items on top of the preset that not all systems of the study have.
        stand_in: what it stands in for and why; empty for a system that is what its name says.
        runs: finished; ``planned``: asked for.
        failures: of the others, those that failed.
        starts: where the runs' initial weights came from, if not all from the same.
        metrics: measure (a key of ``measures.catalogue.MEASURES``) → estimate; empty if no run was finished.
        comparison: against the reference; None for the reference itself and where nothing can be compared.
        parameters: trainable numbers of the model.
        step_ratio: median time of a training step over that of the reference; None if not measured.
        reported: the publication's figures, if they were asked for and there are any.
        data: name of the prepared folder, where it is another than the study's.
    """

    name: str
    preset: str
    runs: int
    planned: int
    changes: tuple[str, ...] = ()
    stand_in: str = ""
    failures: tuple[FailedRun, ...] = ()
    starts: tuple[str, ...] = ()
    metrics: Named = field(default_factory=dict)
    comparison: Comparison | None = None
    parameters: int | None = None
    step_ratio: float | None = None
    reported: Reported | None = None
    data: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the numbers come from: device in words, package → version, date (ISO), minutes of training in all runs."""

    device: str
    versions: dict[str, str]
    date: str
    minutes: float


@dataclass(frozen=True, slots=True)
class StudyResult:
    """All that a table of a study says.

    Args:
        title: of the study.
        dataset: name of the prepared folder; ``fingerprint`` of its content.
        exams, patients: in the test parts.
        classes: class → exams in the test parts, in the order of the labels (two classes: negative, positive).
        protocol: the folds in words.
        folds, repeats, seeds: how many; runs per system = folds × repeats × seeds.
        reference: name of the row that the others are compared with.
        rows: in the order of the study.
        evidence: device, versions, date, work.
        changes: ``key=value`` items on top of every preset, the study's common recipe.
        leak: what the splits leak, in words; empty for nothing.
        notes: what a reader must know beside.
        reported: name under which publications' figures were asked for; empty if not.
    """

    title: str
    dataset: str
    fingerprint: str
    exams: int
    patients: int
    classes: dict[str, int]
    protocol: str
    folds: int
    repeats: int
    seeds: int
    reference: str
    rows: tuple[SystemRow, ...]
    evidence: Evidence
    changes: tuple[str, ...] = ()
    leak: str = ""
    notes: tuple[str, ...] = ()
    reported: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values with the schema; NaN becomes null."""
        values: dict[str, Any] = _without_nan({"schema": SCHEMA, **asdict(self)})
        rows = [row | {"metrics": with_former_names(row["metrics"])} for row in values["rows"]]
        return values | {"rows": rows}

    @classmethod
    def read(cls, path: Path) -> "StudyResult":
        """Read ``results.json``. Raises DataError: another schema or damaged."""
        values = read_model(path, _KIND, dict[str, Any])
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise DataError(f"{path}: schema {str(schema)[:40]}, expected {SCHEMA}; {_KIND.remedy}")
        found: StudyResult = validated(values, path, _KIND, cls)
        return found


PooledRows = Mapping[str, Pooled]
"""Name of a row → its pooled predictions; a row without a finished run is not in it."""


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
