"""Read blocks of an EyeLink recording, from ``START`` to ``END``: eyes, sampling rate and samples."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit_datasets.gaze_readers.eyelink.fixations import FoundFixation
from gazekit_datasets.gaze_readers.eyelink.lines import TYPES, Line, lines
from gazekit_datasets.gaze_readers.eyelink.trials import Display, Stretch
from gazekit_datasets.gaze_readers.gaze_rows import DamagedTypes

SIDES = ("left", "right")
_SIDE = {"L": "left", "R": "right"}
_OF_THE_TRACKER = re.compile(
    r"!(?!V )|!V (?!IMGLOAD)|VALIDATE|DRIFTCORRECT|DRIFT|RECCFG|ELCL|ELCLCFG|[A-Z]+_COORDS|THRESHOLDS|CAMERA_|PUPIL_|"
    r"TRACKER_TIME|RETRACE|ENVIRONMENT|TRIAL_RESULT|TRIAL OK|TIMEOUT|KEYBOARD|RECORDED BY"
)
"""Messages of the tracker, its host and Data Viewer; no experiment marks trials with them."""
_MISSING = (-32768.0, 1e8)
"""Values for a lost coordinate in EyeLink's files, and in text made with edf2asc's ``-miss``."""
_COORDS = re.compile(r"(?:GAZE|DISPLAY)_COORDS" + r"[\s=]+(-?\d{1,6}(?:\.\d+)?)" * 4)


@dataclass(frozen=True, slots=True)
class Survey:
    """Facts needed before reading samples, which the file gives after them or only as a whole.

    Args:
        has_trials: whether a message starts a trial.
        has_fixations: whether there are fixation events.
        sides: sides of the eyes that any block recorded.
        resolutions: block number → pixels per degree, mean of both axes.
        display: the screen, as its first coordinates say; images may be named before. None if the file has none.
        own: first word of the experiment's messages → blocks it occurs in, by the last ``START`` above.
        damage: a remark on lines whose first word is damaged, if there are any.
    """

    has_trials: bool
    has_fixations: bool
    sides: frozenset[str]
    resolutions: dict[int, float | None]
    display: Display | None
    own: dict[str, frozenset[int]]
    damage: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, trial_message: str) -> "Survey":
        """Scan a file once. Raises: DataError."""
        has_trials, block = False, 0
        resolutions: dict[int, float | None] = {}
        has_fixations, display = False, None
        sides: set[str] = set()
        own: dict[str, set[int]] = {}
        damaged, is_open = DamagedTypes(TYPES), False
        for line in lines(path, samples=False, trial_message=trial_message):
            kind = line.words[0]
            if kind == "MSG":
                has_trials = has_trials or line.trial is not None
                display = display or display_of(line)
                word = line.message.partition(" ")[0]
                if word and block and not _OF_THE_TRACKER.match(line.message):
                    own.setdefault(word, set()).add(block)
            elif kind == "SAMPLES":
                sides |= {side for side in SIDES if side.upper() in line.words}
            elif kind == "EFIX":
                has_fixations = True
            elif kind == "END":
                with suppress(DataError):  # of the trial, when this line is followed
                    resolutions[block] = resolution_of(line)
            elif _is_damaged(line, damaged, is_open=is_open):
                damaged.add(line.row, kind)
            block += kind == "START"
            is_open = kind == "START" or (is_open and kind != "END")
        words = {word: frozenset(blocks) for word, blocks in own.items()}
        return cls(
            has_trials,
            has_fixations,
            frozenset(sides),
            resolutions,
            display,
            words,
            damaged.notes("convert the EDF file again"),
        )

    def doubt_about(self, blocks: set[int], trial_message: str) -> str | None:
        """Warn about a recording of several blocks with the experiment's messages among them; else None."""
        begun = {word: self.own[word] & blocks for word in self.own}
        among = [word for word, where in begun.items() if where - {max(blocks, default=0)} or len(where) > 1]
        if len(blocks) < 2 or not among:
            return None
        likely = max(among, key=lambda word: (len(begun[word]), "trial" in word.lower()))
        return (
            f"holds {len(blocks)} stretches recorded one after the other (START), with messages such as "
            f"'{likely[:40]}' among them, and no message '{trial_message}' parts them; if that begins a trial, "
            f"--set trial_message={likely[:40]}"
        )


def _is_damaged(line: Line, damaged: DamagedTypes, *, is_open: bool) -> bool:
    """Say whether a line lacks a first word of EyeLink's, and looks like a line that has one, or like a sample."""
    kind, *rest = line.words
    if kind in TYPES or line.is_indented:
        return False
    if is_open and len(rest) >= 3 and all(re.fullmatch(r"-?\d+(\.\d+)?|\.", word) for word in rest[:2]):
        return True
    return damaged.is_near(kind)


def resolution_of(line: Line) -> float | None:
    """Return the pixels per degree that the end of a block gives, or None. Raises: DataError if they are no numbers."""
    if line.words[-3:-2] != ["RES"] or line.words[-2:] == [".", "."]:
        return None
    at = len(line.words) - 2
    mean = (line.number(at, "RES") + line.number(at + 1, "RES")) / 2
    return mean if 0 < mean < 1e6 else None


