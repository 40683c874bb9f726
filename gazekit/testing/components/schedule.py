"""The contract of schedules."""

import math
from collections.abc import Iterator
from numbers import Real

from gazekit.contracts.progress import Elapsed, Validated
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise


class ScheduleContract(Contract):
    """A factor for each step of any training, from nothing but how far the training is."""

    kind = "schedule"

    def test_factors(self) -> None:
        """A finite factor of at least 0 for every step, in trainings of one step and of many."""
        schedule = self.make()
        for now in _steps():
            factor = schedule(now)
            fits = isinstance(factor, Real) and 0 <= float(factor) < math.inf
            promise(self.component, "a finite factor of at least 0", fits, f"{factor!r} for {now}")
        learning = max(schedule(now) for now in _steps())
        promise(self.component, "a factor above 0 somewhere", learning > 0, learning)

    def test_no_hidden_state(self) -> None:
        """The same factor for the same step, whatever was asked before: nothing to save."""
        one = self.make()
        straight = [one(now) for now in _steps()]
        backwards = [one(now) for now in reversed(list(_steps()))]
        fresh = [self.make()(now) for now in _steps()]
        kept = straight == backwards[::-1] == fresh
        promise(self.component, "the same factor for the same step, whatever was asked before", kept)


def _steps() -> Iterator[Elapsed]:
    """Some steps of trainings of 1, 6 and 40 epochs, whose validation comes to a halt or has no number."""
    for epochs, batches in ((1, 1), (6, 3), (40, 2)):
        validated = [Validated(0.5 + min(e, 5) / 20, 1 / (1 + min(e, 5))) for e in range(epochs)]
        if epochs == 6:
            validated[2] = Validated(None, None)
        for step in range(epochs * batches):
            epoch = step // batches
            yield Elapsed(step, epochs * batches, epoch, epochs, tuple(validated[:epoch]))
