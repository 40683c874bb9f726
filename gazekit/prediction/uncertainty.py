"""How sure a prediction is: entropy of the mean, and spread of the answers that it is the mean of."""

import numpy as np

from gazekit.records.arrays import Floats


def predictive_entropy(probabilities: Floats) -> Floats:
    """``H = -sum_k p_k log2 p_k`` of the mean probabilities ``[M, n, K]``, in bits ``[n]``.

    0 for a certain prediction, ``log2 K`` where all classes are equally probable. It says how undecided the prediction
    is, from whatever source; a model that is wrong with confidence has a low one.

    Source: Shannon 1948; of an ensemble's mean, Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """
    mean = np.asarray(probabilities, dtype=np.float64).mean(axis=0)  # [n, K]
    logarithms = np.log2(np.where(mean > 0, mean, 1))
    return np.asarray(np.maximum(-(mean * logarithms).sum(axis=1), 0))


def spread(probabilities: Floats) -> Floats | None:
    """Standard deviation (n - 1) over the answers of the probability of the predicted class, ``[n]``; None for one.

    The predicted class is the most probable one of the mean of the answers ``[M, n, K]``. 0 where all answers agree.
    """
    answers = np.asarray(probabilities, dtype=np.float64)
    if len(answers) < 2:
        return None
    predicted = answers.mean(axis=0).argmax(axis=1)
    return np.asarray(answers[:, np.arange(answers.shape[1]), predicted].std(axis=0, ddof=1))
