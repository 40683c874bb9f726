"""Sensitivity at a specificity that a screening programme asks for."""

import numpy as np

from gazekit.records.arrays import Floats, Integers
from gazekit_components.metrics.curves_without import CurvesWithout
from gazekit_components.metrics.weighted_metric import WeightedMetric, nothing, rates


class _SensitivityAtSpecificity(WeightedMetric):
    specificity: float
    higher_is_better = True
    scale = (0.0, 1.0)

    def weighted(self, truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
        """Take the largest true positive rate whose false positive rate is at most ``1 - specificity``."""
        if probabilities.shape[1] != 2:
            return nothing(weights)
        false, true = rates(truth == 1, probabilities[:, 1], weights)
        reached = np.where(false <= 1 - self.specificity + 1e-9, true, 0).max(axis=1)
        return np.asarray(np.where(np.isnan(false[:, -1]) | np.isnan(true[:, -1]), np.nan, reached))

    def leaving_out(self, truth: Integers, probabilities: Floats, patient: Integers) -> Floats:
        """Take that rate of the curve without each patient."""
        if probabilities.shape[1] != 2:
            return np.full(int(patient.max()) + 1, np.nan)
        curves = CurvesWithout.of(truth == 1, probabilities[:, 1], patient)
        false, true = curves.rates_at(curves.last_within(1 - self.specificity + 1e-9))
        return np.asarray(np.where(np.isnan(false), np.nan, true))


class SensitivityAt80(_SensitivityAtSpecificity):
    """Sensitivity at 80 % specificity: ``max TPR(t)`` over the thresholds t with ``FPR(t) ≤ 0.2``.

    The thresholds are the probabilities of the measured exams, so that it measures the order of the exams, as the AUC
    does, and flatters a threshold that was chosen beforehand. Two classes only.
    """

    title = "Sensitivity at 80 % specificity"
    meaning = (
        "share of positive exams found while 80 % of the negative ones are left alone; guessing scores 0.2"
    )
    specificity = 0.8
    chance = 0.2


class SensitivityAt90(_SensitivityAtSpecificity):
    """Sensitivity at 90 % specificity: ``max TPR(t)`` over the thresholds t with ``FPR(t) ≤ 0.1``.

    As `SensitivityAt80`. Two classes only.
    """

    title = "Sensitivity at 90 % specificity"
    meaning = (
        "share of positive exams found while 90 % of the negative ones are left alone; guessing scores 0.1"
    )
    specificity = 0.9
    chance = 0.1
