"""Define the result of a study: plain values made by ``collect``, written by ``report``, kept in ``results.json``."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic

from gazekit.disk.own_files import MIB, FileKind, read_versioned
from gazekit.measures.catalogue import CHECKS, MEASURES, Measure
from gazekit.measures.comparing.over_data_sets import OverDataSets
from gazekit.measures.comparing.systems import Bounded, Comparison, Difference, Estimate
from gazekit.measures.former_names import by_current_name, with_former_names

SCHEMA = "gazekit.study/1"
_KIND = FileKind("the results of a study", 128 * MIB, "make them again with gazekit benchmark --out STUDY")


Named = Annotated[dict[str, Estimate], pydantic.BeforeValidator(by_current_name)]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that could not be finished, such as ``fold-1-seed-0``, and the reason in one line."""

    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reported:
    """Figures that a publication reports for a system, on its own data and protocol; None where it reports none."""

    auc: float | None
    acc: float | None
    source: str


@dataclass(frozen=True, slots=True)
class TunedRun:
    """The values that the tuning of a run chose.

    Args:
        run: such as ``fold-1-seed-0``.
        changes: ``key=value`` items on top of the row's preset.
        val_auc: by which they were chosen, not that of the run itself.
        trials: number that finished.
    """

    run: str
    changes: tuple[str, ...]
    val_auc: float
    trials: int


@dataclass(frozen=True, slots=True)
class SystemRow:
    """One system.

    Args:
        name: in this study.
        preset: the preset it was made from.
        changes: ``key=value`` items on top of the preset, except those shared by all systems of the study.
        stand_in: the system it stands in for and why; empty for a system that is what its name says.
        runs: number finished; ``planned``: number requested.
        failures: unfinished runs that failed.
        starts: origins of the runs' initial weights, if they differ.
        metrics: measure (a key of the study's ``catalogue``) → estimate; empty without a finished run.
        targets: further target → AUC.
        comparison: against the reference; None for the reference itself and if no comparison is possible.
        differences: metric of a plugin → its difference to the reference.
        parameters: number of trainable parameters.
        step_ratio: median training step time over the reference's; None if not measured.
        reported: the publication's figures, if requested and available.
        data: name of the prepared folder, if it differs from the study's.
        space: key → values or range that its tuning drew from; empty without tuning.
        tuned: what the tuning of each finished run chose.
        over_data_sets: its AUC over data sets, and the difference to the reference; None with one data set.
        group: heading that it stands under in the figure of AUCs.
        select: ``training.select`` of its preset, by which the tested epoch is chosen; empty in older files.
        calibrated: number of runs whose probabilities ``gazekit calibrate`` has fitted.
        explains_another: number of runs whose gaze aligned the maps of the true class, not those that are measured.
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
    differences: dict[str, Difference] = field(default_factory=dict)
    parameters: int | None = None
    step_ratio: float | None = None
    reported: Reported | None = None
    data: str = ""
    targets: Named = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)
    tuned: tuple[TunedRun, ...] = ()
    over_data_sets: OverDataSets | None = None
    group: str = ""
    select: str = ""
    calibrated: int = 0
    explains_another: int = 0


@dataclass(frozen=True, slots=True)
class DataSet:
    """One of several data sets: the name of its folder, fingerprint, exams and patients in the test parts."""

    name: str
    fingerprint: str
    exams: int
    patients: int


@dataclass(frozen=True, slots=True)
class RunValues:
    """The values of one finished run.

    Args:
        system: row of the table.
        data: name of the data set.
        split_name: of the data set, such as ``fold-1`` or ``split-2``.
        seed: of initial weights, order, augmentation and dropout.
        metrics: measure → value on the test part.
        selected_epoch: whose weights were tested.
        curves: ``epoch``, ``loss``, every loss term, ``val_auc`` and ``val_loss`` → value after each epoch, to five
            digits; null where there was none, as in an epoch without validation.
    """

    system: str
    data: str
    split_name: str
    seed: int
    metrics: dict[str, float]
    selected_epoch: int
    curves: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance components of the AUC: data set, split within data set, seed, residual.

    Args:
        systems: system → component → variance, which is negative where the component is too small to be seen.
        pooled: component → mean over these systems; empty without them.
        missing: system → reason why it is not divided.
    """

    systems: dict[str, dict[str, float]]
    pooled: dict[str, float]
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate of the study, evaluated.

    Args:
        subject: the value that is meant, such as ``AUC of a − AUC of b``.
        bounds: ``at least``, ``at most``, ``above``, ``below`` → number.
        data_sets: number that the value is a mean over.
        value: with the t interval over data sets; None without finished runs.
        passed: whether all runs are finished and the value is within every bound.
        missing: runs that are not finished, in words; empty if there are none.
    """

    subject: str
    bounds: dict[str, float]
    data_sets: int
    value: Bounded | None
    passed: bool
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Origin of the numbers: device in words, package → version, date (ISO), training minutes of all runs."""

    device: str
    versions: dict[str, str]
    date: str
    minutes: float


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The full result of a study.

    Args:
        title: of the study.
        dataset: name of the prepared folder; ``fingerprint`` of its content. Of several data sets, all of them.
        exams, patients: in the test parts.
        classes: class → exams in the test parts, in the order of the labels (two classes: negative, positive).
        protocol: the folds, in words.
        folds, repeats, seeds: their numbers; runs per system = data sets × folds × repeats × seeds. Random splits have
            one fold, and as many repeats as there are splits.
        reference: name of the row that all others are compared with.
        rows: in the order of the study.
        evidence: device, versions, date, work.
        changes: ``key=value`` items on top of every preset, the study's common recipe.
        leak: leaks of the splits, in words; empty if there are none.
        notes: remarks for the reader.
        reported: name under which published figures were requested; empty if not requested.
        tuning: how each run was tuned, in words; empty without tuning.
        measures: entry in the catalogue of each metric that plugins offered.
        data_sets: every data set, if there are several.
        variance: variance components of the AUC; None in older files.
        gates: the gates of the study.
        run_values: the values of every finished run; empty in older files.
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
    measures: dict[str, Measure] = field(default_factory=dict)
    tuning: str = ""
    data_sets: tuple[DataSet, ...] = ()
    variance: Variance | None = None
    gates: tuple[GateResult, ...] = ()
    run_values: tuple[RunValues, ...] = ()

    @property
    def catalogue(self) -> dict[str, Measure]:
        """Every measure of the study's tables: the core's, then those of plugins, then the checks of attention maps."""
        return MEASURES | self.measures | CHECKS

    def to_json(self) -> dict[str, Any]:
        """Return plain values with the schema; NaN becomes null."""
        values: dict[str, Any] = _without_nan({"schema": SCHEMA, **asdict(self)})
        rows = [row | {"metrics": with_former_names(row["metrics"])} for row in values["rows"]]
        return values | {"rows": rows}

    def to_text(self) -> str:
        """Return JSON text with a line per run."""
        values = self.to_json()
        runs = values.pop("run_values")
        text = json.dumps(values, indent=2).removesuffix("\n}")
        return (
            text
            + ',\n  "run_values": ['
            + ",".join(f"\n    {json.dumps(run)}" for run in runs)
            + "\n  ]\n}\n"
        )

    @classmethod
    def read(cls, path: Path) -> "StudyResult":
        """Read ``results.json``. Raises DataError: it is damaged or has another schema."""
        found: StudyResult = read_versioned(path, _KIND, SCHEMA, cls)
        return found


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
