"""Area under the part of the ROC curve that a screening programme works at."""

import numpy as np

from gazekit.records.arrays import Floats, Integers
from gazekit_components.metrics.curves_without import CurvesWithout
from gazekit_components.metrics.weighted_metric import WeightedMetric, nothing, rates

_MOST = 0.2


class PartialAUC(WeightedMetric):
    """Area under the ROC curve from 80 to 100 % specificity, scaled: ``½ (1 + (A - A_0) / (A_1 - A_0))``.

    ``A = ∫ TPR dFPR`` over FPR from 0 to f = 0.2, ``A_0 = f² / 2`` its value for guessing, ``A_1 = f`` the largest. The
    curve is straight between its points. Two classes only.

    Source: McClish 1989, doi:10.1177/0272989X8900900307.
    """

    title = "Partial AUC"
    meaning = "area under the ROC curve from 80 to 100 % specificity, scaled so that guessing scores 0.5"
    higher_is_better = True
    scale = (4 / 9, 1.0)
    chance = 0.5

    def weighted(self, truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
        """Integrate the curve of each resample up to the largest false positive rate."""
        if probabilities.shape[1] != 2:
            return nothing(weights)
        false, true = rates(truth == 1, probabilities[:, 1], weights)
        width, height = np.diff(false, axis=1), np.diff(true, axis=1)
        inside = np.clip(_MOST - false[:, :-1], 0, width)  # the part of each step up to the bound
        slope = np.divide(height, width, out=np.zeros_like(width), where=width > 0)
        area = (inside * (true[:, :-1] + slope * inside / 2)).sum(axis=1)
        return _scaled(area)

    def leaving_out(self, truth: Integers, probabilities: Floats, patient: Integers) -> Floats:
        """Integrate the curve without each patient up to the largest false positive rate."""
        if probabilities.shape[1] != 2:
            return np.full(int(patient.max()) + 1, np.nan)
        curves = CurvesWithout.of(truth == 1, probabilities[:, 1], patient)
        last = curves.last_within(_MOST)
        false, true = curves.rates_at(last)
        next_false, next_true = curves.rates_at(np.minimum(last + 1, curves.scores))
        width, height = next_false - false, next_true - true
        inside = np.clip(_MOST - false, 0, width)
        slope = np.divide(height, width, out=np.zeros_like(width), where=width > 0)
        return _scaled(curves.area_up_to(last) + inside * (true + slope * inside / 2))


def _scaled(area: Floats) -> Floats:
    lowest = _MOST**2 / 2
    return np.asarray((1 + (area - lowest) / (_MOST - lowest)) / 2)
