"""Blocks of an EyeLink recording, from ``START`` to ``END``: which eyes, how often, and their samples."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from gazekit_datasets.eyelink.lines import Line, lines
from gazekit_datasets.eyelink.trials import Display, Stretch

SIDES = ("left", "right")
_SIDE = {"L": "left", "R": "right"}
_COORDS = re.compile(r"(?:GAZE|DISPLAY)_COORDS" + r"[\s=]+(-?\d{1,6}(?:\.\d+)?)" * 4)


@dataclass(frozen=True, slots=True)
class Survey:
    """What must be known before the samples, for the file says it behind them.

    Args:
        has_trials: whether there is a ``TRIALID``.
        resolutions: number of the block → pixels per degree, the mean of both axes.
    """

    has_trials: bool
    resolutions: dict[int, float]

    @classmethod
    def of(cls, path: Path) -> "Survey":
        """Go through a file once. Raises: DataError."""
        has_trials, block, resolutions = False, 0, {}
        for line in lines(path, samples=False):
            has_trials = has_trials or line.trial is not None
            block += line.words[0] == "START"
            if line.words[0] == "END" and line.words[-3:-2] == ["RES"] and line.words[-2:] != [".", "."]:
                at = len(line.words) - 2
                mean = (line.number(at, "RES") + line.number(at + 1, "RES")) / 2
                if 0 < mean < 1e6:
                    resolutions[block] = mean
        return cls(has_trials, resolutions)


@dataclass(slots=True)
class Block:
    """The state of the tracker while a file is read.

    Args:
        wanted: sides of the eyes that are asked for.
        number: of the block; 0 before the first ``START``.
        is_open: from its ``START`` to its ``END``; outside, calibrations write lines of numbers too.
        resolution: pixels per degree.
        display: the screen.
        eyes: sides that are recorded, in the order of their columns.
        rate: samples per second.
        closed: sides that are in a blink.
        fixating: side whose fixations were taken.
    """

    wanted: tuple[str, ...]
    number: int = 0
    is_open: bool = False
    resolution: float | None = None
    display: Display | None = None
    eyes: tuple[str, ...] = ()
    rate: float = math.nan
    closed: set[str] = field(default_factory=set)
    fixating: str = ""

    def following(self, survey: Survey) -> "Block":
        """The block that begins now, on the same screen."""
        number = self.number + 1
        return Block(self.wanted, number, True, survey.resolutions.get(number), self.display)

    def follow(self, line: Line) -> None:
        """Take in what a line says of the block or the screen. Raises: DataError."""
        kind, *words = line.words
        if kind in ("SAMPLES", "EVENTS"):
            if words[:1] != ["GAZE"]:
                raise line.error(
                    f"{kind} are {' '.join(words[:1])[:20] or 'not named'}; expected GAZE, pixels of the screen; "
                    "convert the EDF file with gaze coordinates"
                )
            self.eyes = tuple(side for side in SIDES if side.upper() in words)
            if not set(self.eyes) & set(self.wanted):
                raise line.error(
                    f"the eye recorded is {' and '.join(self.eyes) or 'not named'}; expected "
                    f"{' or '.join(self.wanted)}; set the reader's option eye"
                )
            self.rate = line.number(words.index("RATE") + 2, "RATE") if "RATE" in words else math.nan
        elif kind == "END":
            self.is_open = False
        elif kind == "SBLINK":
            self.closed.add(_side(line))
        elif kind == "EBLINK":
            self.closed.discard(_side(line))
        elif coords := _COORDS.match(line.message):
            left, top, right, bottom = map(float, coords.groups())
            if not (left < right and top < bottom):
                raise line.error(
                    f"the message is {line.message[:80]!r}; expected left, top, right and bottom of the screen"
                )
            self.display = (left, top, right - left + 1, bottom - top + 1)

    def sample(self, line: Line, stretch: Stretch, *, keep: bool) -> None:
        """Add a sample to a stretch, or only note its time. Raises: DataError."""
        if not self.eyes or len(line.words) < 1 + 3 * len(self.eyes):
            raise line.error(
                f"a sample of {len(line.words)} cells after SAMPLES names {' and '.join(self.eyes) or 'no eye'}; "
                "expected the time and x, y, pupil per eye; convert the EDF file again"
            )
        t_ms, points = line.number(0, "the time"), []
        for column, side in enumerate(self.eyes):
            if side in self.wanted:
                x, y = (line.number(1 + 3 * column + axis, "xy"[axis], may_be_lost=True) for axis in (0, 1))
                if not math.isnan(x + y) and side not in self.closed:
                    points.append((x, y))
        if math.isnan(stretch.first_ms):
            stretch.first_ms, stretch.resolution = t_ms, self.resolution
        if keep:
            x, y = (
                (sum(axis) / len(points) for axis in zip(*points, strict=True))
                if points
                else (math.nan, math.nan)
            )
            if stretch.t and t_ms == stretch.t[-1] and self.rate > 1000:
                t_ms += 1000 / self.rate  # times in whole ms at 2000 Hz come in pairs
            stretch.add(line, t_ms, x, y)

    def fixation(self, line: Line, stretch: Stretch) -> None:
        """Add what is left of a fixation, ``EFIX eye start end duration x y pupil``. Raises: DataError."""
        side = _side(line)
        if side not in self.wanted:
            return
        if self.fixating not in ("", side):
            raise line.error(
                "fixations of both eyes; expected those of one; set the reader's option eye to left or right"
            )
        self.fixating = side
        start, duration = line.number(2, "the start"), line.number(4, "the duration")
        x, y = (line.number(5 + axis, "xy"[axis], may_be_lost=True) for axis in (0, 1))
        if duration < 0:
            raise line.error(f"the duration is {duration:g}; expected a number >= 0")
        begin = start if math.isnan(stretch.first_ms) else max(start, stretch.first_ms)
        if stretch.resolution is None:
            stretch.resolution = self.resolution
        stretch.add(line, begin, x, y, max(duration - (begin - start), 0.0))


def _side(line: Line) -> str:
    """The eye of an event. Raises: DataError."""
    side = _SIDE.get(line.words[1] if len(line.words) > 1 else "")
    if side is None:
        raise line.error(
            f"{line.words[0]} names no eye; expected L or R after it; convert the EDF file again"
        )
    return side
