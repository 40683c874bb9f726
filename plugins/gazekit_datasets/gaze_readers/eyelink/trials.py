"""Turn trials of an EyeLink recording, and the images shown in them, into recordings."""

import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

import numpy as np

from gazekit.errors import DataError
from gazekit.records.recording import Recording, Shown
from gazekit_datasets.gaze_readers.eyelink.lines import Line
from gazekit_datasets.gaze_readers.gaze_rows import LARGEST, NOTHING

Display = tuple[float, float, float, float]
"""Left, top, width and height of the screen in pixels."""
DRAW_LIST = "!V DRAW_LIST"
"""Message that names a file of commands, such as Data Viewer's .vcl files."""
LARGEST_LIST = 2**20
"""Size limit of such a file, in bytes."""
_TIME = re.compile(r"^-?\d+\s+")
TOGETHER_MS = 50.0
"""Images loaded within this time of each other are shown side by side."""
AT_ONCE_MS = 20.0
"""Images named this shortly before the end of a trial were shown before (ours)."""
_SHOWN_BEFORE = "an image is named just before its trial ends, and counts for the gaze before it"


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the screen, as described by a message.

    Args:
        name: file name, with the folders that the message has.
        left, top: in pixels of the screen; NaN if unknown.
        width, height: NaN if shown at its original size, or unknown.
        centre: its centre in pixels of the screen, if shown there at its original size; else None.
    """

    name: str
    left: float = math.nan
    top: float = math.nan
    width: float = math.nan
    height: float = math.nan
    centre: tuple[float, float] | None = None

    @classmethod
    def of(cls, line: Line, display: Display | None, command: str | None = None) -> "Image":
        """Parse an ``IMGLOAD`` message, or a command in a list that a message names. Raises: DataError."""
        _, _, command = (command or line.message).partition("IMGLOAD")
        how, *words = command.split() or [""]
        place: list[float] = []
        while how != "FILL" and len(words) > 1 and _is_number(words[-1]):
            place.insert(0, float(words.pop()))
        if how not in ("FILL", "CENTER", "TOP_LEFT") or not words or len(place) not in (0, 2, 4):
            raise line.error(
                f"the message is {line.message[:80]!r}, the command {command.strip()[:80]!r}; expected !V IMGLOAD FILL "
                "file, or CENTER or TOP_LEFT with file, x, y, width and height"
            )
        name = " ".join(words)
        if how == "FILL":
            return cls(name, *(display or ()))
        if len(place) < 4 or min(place[2:]) <= 0:  # 0 0 requests the image's original size
            if how == "TOP_LEFT":
                return cls(name, place[0], place[1]) if place else cls(name)
            middle = (display[0] + display[2] / 2, display[1] + display[3] / 2) if display else None
            return cls(name, centre=(place[0], place[1]) if place else middle)
        x, y, width, height = place
        return cls(name, *((x, y) if how == "TOP_LEFT" else (x - width / 2, y - height / 2)), width, height)

    def place(self, recording: Recording) -> Recording:
        """Convert a screen recording to image pixels; unchanged if the image's place is unknown."""
        if math.isnan(self.left):
            return replace(recording, centre=self.centre)
        if math.isnan(self.width):
            return replace(recording, x=recording.x - self.left, y=recording.y - self.top, on_screen=False)
        return recording.where_shown(self.left, self.top, self.width, self.height)


