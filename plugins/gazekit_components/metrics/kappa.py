"""Cohen's kappa, plain and weighted for classes in order."""

import numpy as np

from gazekit.records.arrays import Floats, Integers
from gazekit_components.metrics.weighted_metric import WeightedMetric, confusion, nothing


class _CohensKappa(WeightedMetric):
    higher_is_better = True
    scale = (-1.0, 1.0)
    chance = 0.0
    reads = "calls"
    power: int
    """Of the distance of call and truth; 0 counts every wrong call alike."""

    def weighted(self, truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
        """Compare the table of truth and call with that of chance."""
        classes = np.arange(probabilities.shape[1])
        if self.power and len(classes) == 2:
            return nothing(weights)
        apart = np.abs(classes[:, None] - classes)
        disagreement = np.where(apart == 0, 0.0, apart.astype(np.float64) ** self.power)
        table = confusion(truth, probabilities, weights)  # [R, truth, call]
        total = table.sum(axis=(1, 2))
        by_chance = np.einsum("tc,rt,rc->r", disagreement, table.sum(axis=2), table.sum(axis=1))
        observed = total * (disagreement * table).sum(axis=(1, 2))
        return np.asarray(
            1 - np.divide(observed, by_chance, out=np.full_like(observed, np.nan), where=by_chance > 0)
        )


class Kappa(_CohensKappa):
    """Cohen's kappa: ``1 - Σ d_ij O_ij / Σ d_ij E_ij``, with disagreement ``d_ij = [i ≠ j]``.

    ``O_ij`` is the share of exams of class i that are called j, ``E_ij`` that of independent truth and call.

    Source: Cohen 1960, doi:10.1177/001316446002000104.
    """

    title = "Kappa"
    meaning = "agreement of call and truth beyond chance; 0 is guessing"
    power = 0


class LinearKappa(_CohensKappa):
    """Cohen's kappa of classes in order, ``d_ij = |i - j|``: a call two classes off disagrees twice as much.

    Two classes have one distance, so it says nothing of them: see `Kappa`.

    Source: Cohen 1968, doi:10.1037/h0026256.
    """

    title = "Linear kappa"
    meaning = "agreement of call and truth beyond chance, by the distance of ordered classes; 0 is guessing"
    power = 1


class QuadraticKappa(_CohensKappa):
    """Cohen's kappa of classes in order, ``d_ij = (i - j)²``: a call two classes off disagrees four times as much.

    Two classes have one distance, so it says nothing of them: see `Kappa`.

    Source: Cohen 1968, doi:10.1037/h0026256.
    """

    title = "Quadratic kappa"
    meaning = (
        "agreement of call and truth beyond chance, by the squared distance of ordered classes; 0 is guessing"
    )
    power = 2
