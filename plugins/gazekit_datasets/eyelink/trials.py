"""Trials of an EyeLink recording, the images shown in them, and the recordings that come of both."""

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

import numpy as np

from gazekit.gaze.recording import Recording, Shown
from gazekit_datasets.eyelink.lines import Line
from gazekit_datasets.gaze_rows import LARGEST

Display = tuple[float, float, float, float]
"""Left, top, width and height of the screen in pixels."""
TOGETHER_MS = 50.0
"""Images loaded this shortly one after the other are shown side by side."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the screen, as a message says.

    Args:
        name: file name without folders.
        left, top: in pixels of the screen; NaN when unknown.
        width, height: NaN when it was shown at its own size, or unknown.
    """

    name: str
    left: float = math.nan
    top: float = math.nan
    width: float = math.nan
    height: float = math.nan

    @classmethod
    def of(cls, line: Line, display: Display | None) -> "Image":
        """The image of an ``IMGLOAD`` message. Raises: DataError."""
        _, _, command = line.message.partition("IMGLOAD")
        how, *words = command.split() or [""]
        place: list[float] = []
        while how != "FILL" and len(words) > 1 and _is_number(words[-1]):
            place.insert(0, float(words.pop()))
        if how not in ("FILL", "CENTER", "TOP_LEFT") or not words or len(place) not in (0, 2, 4):
            raise line.error(
                f"the message is {line.message[:80]!r}; expected !V IMGLOAD FILL file, or CENTER or TOP_LEFT with "
                "file, x, y, width and height"
            )
        name = PureWindowsPath(" ".join(words)).name  # splits at / and at \
        if how == "FILL":
            return cls(name, *(display or ()))
        if len(place) < 4 or min(place[2:]) <= 0:  # 0 0 asks for the image's own size
            return cls(name, *place[:2]) if how == "TOP_LEFT" else cls(name)
        x, y, width, height = place
        return cls(name, *((x, y) if how == "TOP_LEFT" else (x - width / 2, y - height / 2)), width, height)

    def place(self, recording: Recording) -> Recording:
        """A recording on the screen, in pixels of the image; unchanged when it is unknown where that lay."""
        if math.isnan(self.left):
            return recording
        if math.isnan(self.width):
            return replace(recording, x=recording.x - self.left, y=recording.y - self.top, on_screen=False)
        return recording.where_shown(self.left, self.top, self.width, self.height)


@dataclass(slots=True)
class Stretch:
    """Gaze while the same images were shown; ``first_ms`` is the time of its first sample."""

    images: list[Image] = field(default_factory=list)
    loaded_ms: float = math.nan
    cleared: bool = False
    first_ms: float = math.nan
    resolution: float | None = None
    t: "array[float]" = field(default_factory=lambda: array("d"))
    x: "array[float]" = field(default_factory=lambda: array("d"))
    y: "array[float]" = field(default_factory=lambda: array("d"))
    durations: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, line: Line, t_ms: float, x: float, y: float, duration_ms: float | None = None) -> None:
        """Append a sample, or a fixation. Raises: DataError when time goes back."""
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

    def recordings(self, source: Path, shown: Shown | None, about: Mapping[str, str]) -> Iterator[Recording]:
        """One recording per image that has gaze on it."""
        t, x, y, duration = (np.array(part) for part in (self.t, self.x, self.y, self.durations))
        on_screen = Recording(
            source,
            x,
            y,
            t,
            duration if len(duration) else None,
            pixels_per_degree=self.resolution,
            on_screen=True,
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
    """What happens from one ``TRIALID`` to the next.

    Args:
        name: as ``TRIALID`` says; None before the first trial.
        onset: how the message begins after which gaze counts; empty for all.
    """

    name: str | None
    onset: str
    is_open: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=lambda: [Stretch()])

    @property
    def now(self) -> Stretch | None:
        """Where gaze belongs; None while it belongs to no trial, or the onset is still to come."""
        return self.stretches[-1] if self.is_open and not self.onset else None

    def take(self, line: Line, display: Display | None) -> None:
        """Follow a message. Raises: DataError."""
        message = line.message
        if self.onset and message.startswith(self.onset):
            self.onset = ""
        if message.startswith("TRIAL_RESULT"):
            self.is_open = False
        elif message.startswith("!V TRIAL_VAR "):
            name, _, value = message[13:].strip().partition(" ")
            self.variables[name] = value.strip()
        elif message.startswith(("!V IMGLOAD", "IMGLOAD")):
            self._load(Image.of(line, display), line.number(1, "the time"))
        elif message.startswith("!V CLEAR") and self.stretches[-1].images:
            self.stretches.append(Stretch(cleared=True))

    def _load(self, image: Image, t_ms: float) -> None:
        now = self.stretches[-1]
        if not now.images and not (now.cleared and now.t):
            now.images, now.loaded_ms = [image], t_ms
        elif image not in now.images:
            if now.images and abs(t_ms - now.loaded_ms) <= TOGETHER_MS:
                now.images.append(image)
            else:
                self.stretches.append(Stretch([image], t_ms))

    def recordings(
        self, source: Path, shown: Shown | None, variables: Mapping[str, str]
    ) -> Iterator[Recording]:
        """One recording per image; of everything when no image was named.

        Args:
            source: the file.
            shown: where the image lay, in the place of what the messages say.
            variables: field of a recording → name of the trial variable that holds it.
        """
        about = {key: self.variables[name] for key, name in variables.items() if name in self.variables}
        if self.name is not None:
            about.setdefault("exam_id", self.name)
        has_images = any(stretch.images for stretch in self.stretches)
        for stretch in self.stretches:
            if stretch.t and (stretch.images or not has_images):
                yield from stretch.recordings(source, shown, about)


def _is_number(word: str) -> bool:
    return len(word) <= 12 and word.removeprefix("-").replace(".", "", 1).isdecimal()
