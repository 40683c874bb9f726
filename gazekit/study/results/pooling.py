"""Combine a system's finished runs: mean and spread over runs, predictions pooled over folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gazekit.disk.plain_text import visible
from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.measures.catalogue import CLASS_GROUP, TARGET_GROUP, of_label
from gazekit.measures.classification.metrics import classification_metrics
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.classification.threshold import called_class
from gazekit.measures.comparing.systems import Estimate
from gazekit.measures.former_names import by_current_name
from gazekit.measures.offered import OfferedMetrics, measure_offered
from gazekit.measures.statistics.intervals import Interval
from gazekit.measures.statistics.permutation import permute_runs
from gazekit.prepared.dataset import PreparedDataset
from gazekit.runs.directory import RunDirectory
from gazekit.runs.explain_check.file import read_explain_check
from gazekit.study.grid import RunName


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Results of a finished run on its fold's test part: measure → value, exam id → probabilities ``[classes]``.

    ``fold`` names the split, ``path`` is that of the run; ``targets`` holds the AUC of each further target,
    ``calibrated`` says whether the probabilities are, and ``explains_another`` whether the maps measured are not those
    that gaze aligned in some exams.
    """

    fold: str
    metrics: dict[str, float]
    probabilities: dict[str, tuple[float, ...]]
    path: Path = Path()
    targets: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False
    explains_another: bool = False

    @property
    def name(self) -> RunName:
        """Data set, split and seed. Raises DataError: the run's folder is not named as those of a study."""
        return RunName.parse(self.path.name)


def read_run(path: Path) -> RunRecord:
    """Read the evaluation stored in a run directory. Raises DataError."""
    run = RunDirectory.open(path)
    evaluation = run.read_evaluation()
    if evaluation["called_above"] != 0.5:
        raise DataError(
            f"{run.path}: was evaluated with its own threshold {evaluation['called_above']:.3g}, and a study compares "
            f"calls at 0.5; gazekit calibrate {in_command(run.path)} --remove, then gazekit evaluate "
            f"{in_command(run.path)}"
        )
    groups = evaluation["metrics"].items()
    measures = [(group, *item) for group, found in groups for item in by_current_name(found).items()]
    metrics = {name: m["value"] for group, name, m in measures if of_label(group) and m["value"] is not None}
    metrics |= _checks(run, evaluation["epoch"])
    targets = {
        group.removeprefix(TARGET_GROUP): m["value"]
        for group, name, m in measures
        if group.startswith(TARGET_GROUP) and name == "auc" and m["value"] is not None
    }
    probabilities = dict(run.read_predictions())
    return RunRecord(
        path.name.rpartition("-seed-")[0],
        metrics,
        probabilities,
        path,
        targets,
        calibrated=evaluation["calibration"] != "none",
        explains_another=any(group.startswith(CLASS_GROUP) for group, _ in groups),
    )


def _checks(run: RunDirectory, epoch: int | None) -> dict[str, float]:
    """Read the checks of a run's attention maps, if it was checked. Raises DataError: with other weights or run."""
    path = run.explain_check_of("test")
    found = read_explain_check(path)
    if found is None:
        return {}
    run.check_is_own(path, found.trained, "explain-check")
    if epoch is not None and found.epoch != epoch:
        raise DataError(
            f"{run.path}: its attention maps were checked with the weights of epoch {found.epoch}, and it was "
            f"evaluated with those of epoch {epoch}; check it again with gazekit explain-check "
            f"{in_command(run.path)}"
        )
    return {name: measure.value for name, measure in found.summary.items() if measure.value is not None}


def pool(dataset: PreparedDataset, records: Sequence[RunRecord]) -> Pooled:
    """Pool predictions: every predicted exam once, with its mean probabilities over seeds and repeats."""
    row_of = {exam_id: row for row, exam_id in enumerate(dataset.exam_ids)}
    sums = np.zeros((len(dataset), len(dataset.classes)))
    runs = np.zeros(len(dataset))
    for record in records:
        _check_fits(record, row_of, len(dataset.classes))
        rows = [row_of[exam_id] for exam_id in record.probabilities]
        sums[rows] += np.array(list(record.probabilities.values()))
        runs[rows] += 1
    exams = np.flatnonzero(runs)
    return Pooled(
        exam_ids=[dataset.exam_ids[i] for i in exams],
        patient_ids=[dataset.patient_ids[i] for i in exams],
        labels=dataset.labels[exams],
        probabilities=sums[exams] / runs[exams, None],
    )


