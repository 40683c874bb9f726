"""ROC curves without each patient in turn, from the counts of all exams: a search per patient, no curve per patient."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gazekit.records.arrays import Booleans, Floats, Integers


@dataclass(frozen=True, eq=False)
class _OfClass:
    """The exams of one class, sorted by patient, then from the highest score.

    Args:
        place: among the T distinct scores, from the highest, ``[n]``.
        starts: where each of P patients begins, and the end, ``[P + 1]``.
        scores: T.
    """

    place: Integers
    starts: Integers
    scores: int

    @classmethod
    def of(cls, place: Integers, patient: Integers, patients: int, scores: int) -> "_OfClass":
        order = np.lexsort((place, patient))
        starts = np.searchsorted(patient[order], np.arange(patients + 1))
        return cls(place[order], starts, scores)

    @cached_property
    def owner(self) -> Integers:
        """Patient of each exam, ``[n]``."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @cached_property
    def called(self) -> Floats:
        """Exams among the k highest scores, ``[T + 1]``."""
        return np.asarray(np.r_[0.0, np.cumsum(np.bincount(self.place, minlength=self.scores))])

    def called_without(self, places: Integers) -> Floats:
        """Exams of the others among the k highest scores, with a k per patient, ``[P]``."""
        patients, stride = np.arange(len(places)), self.scores + 1
        own = np.searchsorted(self.owner * stride + self.place, patients * stride + places) - self.starts[:-1]
        return np.asarray(self.called[places] - own)

    @property
    def kept(self) -> Floats:
        """Exams of the others, ``[P]``."""
        return np.asarray(len(self.place) - np.diff(self.starts), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class CurvesWithout:
    """The ROC curve without each of P patients; k counts the distinct scores that are called, from the highest.

    Args:
        negative, positive: exams of either class.
        scores: the number of distinct scores of all exams, T.
    """

    negative: _OfClass
    positive: _OfClass
    scores: int

    @classmethod
    def of(cls, positive: Booleans, scores: Floats, patient: Integers) -> "CurvesWithout":
        """Sort the exams ``[N]``; ``patient`` numbers the patient of each from 0."""
        values, place = np.unique(-scores, return_inverse=True)
        patients, number = int(patient.max()) + 1, len(values)
        negatives, positives = (
            _OfClass.of(place[own], patient[own], patients, number) for own in (~positive, positive)
        )
        return cls(negatives, positives, number)

    def rates_at(self, places: Integers) -> tuple[Floats, Floats]:
        """False and true positive rate with k scores called, a k per patient; NaN where a class is gone."""
        found = []
        for each in (self.negative, self.positive):
            kept, called = each.kept, each.called_without(places)
            found.append(np.divide(called, kept, out=np.full(len(kept), np.nan), where=kept > 0))
        return found[0], found[1]

    def last_within(self, most: float) -> Integers:
        """The largest k whose false positive rate is ``most`` at most, per patient; 0 where a class is gone."""
        low = np.zeros(len(self.negative.kept), dtype=np.int64)
        high = np.full_like(low, self.scores)
        while (low < high).any():
            middle = (low + high + 1) // 2
            with np.errstate(invalid="ignore"):
                within = self.rates_at(middle)[0] <= most
            low, high = np.where(within, middle, low), np.where(within, high, middle - 1)
        return low

    def area_up_to(self, places: Integers) -> Floats:
        """Area under the curve up to the false positive rate with k scores called, a k per patient.

        It counts the pairs of a negative exam among the k highest scores and a positive one above it, of equal ones
        half: those of all exams, less those of the patient's negative and those of its positive exams with any other,
        plus those between two of its own.
        """
        negative, positive = self.negative, self.positive
        patients = len(places)
        hits, misses = np.diff(positive.called), np.diff(negative.called)
        above = positive.called[:-1] + hits / 2  # of each score, [T]
        pairs = np.r_[0.0, np.cumsum(misses * above)][places]
        counted = negative.place < places[negative.owner]
        lost = np.where(counted, above[negative.place], 0)
        pairs -= np.bincount(negative.owner, weights=lost, minlength=patients)
        limit = places[positive.owner]
        below = negative.called[limit] - negative.called[positive.place + 1] + misses[positive.place] / 2
        lost = np.where(positive.place < limit, below, 0)
        pairs -= np.bincount(positive.owner, weights=lost, minlength=patients)
        for own in np.flatnonzero((np.diff(negative.starts) > 0) & (np.diff(positive.starts) > 0)).tolist():
            zeros, ones = (
                each.place[each.starts[own] : each.starts[own + 1]] for each in (negative, positive)
            )
            zeros = zeros[zeros < places[own]]
            pairs[own] += sum(np.searchsorted(ones, zeros, side=side).sum() for side in ("left", "right")) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(pairs / (negative.kept * positive.kept))