def display_of(line: Line) -> Display | None:
    """Return the screen that a message describes, or None. Raises: DataError if it has no extent."""
    coords = _COORDS.match(line.message)
    if coords is None:
        return None
    left, top, right, bottom = map(float, coords.groups())
    if not (left < right and top < bottom):
        raise line.error(
            f"the message is {line.message[:80]!r}; expected left, top, right and bottom of the screen"
        )
    return left, top, right - left + 1, bottom - top + 1


def has_samples(path: Path) -> bool:
    """Say whether a block has a sample; outside blocks, calibrations write lines of numbers too. Raises: DataError."""
    is_open = False
    for line in lines(path):
        kind = line.words[0]
        is_open = kind == "START" or (is_open and kind != "END")
        if is_open and kind[0].isdigit():
            return True
    return False


@dataclass(slots=True)
class Block:
    """State of the tracker while a file is read.

    Args:
        wanted: sides of the requested eyes.
        number: of the block; 0 before the first ``START``.
        is_open: True from ``START`` to ``END``; outside, calibrations write lines of numbers too.
        is_wanted: whether a recorded eye is requested.
        resolution: pixels per degree.
        display: the screen.
        eyes: recorded sides, in the order of their columns.
        rate: samples per second.
        closed: sides that are in a blink.
    """

    wanted: tuple[str, ...]
    number: int = 0
    is_open: bool = False
    is_wanted: bool = True
    resolution: float | None = None
    display: Display | None = None
    eyes: tuple[str, ...] = ()
    rate: float = math.nan
    closed: set[str] = field(default_factory=set)

    def following(self, survey: Survey) -> "Block":
        """Start the next block, on the same screen."""
        number = self.number + 1
        return Block(
            self.wanted,
            number,
            is_open=True,
            resolution=survey.resolutions.get(number),
            display=self.display,
        )

    def follow(self, line: Line) -> None:
        """Read a line about the block or the screen. Raises: DataError."""
        kind, *words = line.words
        if kind in ("SAMPLES", "EVENTS"):
            self.eyes = ()
            if words[:1] != ["GAZE"]:
                raise line.error(
                    f"{kind} are {' '.join(words[:1])[:20] or 'not named'}; expected GAZE, pixels of the screen; "
                    "convert the EDF file with gaze coordinates"
                )
            self.eyes = tuple(side for side in SIDES if side.upper() in words)
            if not self.eyes:
                raise line.error(
                    "the eye recorded is not named; expected LEFT or RIGHT; convert the EDF file again"
                )
            self.is_wanted = bool(set(self.eyes) & set(self.wanted))
            self.rate = line.number(words.index("RATE") + 2, "RATE") if "RATE" in words else math.nan
        elif kind == "END":
            self.is_open = False
            resolution_of(line)
        elif kind == "SBLINK":
            self.closed.add(_side(line))
        elif kind == "EBLINK":
            self.closed.discard(_side(line))
        elif kind == "MSG":
            before, self.display = self.display, None  # unknown where the message cannot be read
            self.display = display_of(line) or before

    def sample(self, line: Line, stretch: Stretch) -> None:
        """Add a sample to a stretch. Raises: DataError."""
        if not self.eyes or len(line.words) < 1 + 3 * len(self.eyes):
            raise line.error(
                f"a sample of {counted(len(line.words), 'cell')} after SAMPLES names "
                f"{' and '.join(self.eyes) or 'no eye'}; expected the time and x, y, pupil per eye; "
                "convert the EDF file again"
            )
        t_ms, points = line.number(0, "the time"), []
        for column, side in enumerate(self.eyes):
            if side in self.wanted:
                x, y = (line.number(1 + 3 * column + axis, "xy"[axis], may_be_lost=True) for axis in (0, 1))
                if side not in self.closed and not self._is_lost(line, x, y, 3 + 3 * column):
                    points.append((x, y))
        if not stretch.blocks:
            stretch.resolution = self.resolution
        stretch.blocks.add(self.number)
        x = y = math.nan
        if points:
            x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
        if stretch.t and t_ms == stretch.t[-1] and self.rate > 1000:
            t_ms += 1000 / self.rate  # times in whole ms at 2000 Hz come in pairs
        stretch.add(line, t_ms, x, y)

    def _is_lost(self, line: Line, x: float, y: float, pupil: int) -> bool:
        """Say whether a sample has no position, a marker for a lost one, or (0, 0) without a pupil."""
        if math.isnan(x + y) or x in _MISSING or y in _MISSING:
            return True
        return x == y == 0 and line.words[pupil] in ("0", "0.0", ".")

    def fixation(self, line: Line) -> FoundFixation | None:
        """Parse ``EFIX eye start end duration x y pupil``; None if the eye is not requested. Raises: DataError."""
        side = _side(line)
        if side not in self.wanted:
            return None
        start, duration = line.number(2, "the start"), line.number(4, "the duration")
        x, y = (line.number(5 + axis, "xy"[axis], may_be_lost=True) for axis in (0, 1))
        if x in _MISSING or y in _MISSING:
            x = y = math.nan
        if duration < 0:
            raise line.error(f"the duration is {duration:g}; expected a number >= 0")
        return FoundFixation(line, side, self.number, self.resolution, start, duration, x, y)


def _side(line: Line) -> str:
    """Return the eye of an event. Raises: DataError."""
    side = _SIDE.get(line.words[1] if len(line.words) > 1 else "")
    if side is None:
        raise line.error(
            f"{line.words[0]} names no eye; expected L or R after it; convert the EDF file again"
        )
    return side
