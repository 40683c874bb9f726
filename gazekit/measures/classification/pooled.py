"""Predictions of the same exams by several runs, pooled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