@dataclass(slots=True)
class Stretch:
    """Gaze while the same images were shown, from ``start_ms`` to the next stretch; ``blocks`` are its blocks."""

    images: list[Image] = field(default_factory=list)
    start_ms: float = -math.inf
    cleared: bool = False
    resolution: float | None = None
    t: "array[float]" = field(default_factory=lambda: array("d"))
    x: "array[float]" = field(default_factory=lambda: array("d"))
    y: "array[float]" = field(default_factory=lambda: array("d"))
    durations: "array[float]" = field(default_factory=lambda: array("d"))
    blocks: set[int] = field(default_factory=set)

    def add(self, line: Line, t_ms: float, x: float, y: float, duration_ms: float | None = None) -> None:
        """Append a sample, or a fixation. Raises: DataError if time goes back."""
        if any(abs(value) > LARGEST for value in (t_ms, x, y, duration_ms or 0.0)):
            raise line.error(f"a number is beyond {LARGEST:g}; expected what an eye tracker writes")
        if self.t and t_ms < self.t[-1]:
            raise line.error(
                f"time {t_ms:.10g} ms after {self.t[-1]:.10g} ms; expected ascending times; convert the EDF file again"
            )
        self.t.append(t_ms)
        self.x.append(x)
        self.y.append(y)
        if duration_ms is not None:
            self.durations.append(duration_ms)

    def recordings(
        self, source: Path, shown: Shown | None, about: Mapping[str, str], notes: tuple[str, ...] = ()
    ) -> Iterator[Recording]:
        """Make one recording per image with gaze on it."""
        t, x, y, duration = (np.array(part) for part in (self.t, self.x, self.y, self.durations))
        on_screen = Recording(
            source,
            x,
            y,
            t,
            duration if len(duration) else None,
            pixels_per_degree=self.resolution,
            on_screen=True,
            notes=notes,
            **about,  # type: ignore[arg-type]
        )
        images: list[Image | None] = [*self.images] or [None]
        for image in images:
            found = on_screen if image is None else replace(on_screen, image=image.name)
            if shown is not None:
                found = found.where_shown(*shown)
            elif image is not None:
                found = image.place(found)
            if len(self.images) > 1 and found.display_width is not None and found.display_height is not None:
                beside = (found.x < 0) | (found.x > found.display_width)
                beside |= (found.y < 0) | (found.y > found.display_height)
                if not np.any(~beside & np.isfinite(found.x)):
                    continue
                found = replace(
                    found, x=np.where(beside, np.nan, found.x), y=np.where(beside, np.nan, found.y)
                )
            yield found


