"""EyeLink recordings as text (ASC), as edf2asc converts them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gazekit.errors import DataError
from gazekit.gaze.recording import Recording, Shown
from gazekit_datasets.eyelink.blocks import SIDES, Block, Survey
from gazekit_datasets.eyelink.lines import header_fits, lines
from gazekit_datasets.eyelink.trials import Trial


class EyeLink:
    """Reads EyeLink ASC files: one recording per trial and image.

    A trial begins with the message ``TRIALID`` and ends with ``TRIAL_RESULT`` or the next one; what was recorded
    between trials is left out, but a file without trials is one recording. Images come from ``!V IMGLOAD FILL |
    CENTER | TOP_LEFT``, which also says where they lay; several of them shown at once each get the gaze on them.
    Gaze before a trial's first such message counts for that image, until ``!V CLEAR``. Samples inside blinks are
    lost. Pixels per degree are the mean ``RES`` of a block's ``END``.

    Args:
        eye: ``"both"`` takes the mean where both eyes are there, else the one that is.
        events: ``"fixations"`` takes those that the tracker found itself (``EFIX``), cut at the beginning of a
            trial or image; of a binocular recording, one eye must be chosen.
        shown: left, top, width and height of the image on the screen in pixels, in the place of what the
            messages say; needed where they say nothing.
        onset: leave out a trial's gaze before the first message that begins with this, such as ``"SYNCTIME"``.
        exam_variable, view_variable, image_variable: names of the ``!V TRIAL_VAR`` that hold the exam, its view
            and, without ``IMGLOAD``, the image; without the first, ``TRIALID`` names the exam.

    Source: SR Research, EyeLink 1000 Plus User Manual, and EyeLink Data Viewer User's Manual, Protocol for EyeLink
    Data to Viewer Integration.
    """

    def __init__(
        self,
        *,
        eye: Literal["both", "left", "right"] = "both",
        events: Literal["samples", "fixations"] = "samples",
        shown: Shown | None = None,
        onset: str = "",
        exam_variable: str = "exam_id",
        view_variable: str = "view",
        image_variable: str = "image",
    ) -> None:
        self.eyes = SIDES if eye == "both" else (eye,)
        self.events = events
        self.shown = shown
        self.onset = onset
        self.variables = {"exam_id": exam_variable, "view": view_variable, "image": image_variable}

    def fits(self, path: Path) -> bool:
        """Whether the file begins with the header of edf2asc."""
        return header_fits(path)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per trial and image, in the order of the file.

        Raises:
            DataError: not readable, no gaze, a line that is not EyeLink's, times that go back (with row).
        """
        survey = Survey.of(path)
        found = 0
        for trial in self._trials(path, survey):
            if trial.name is not None or not survey.has_trials:
                for recording in trial.recordings(path, self.shown, self.variables):
                    found += 1
                    yield recording
        if not found:
            where = "in a trial (from TRIALID to TRIAL_RESULT)" if survey.has_trials else "in the file"
            raise DataError(
                f"{path}: no {self.events} {where}; expected what an EyeLink recorded; convert it with edf2asc's "
                "default options"
            )

    def _trials(self, path: Path, survey: Survey) -> Iterator[Trial]:
        """The trials one after the other, the first before any ``TRIALID``."""
        trial, block = Trial(None, self.onset), Block(self.eyes)
        for line in lines(path):
            kind = line.words[0]
            if kind[0].isdigit():
                if trial.now is not None and block.is_open:
                    block.sample(line, trial.now, keep=self.events == "samples")
            elif kind == "MSG":
                block.follow(line)
                if line.trial is None:
                    trial.take(line, block.display)
                else:
                    yield trial
                    trial = Trial(line.trial, self.onset)
            elif kind == "EFIX" and trial.now is not None and self.events == "fixations":
                block.fixation(line, trial.now)
            elif kind == "START":
                block = block.following(survey)
            else:
                block.follow(line)
        yield trial
