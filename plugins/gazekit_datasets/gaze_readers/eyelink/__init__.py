"""Read EyeLink recordings converted to text (ASC) by edf2asc."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gazekit.errors import DataError
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.eyelink.blocks import SIDES, Block, Survey, has_samples
from gazekit_datasets.gaze_readers.eyelink.fixations import FoundFixation, share
from gazekit_datasets.gaze_readers.eyelink.lines import TRIAL, Line, header_fits, lines
from gazekit_datasets.gaze_readers.eyelink.trials import DRAW_LIST, Trial, named_list
from gazekit_datasets.gaze_readers.gaze_rows import Found, recordings_with_faults


class EyeLink:
    """Reads EyeLink ASC files: one recording per trial and image.

    A trial begins with the message ``TRIALID`` and ends with ``TRIAL_RESULT`` or the next trial; gaze recorded
    between trials is dropped, but a file without trials is one recording. Images come from ``!V IMGLOAD FILL |
    CENTER | TOP_LEFT``, or from the list of such commands that ``!V DRAW_LIST`` names, which also give their place;
    of several images shown at once, each gets the gaze on it. Gaze before a trial's first image is dropped, unless no
    gaze follows, or the trial ends at once. Samples inside blinks are lost, and those that edf2asc marks as lost:
    ``.``, NaN, -32768, 1e8, or (0, 0) without a pupil. Pixels per degree are the mean ``RES`` of a block's ``END``.

    Args:
        eye: ``"both"`` takes the mean of both eyes, or the only one recorded; ``"left"`` and ``"right"``
            drop gaze recorded from the other eye alone.
        events: ``"fixations"`` takes those found by the tracker (``EFIX``), each cut to the
            time that a trial or image lasted; of a binocular recording, one eye must be chosen.
        shown: left, top, width and height of the image on the screen in pixels, instead of what the
            messages say; required if they say nothing.
        onset: drop a trial's gaze before the first message that begins with this, such as ``"SYNCTIME"``.
        trial_message: beginning of the message that starts a trial; its rest names the trial. OpenSesame's is
            ``"start_trial"``.
        exam_variable, view_variable, image_variable, reader_variable: names of the ``!V TRIAL_VAR`` with the
            exam, its view, the image (if there is no ``IMGLOAD``) and the reader; without the first, the trial names
            the exam.

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
        trial_message: Annotated[str, Field(min_length=1)] = TRIAL,
        exam_variable: str = "exam_id",
        view_variable: str = "view",
        image_variable: str = "image",
        reader_variable: str = "reader",
    ) -> None:
        self.eyes = SIDES if eye == "both" else (eye,)
        self.events = events
        self.shown = shown
        self.onset = onset
        self.trial_message = trial_message
        self.variables = {
            "exam_id": exam_variable,
            "view": view_variable,
            "image": image_variable,
            "reader": reader_variable,
        }

    def fits(self, path: Path) -> bool:
        """Say whether the file begins with edf2asc's header."""
        return header_fits(path)

    def beside(self, path: Path) -> list[Path]:
        """Return the lists of images that the messages name, each once."""
        found: dict[Path, None] = {}
        with suppress(DataError):  # of a file that is not readable
            for line in lines(path, samples=False, trial_message=self.trial_message):
                if line.words[0] == "MSG" and line.message.startswith(DRAW_LIST):
                    found |= dict.fromkeys(filter(None, [named_list(line)]))
        return list(found)

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield one recording per trial and image, in the order of the file.

        Raises:
            DataError: not readable, no gaze, fixations of both eyes, or no recording without a fault (a line that is
                not EyeLink's, times that go back), which is one of its trial, or between trials of both.
        """
        survey = Survey.of(path, self.trial_message)
        if self.trial_message != TRIAL and not survey.has_trials:
            raise DataError(
                f"{path}: no message begins with the word {self.trial_message!r}; expected the message that starts a "
                "trial; set the reader's option trial_message to it, or leave it out for one recording"
            )

        def doubt(blocks: set[int]) -> str | None:
            return survey.doubt_about(blocks, self.trial_message)

        has_begun = False

        def found() -> Iterator[Found]:
            nonlocal has_begun
            for trial in self._trials(path, survey):
                has_begun = has_begun or not trial.onset
                for recording in trial.recordings(path, self.shown, self.variables, doubt):
                    yield replace(recording, notes=(*recording.notes, *survey.damage)), trial.fault

        def nothing(path: Path) -> DataError:
            return DataError(f"{path}: {self._why_none(path, survey, has_begun)}")

        yield from recordings_with_faults(found(), path, nothing)

    def _why_none(self, path: Path, survey: Survey, has_begun: bool) -> str:
        """Say why there is no recording, and what to do."""
        if survey.sides and not survey.sides & set(self.eyes):
            there = " and ".join(sorted(survey.sides))
            return f"only the {there} eye was recorded; expected the {self.eyes[0]} one; set the reader's option eye"
        if self.events == "samples" and survey.has_fixations and not has_samples(path):
            return (
                "holds events and no samples; take the fixations that the tracker found with --set events=fixations, "
                "or convert the EDF file again without edf2asc's -e"
            )
        if self.events == "fixations" and not survey.has_fixations and has_samples(path):
            return (
                "holds samples and no events; leave out the option events=fixations, or convert the EDF file again "
                "without edf2asc's -s"
            )
        where = (
            f"in a trial (from {self.trial_message} to TRIAL_RESULT)" if survey.has_trials else "in the file"
        )
        if not has_begun:
            return (
                f"no message {where} begins with {self.onset!r}; expected the message from which gaze counts; set the "
                "reader's option onset to it, or leave it out"
            )
        if survey.has_trials and (survey.has_fixations if self.events == "fixations" else has_samples(path)):
            return (
                f"no {self.events} {where}, only outside; expected gaze in a trial; set the reader's option "
                "trial_message to the message that starts one"
            )
        return f"no {self.events} {where}; expected what an EyeLink recorded; convert it with edf2asc's default options"

    def _trials(self, path: Path, survey: Survey) -> Iterator[Trial]:
        """Yield the trials in order, or all gaze as one if no message starts a trial. Raises: DataError."""
        fixations: list[FoundFixation] = []
        every = self._parsed(path, survey, fixations)
        trials = (trial for trial in every if trial.name is not None or not survey.has_trials)
        if self.events == "samples":
            yield from trials
            return
        held = list(trials)  # without samples; a fixation may end after its trial
        share(fixations, held)
        yield from held

    def _parsed(self, path: Path, survey: Survey, fixations: list[FoundFixation]) -> Iterator[Trial]:
        """Yield the trials with their samples, or collect fixations; the first precedes any message that starts one."""
        trial, block = Trial(None, self.onset), Block(self.eyes, display=survey.display)
        between: DataError | None = None  # a line outside trials that cannot be read
        for line in lines(path, samples=self.events == "samples", trial_message=self.trial_message):
            if line.words[0] == "START":
                block = block.following(survey)
                continue
            name, ended = line.trial, trial
            if name is not None:
                trial, between = Trial(name, self.onset, fault=between), None
            try:
                if name is None:
                    self._follow(line, trial, block, fixations)
                else:
                    ended.end(line)
                    trial.start_ms = line.number(1, "the time")
            except DataError as error:
                ended.fault, trial.fault = ended.fault or error, trial.fault or error
                between = None if trial.is_open and trial.name is not None else between or error
            if name is not None:
                yield ended
        yield trial

    def _follow(self, line: Line, trial: Trial, block: Block, fixations: list[FoundFixation]) -> None:
        """Read a line that starts neither a trial nor a block. Raises: DataError."""
        kind = line.words[0]
        if kind[0].isdigit():
            if trial.now is not None and block.is_open and block.is_wanted and self.events == "samples":
                block.sample(line, trial.now)
        elif kind == "EFIX" and self.events == "fixations":
            fixations += filter(None, [block.fixation(line)])
        else:
            block.follow(line)
            trial.take(line, block.display)
