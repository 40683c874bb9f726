"""Pool predictions of finished runs on the same exams, and compare two systems on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from gazekit.errors import DataError
from gazekit.measures.comparison import auc_difference, delong, mcnemar
from gazekit.measures.intervals import Interval


def _bounds(value: Any) -> Any:
    """Write an undefined bound as null: JSON has no NaN."""
    return (
        {key: math.nan if v is None else v for key, v in value.items()} if isinstance(value, dict) else value
    )


Bounded = Annotated[Interval, pydantic.BeforeValidator(_bounds)]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measure of one system.

    Args:
        mean: mean over the runs, each on its own test part.
        sd: sample standard deviation over the runs; None for one run.
        runs: number of runs with this measure.
        pooled: the measure of the pooled predictions with its 95 % interval over patients; None for measures
            that are means over attention maps.
    """

    mean: float
    sd: float | None
    runs: int
    pooled: Bounded | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system compared with the reference, on the pooled predictions of the exams that both have.

    Args:
        exams: number of exams.
        auc_difference: AUC of the system minus AUC of the reference, with its paired 95 % interval over patients.
        delong_p, mcnemar_p: two-sided, of the difference in AUC and in ACC; None if the test does not exist.
        delong_holm, mcnemar_holm: the same, corrected by Holm for the systems of the study.
        runs_difference, runs_p, runs_holm: mean AUC of the runs minus that of the reference, over the common folds; p
            by permutation of the runs; None without runs that have an AUC.
    """

    exams: int
    auc_difference: Bounded
    delong_p: float | None
    mcnemar_p: float | None
    delong_holm: float | None = None
    mcnemar_holm: float | None = None
    runs_difference: float | None = None
    runs_p: float | None = None
    runs_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of a system minus that of the reference, on the same exams.

    Args:
        value: with its paired 95 % interval over patients.
        p: two-sided, of no difference, from the same resamples; None if it is undefined.
        holm: the same, corrected by Holm for the systems of the study.
    """

    value: Bounded
    p: float | None
    holm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """One system's predictions on the test parts, averaged over the runs of an exam.

    Args:
        exam_ids, patient_ids: ``[N]``, in the order of the data set, without exams that no finished run predicted.
        labels: ``[N]``.
        probabilities: ``[N, classes]``.
    """

    exam_ids: Sequence[str]
    patient_ids: Sequence[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def common(self, other: "Pooled") -> tuple["Pooled", "Pooled"]:
        """Both, with the exams that both predicted alone, in the same order."""
        shared = set(self.exam_ids) & set(other.exam_ids)
        mine, theirs = (
            [row for row, exam in enumerate(each.exam_ids) if exam in shared] for each in (self, other)
        )
        return self.at(mine), other.at(theirs)

    def at(self, rows: Sequence[int]) -> "Pooled":
        """The exams in some rows."""
        return Pooled(
            exam_ids=[self.exam_ids[row] for row in rows],
            patient_ids=[self.patient_ids[row] for row in rows],
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
        )


def compare(system: Pooled, reference: Pooled) -> Comparison | None:
    """Compare a system with the reference on the exams that both predicted; None unless there are two classes.

    Patients are the independent unit of all tests. A test that is undefined on these exams has no p.
    """
    system, reference = system.common(reference)
    labels, patients = system.labels, system.patient_ids
    if system.probabilities.shape[1] != 2 or len(set(labels.tolist())) < 2 or len(set(patients)) < 2:
        return None
    a, b = system.probabilities[:, 1], reference.probabilities[:, 1]
    try:
        tested = delong(labels, a, b, patients)
        # no variance: a p of 0 would only reflect a lack of exams
        delong_p = tested.p if math.isfinite(tested.z) else None
    except DataError:
        delong_p = None
    return Comparison(
        exams=len(labels),
        auc_difference=auc_difference(labels, a, b, patients),
        delong_p=delong_p,
        mcnemar_p=mcnemar((a > 0.5) == labels, (b > 0.5) == labels, patients).p,
    )
