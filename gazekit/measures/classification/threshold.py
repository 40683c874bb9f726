"""Call classes at a threshold, and check whether a threshold separates two classes.

A model may rank the exams well and still call all of them one class: that is poor calibration.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazekit.disk.wording import in_command
from gazekit.records.arrays import Floats
from gazekit.records.labels import in_sentence

if TYPE_CHECKING:
    from gazekit.measures.statistics.intervals import Interval

_FEWEST = 10
"""Fewer unlabelled exams than this may well be of one class."""
_USELESS = 0.1
"""Youden's index (sensitivity + specificity − 1) below which calls hardly separate the classes."""
_ORDERED = 0.5
"""Best Youden index of any threshold from which another threshold is worth choosing."""
_TRAIN = "train longer, or on more exams"


def called_class(probabilities: NDArray[np.floating], threshold: float = 0.5) -> NDArray[np.int64]:
    """Return the class called in each row ``[N, classes]``: of two the second above the threshold."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def separates_nothing(
    positive: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    area: "Interval | None" = None,
    *,
    threshold: float = 0.5,
) -> str:
    """Describe the fault of the threshold on exams of known truth; empty if it has none.

    Args:
        positive: ``[N]`` probabilities of the second of two classes.
        labels: ``[N]`` 0 and 1.
        classes: the names of both.
        area: the AUC with its interval.
        threshold: the second class is called above it.
    """
    counts = [int((labels == k).sum()) for k in (0, 1)]
    if min(counts) == 0:
        return ""
    called = positive > threshold
    youden = _youden(called, labels)
    one_sided = called.all() or not called.any()
    if not one_sided and not (youden < _USELESS and _best_youden(positive, labels) >= _ORDERED):
        return ""
    negative, other = map(in_sentence, classes)
    truth = f"{counts[0]} are {negative} and {counts[1]} {other}"
    if one_sided:
        one = in_sentence(classes[int(called[0])])
        said = f"{_nothing(threshold)}: all {len(labels)} exams are called {one}, and {truth}"
    else:
        said = (
            f"the threshold {threshold:.3g} separates next to nothing: {int(called.sum())} of {len(labels)} exams "
            f"are called {other}, and {truth}"
        )
    said += f" (P({classes[1]}) from {positive.min():.3f} to {positive.max():.3f})"
    if area is None:
        return said
    if area.low > 0.5:
        return f"{said}; their order is better than chance (AUC {area.value:.3f}), so another threshold would do better"
    if area.value == 1:
        return f"{said}; their order has no error here (AUC {area.value:.3f}), so another threshold would do better"
    return f"{said}; nor is their order shown to be better than chance (AUC {area.value:.3f}): {_TRAIN}"


def with_advice(said: str, run: str, threshold: float = 0.5) -> str:
    """Add to a remark on a run's threshold the command that finds a better one, if one can help."""
    if said.endswith(_TRAIN):
        return said
    if threshold != 0.5:
        return f"{said}; gazekit calibrate chose it on the validation part; compare probabilities instead"
    return (
        f"{said}; choose one on the validation part, which predict then uses (gazekit calibrate {in_command(run)} "
        "--at-specificity 0.9), or compare probabilities"
    )


def on_one_side(positive: NDArray[np.floating], classes: Sequence[str], threshold: float = 0.5) -> str:
    """Describe a suspicion about exams of unknown truth; empty if they are few or lie on both sides of the threshold.

    Args:
        positive: ``[N]`` probabilities of the second of two classes.
        classes: the names of both.
        threshold: the second class is called above it.
    """
    called = positive > threshold
    if len(positive) < _FEWEST or (called.any() and not called.all()):
        return ""
    one = in_sentence(classes[int(called[0])])
    return (
        f"all {len(positive)} exams are called {one} (P({classes[1]}) from {positive.min():.3f} to "
        f"{positive.max():.3f}): if they are not all of one class, {_nothing(threshold)}"
    )


def _nothing(threshold: float) -> str:
    return f"the threshold {threshold:.3g} separates nothing"


def share_above(scores: NDArray[np.floating], cuts: NDArray[np.floating]) -> Floats:
    """Share of the scores ``[N]`` above each cut, ``[cuts]``; NaN of no scores."""
    above = len(scores) - np.searchsorted(np.sort(scores), cuts, side="right")
    return np.asarray(above / len(scores) if len(scores) else np.full(len(cuts), np.nan))


def _best_youden(positive: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    cuts = np.unique(positive)
    return float((share_above(positive[labels == 1], cuts) - share_above(positive[labels == 0], cuts)).max())


def _youden(called: NDArray[np.bool_], labels: NDArray[np.integer]) -> float:
    return float(called[labels == 1].mean() - called[labels == 0].mean())