@dataclass(slots=True)
class Trial:
    """A trial, from one ``TRIALID`` to the next.

    Args:
        name: as ``TRIALID`` says; None before the first trial.
        onset: beginning of the message after which gaze counts; empty once it was there, or if all gaze counts.
        start_ms, end_ms: times of the messages between which gaze counts.
        notes: remarks for the user on how it was read.
        fault: of the first line that cannot be read.
    """

    name: str | None
    onset: str
    start_ms: float = -math.inf
    end_ms: float = math.inf
    is_open: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=lambda: [Stretch()])
    notes: list[str] = field(default_factory=list)
    fault: DataError | None = None

    @property
    def now(self) -> Stretch | None:
        """The stretch that gaze belongs to; None outside trials and before the onset."""
        return self.stretches[-1] if self.is_open and not self.onset else None

    def take(self, line: Line, display: Display | None) -> None:
        """Process a message. Raises: DataError."""
        message = line.message
        if self.onset and message.startswith(self.onset):
            self.onset, self.start_ms = "", line.number(1, "the time")
        if message.startswith("TRIAL_RESULT"):
            if self.name is not None:  # if no message starts trials, the end of one separates nothing
                self.end(line)
        elif message.startswith("!V TRIAL_VAR "):
            name, _, value = message[13:].strip().partition(" ")
            self.variables[name] = value.strip()
        elif message.startswith(("!V IMGLOAD", "IMGLOAD")):
            self._load(Image.of(line, display), line.number(1, "the time"))
        elif message.startswith(DRAW_LIST):
            self._draw(line, display)
        elif message.startswith("!V CLEAR") and self.stretches[-1].images:
            self.stretches.append(Stretch(start_ms=line.number(1, "the time"), cleared=True))

    def end(self, line: Line) -> None:
        """End the trial with a message, unless it has ended. Raises: DataError."""
        self.is_open, self.end_ms = False, min(self.end_ms, line.number(1, "the time"))

    def windows(self) -> Iterator[tuple[Stretch, float, float]]:
        """Yield each stretch with the times in ms between which its gaze counts; none if the onset did not come."""
        ends = [*(stretch.start_ms for stretch in self.stretches[1:]), math.inf]
        for stretch, end_ms in zip(self.stretches if not self.onset else (), ends, strict=False):
            yield stretch, max(stretch.start_ms, self.start_ms), min(end_ms, self.end_ms)

    def _load(self, image: Image, t_ms: float) -> None:
        now = self.stretches[-1]
        if now.images and image not in now.images and abs(t_ms - now.start_ms) <= TOGETHER_MS:
            now.images.append(image)
        elif image not in now.images:
            self.stretches.append(Stretch([image], t_ms))

    def _draw(self, line: Line, display: Display | None) -> None:
        """Load the images of a list stored with the recording; note if it is missing. Raises: DataError."""
        path = named_list(line)
        if path is None:
            name = line.message[len(DRAW_LIST) :].strip()
            self.notes.append(
                f"the list of images {PureWindowsPath(name).name} (!V DRAW_LIST) is not there; put it beside the ASC "
                "file, in the folders that the message names or in the same, or say where the image was shown: --set "
                '"shown=[left, top, width, height]"'
            )
        for command in commands_of(path) if path else ():
            if command.startswith("IMGLOAD"):
                self._load(Image.of(line, display, command), line.number(1, "the time"))

    def recordings(
        self,
        source: Path,
        shown: Shown | None,
        variables: Mapping[str, str],
        doubt: Callable[[set[int]], str | None] = lambda _: None,
    ) -> Iterator[Recording]:
        """Make one recording per image, or of all gaze if no image is named; without rows if there is a fault.

        Gaze before the first image, perhaps on a fixation cross, is dropped, unless no gaze follows, or the trial ends
        at once: then the messages were written at the end of the trial, and all of it was on the image.

        Args:
            source: the file.
            shown: the image's place, instead of what the messages say.
            variables: field of a recording → name of its trial variable.
            doubt: gives a sentence about doubts on a recording made of some blocks.
        """
        about = {key: self.variables[name] for key, name in variables.items() if name in self.variables}
        if self.name is not None:
            about.setdefault("exam_id", self.name)
        if self.fault is not None:
            empty = Recording(source, NOTHING, NOTHING, **about)  # type: ignore[arg-type]
            names = dict.fromkeys(image.name for stretch in self.stretches for image in stretch.images)
            yield from (replace(empty, image=name) for name in names or [empty.image])
            return
        loaded = [stretch for stretch in self.stretches if stretch.images]
        before = [
            stretch for stretch in self.stretches if stretch.t and not stretch.images and not stretch.cleared
        ]
        shown_ms = sum(max(end - start, 0.0) for stretch, start, end in self.windows() if stretch.images)
        if loaded and before and (shown_ms <= AT_ONCE_MS or not any(stretch.t for stretch in loaded)):
            before[0].images, loaded = loaded[0].images, before[:1]
            self.notes.append(_SHOWN_BEFORE)
        for stretch in loaded or self.stretches:
            if stretch.t:
                said = doubt(stretch.blocks)
                notes = (*self.notes, *([] if said is None else [said]))
                yield from stretch.recordings(source, shown, about, notes)


def named_list(line: Line) -> Path | None:
    """Find the list of images that a message names; None if it is missing.

    The search covers the folders that the message names and those below them, all inside the recording's folder.
    """
    name = line.message[len(DRAW_LIST) :].strip()
    parts = [part for part in PureWindowsPath(name).parts if part not in ("..", ".", "/", "\\")]
    for first in range(len(parts)):
        path = line.path.parent.joinpath(*parts[first:])
        with suppress(OSError):  # a name that no file can have
            if path.is_file() and path.stat().st_size <= LARGEST_LIST:
                return path
    return None


def commands_of(path: Path) -> list[str]:
    """Read the commands of a list of images, without their times."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [_TIME.sub("", line.strip()).removeprefix("!V ") for line in text.splitlines()]


def _is_number(word: str) -> bool:
    return len(word) <= 12 and word.removeprefix("-").replace(".", "", 1).isdecimal()
