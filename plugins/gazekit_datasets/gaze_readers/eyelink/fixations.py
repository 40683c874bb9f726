"""Give the fixations that an EyeLink found to the trials and images they fell on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gazekit.errors import DataError
from gazekit_datasets.gaze_readers.eyelink.lines import Line
from gazekit_datasets.gaze_readers.eyelink.trials import Stretch, Trial


@dataclass(frozen=True, slots=True)
class FoundFixation:
    """A fixation found by the tracker, ``EFIX eye start end duration x y pupil``.

    Args:
        line: for messages.
        side: of the eye.
        block: its number.
        resolution: pixels per degree of the block; None if unknown.
        start_ms, duration_ms: ms; the duration includes the last sample.
        x, y: pixels of the screen; NaN where lost.
    """

    line: Line
    side: str
    block: int
    resolution: float | None
    start_ms: float
    duration_ms: float
    x: float
    y: float

    def add_to(self, stretch: Stretch, first_ms: float, last_ms: float) -> None:
        """Add what lies between two times to a stretch. Raises: DataError if time goes back."""
        start = max(self.start_ms, first_ms)
        end = min(self.start_ms + self.duration_ms, last_ms)
        stretch.blocks.add(self.block)
        if stretch.resolution is None:
            stretch.resolution = self.resolution
        stretch.add(self.line, start, self.x, self.y, end - start)


def share(fixations: Sequence[FoundFixation], trials: Iterable[Trial]) -> None:
    """Give each fixation to every stretch that it overlaps, cut to the overlap.

    The messages say when a stretch began and ended; the tracker writes a fixation only where it ends, when another
    image may be shown, or the trial be over.

    Raises:
        DataError: fixations of both eyes. Times that go back are a fault of the trial.
    """
    onset = np.array([each.start_ms for each in fixations])
    end = onset + np.array([each.duration_ms for each in fixations])
    sides: dict[int, str] = {}
    for trial in trials:
        for stretch, first_ms, last_ms in trial.windows():
            for at in np.flatnonzero((onset < last_ms) & (end > first_ms)):
                fixation = fixations[int(at)]
                if sides.setdefault(fixation.block, fixation.side) != fixation.side:
                    raise fixation.line.error(
                        "fixations of both eyes; expected those of one; set the reader's option eye to left or right"
                    )
                try:
                    fixation.add_to(stretch, first_ms, last_ms)
                except DataError as error:
                    trial.fault = trial.fault or error
