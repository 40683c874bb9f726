"""Measure how certain a prediction is: entropy of the mean, and spread of the averaged answers."""

import numpy as np

from gazekit.records.arrays import Floats


def predictive_entropy(probabilities: Floats) -> Floats:
    """Compute ``H = -sum_k p_k log2 p_k`` in bits, ``[n]``, from the mean over M of probabilities ``[M, n, K]``.

    0 for a certain prediction, ``log2 K`` if all classes are equally probable. It measures how undecided the prediction
    is, whatever the reason; a model that is confidently wrong has low entropy.

    Source: Shannon 1948; of an ensemble's mean, Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """
    mean = np.asarray(probabilities, dtype=np.float64).mean(axis=0)  # [n, K]
    logarithms = np.log2(np.where(mean > 0, mean, 1))
    return np.asarray(np.maximum(-(mean * logarithms).sum(axis=1), 0))


def spread(probabilities: Floats) -> Floats | None:
    """Compute the SD (n - 1) over answers of the predicted class's probability, ``[n]``; None for a single answer.

    The predicted class has the highest mean probability over the answers ``[M, n, K]``. 0 if all answers agree.
    """
    answers = np.asarray(probabilities, dtype=np.float64)
    if len(answers) < 2:
        return None
    predicted = answers.mean(axis=0).argmax(axis=1)
    return np.asarray(answers[:, np.arange(answers.shape[1]), predicted].std(axis=0, ddof=1))