def pool_data_sets(sets: Mapping[str, PreparedDataset], records: Sequence[RunRecord]) -> Pooled:
    """Pool predictions of several data sets; exams and patients of different data sets are different ones."""
    if len(sets) == 1:
        [only] = sets.values()
        return pool(only, records)
    each = {
        name: pool(dataset, found)
        for name, dataset in sets.items()
        if (found := [record for record in records if record.name.data == name])
    }
    return Pooled(
        exam_ids=[f"{name}/{exam}" for name, found in each.items() for exam in found.exam_ids],
        patient_ids=[f"{name}/{patient}" for name, found in each.items() for patient in found.patient_ids],
        labels=np.concatenate([found.labels for found in each.values()]),
        probabilities=np.concatenate([found.probabilities for found in each.values()]),
    )


def _check_fits(record: RunRecord, row_of: Mapping[str, int], classes: int) -> None:
    """Raise DataError if a run predicted exams or classes that the data lack."""
    for exam_id, chances in record.probabilities.items():
        if exam_id not in row_of or len(chances) != classes:
            raise DataError(
                f"{record.path / 'predictions.csv'}: exam {visible(exam_id)}: expected an exam of the data with "
                f"{classes} probabilities; write it again with gazekit evaluate"
            )


def estimates(
    records: Sequence[RunRecord],
    pooled: Pooled,
    *,
    metrics: OfferedMetrics | None = None,
    resamples: int = 2000,
) -> dict[str, Estimate]:
    """Estimate each measure: mean and spread over runs, with the interval of the pooled predictions if any.

    Args:
        records: the finished runs of a system.
        pooled: their predictions.
        metrics: those that plugins offer.
        resamples: of the bootstrap.
    """
    intervals = classification_metrics(
        pooled.probabilities, pooled.labels, pooled.patient_ids, resamples=resamples
    ) | measure_offered(metrics or {}, pooled, called_class(pooled.probabilities), resamples=resamples)
    return _means([record.metrics for record in records], intervals)


def of_targets(records: Sequence[RunRecord]) -> dict[str, Estimate]:
    """Estimate the AUC of each further target: mean and spread over runs."""
    return _means([record.targets for record in records], {})


def _means(of_runs: Sequence[Mapping[str, float]], pooled: Mapping[str, Interval]) -> dict[str, Estimate]:
    found = {}
    for name in dict.fromkeys(name for metrics in of_runs for name in metrics):
        values = [metrics[name] for metrics in of_runs if name in metrics]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found[name] = Estimate(float(np.mean(values)), sd, len(values), pooled.get(name))
    return found


def compare_runs(system: Sequence[RunRecord], reference: Sequence[RunRecord]) -> tuple[float, float] | None:
    """Compare mean AUCs over the folds that both have: difference and p-value; None without common folds."""
    ours, theirs = (_by_fold(records) for records in (system, reference))
    folds = [fold for fold in ours if fold in theirs]
    return permute_runs([ours[f] for f in folds], [theirs[f] for f in folds]) if folds else None


def by_data_set(records: Sequence[RunRecord]) -> dict[str, dict[tuple[str, int], float]]:
    """Map data set → (split, seed) → AUC."""
    found: dict[str, dict[tuple[str, int], float]] = {}
    for record in records:
        if "auc" in record.metrics:
            name = record.name
            found.setdefault(name.data, {})[name.split_name, name.seed] = record.metrics["auc"]
    return found


def _by_fold(records: Sequence[RunRecord]) -> dict[str, list[float]]:
    folds: dict[str, list[float]] = {}
    for record in records:
        if "auc" in record.metrics:
            folds.setdefault(record.fold, []).append(record.metrics["auc"])
    return folds
