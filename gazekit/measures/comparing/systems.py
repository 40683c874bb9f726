"""Compare two systems on the exams that both predicted."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic

from gazekit.errors import DataError
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.paired_tests import auc_difference, delong, mcnemar
from gazekit.measures.statistics.intervals import Interval


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
